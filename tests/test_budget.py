"""What ends a run and how schedules follow it: updates, minutes, oracle calls, whichever is spent first."""

from __future__ import annotations

import csv
import itertools

import pytest
from click.testing import CliRunner
from letters import LettersDomain, new_model
from test_tuning import run_in, tuner_of

from seqtutor import UserError
from seqtutor.cli import main
from seqtutor.config import NO_LIMIT, TrainConfig
from seqtutor.domain import SequenceTerm, load
from seqtutor.plugin.contract import check_class
from seqtutor.priors.files import save_model
from seqtutor.runs.budget import limits, rate, sentence, share
from seqtutor.runs.status import status_of
from seqtutor.training import tuning


def test_the_share_is_that_of_the_limit_that_is_nearest():
    config = TrainConfig(updates=11, minutes=2.0, oracle_calls=100)
    assert share(config, 0, 0.0, 0) == 0.0
    assert share(config, 5, 0.0, 0) == 0.5  # the update that ends the run has all of it
    assert share(config, 10, 0.0, 0) == 1.0
    assert share(config, 5, 90.0, 0) == 0.75
    assert share(config, 5, 90.0, 80) == 0.8
    assert share(config, 50, 900.0, 800) == 1.0
    assert share(TrainConfig(minutes=1.0), 1000, 15.0, 10**6) == 0.25
    assert share(TrainConfig(updates=1), 0, 0.0, 0) == 0.0


def test_a_budget_of_updates_alone_gives_the_rates_that_it_always_gave():
    config = TrainConfig(learning_rate=5e-4, learning_rate_end=2e-5, updates=240)
    for update in range(300):
        old = 5e-4 + min(1.0, update / 239) * (2e-5 - 5e-4)
        assert rate(config, share(config, update, 1e4, 10**6)) == old


@pytest.mark.parametrize("limit", ["minutes", "oracle_calls"])
def test_schedules_fall_along_minutes_and_calls(limit, monkeypatch):
    """The learning rate and the temperature end where the budget ends, however many updates that takes."""
    budget = {"minutes": 1.0} if limit == "minutes" else {"oracle_calls": 8}
    numbers = {"learning_rate": 0.04, "learning_rate_end": 0.01, "temperature": 4.0, "temperature_end": 1.0}
    tuner = tuner_of("tb", rollouts=8, updates=NO_LIMIT, **budget, **numbers)
    rates, shares, temperatures = [], [], []
    if limit == "minutes":
        clock = itertools.count(0.0, 2.0)  # who looks at it lets two seconds pass
        monkeypatch.setattr("seqtutor.training.tuner.time.monotonic", lambda: next(clock))
    while not tuner.done and tuner.update < 50:
        shares.append(tuner.share)
        temperatures.append(tuner.dial.temperature)
        tuner.step()
        rates.append(tuner.optimiser.param_groups[0]["lr"])
    assert tuner.done
    assert shares == sorted(shares)
    assert shares[0] == 0.0 < shares[-1] < 1.0
    assert rates[1:] == pytest.approx([0.04 - 0.03 * spent for spent in shares[1:]])  # nothing is stored for the first
    assert temperatures == pytest.approx([4.0 * 4.0**-spent for spent in shares])


def test_a_domains_own_fall_is_left_out_where_calls_alone_end_a_run():
    """It is measured for the domain's own number of updates: over 5,000 calls molecules lose by it."""
    own = TrainConfig(domain="molecules").learning_rate_end
    assert own > 0
    assert TrainConfig(domain="molecules", oracle_calls=5000).learning_rate_end == 0.0
    for stated in ({"minutes": 5.0}, {"minutes": 5.0, "oracle_calls": 5000}, {"updates": 80, "oracle_calls": 5000}):
        assert TrainConfig(domain="molecules", **stated).learning_rate_end == own
    assert TrainConfig(domain="molecules", oracle_calls=5000, learning_rate_end=1e-5).learning_rate_end == 1e-5


def test_a_resumed_run_goes_on_with_the_minutes_that_are_left(tmp_path):
    settings = {"minutes": 1.0, "updates": NO_LIMIT, "learning_rate": 0.04, "learning_rate_end": 0.01}
    first, run = tuner_of("tb", **settings), run_in(tmp_path / "run")
    first.step()
    first.seconds = 30.0
    tuning.checkpoint(first, run)
    second = tuner_of("tb", **settings)
    tuning.resume(second, run)
    assert second.share == first.share == 0.5
    second.step()
    assert second.optimiser.param_groups[0]["lr"] == pytest.approx(0.025)
    second.seconds = 60.0
    assert second.done


def oracle(texts):
    return [float(len(text)) for text in texts]


class Dear(LettersDomain):
    oracle = "dear"


class Costly(LettersDomain):
    def terms(self):
        return [SequenceTerm("bound", 1.0, "", "", oracle, costly=True)]


class Rules(LettersDomain):
    """A dear domain of which a reward asks no oracle."""

    oracle = "dear"

    def terms(self):
        return [term for term in super().terms() if not isinstance(term, SequenceTerm)]


OUTSIDE = {"terms": {"size": oracle}}


@pytest.mark.parametrize(
    ("domain", "settings", "said"),
    [
        (LettersDomain, {"updates": 300}, "ends after 300 updates; --minutes sets a budget of time"),
        (LettersDomain, {"minutes": 5.0, "updates": NO_LIMIT}, "ends after 5 minutes"),
        (LettersDomain, {"minutes": 1.0, "updates": 9}, "ends after 1 minute or 9 updates, whichever is first"),
        (Rules, {"updates": 300}, "ends after 300 updates; --minutes sets a budget of time"),
        (Dear, {"updates": 300, "rollouts": 10},
         "ends after 300 updates, at most 3,000 oracle calls; --oracle-calls sets a budget of calls"),
        (Dear, {"oracle_calls": 500, "updates": NO_LIMIT}, "ends after 500 oracle calls"),
        (Dear, {"oracle_calls": 500, "updates": 9, "minutes": 0.5},
         "ends after 500 oracle calls, 0.5 minutes or 9 updates, whichever is first"),
        (Costly, {"updates": 2, "weights": {"bound": 1.0}, "rollouts": 8},
         "ends after 2 updates, at most 16 oracle calls; --oracle-calls sets a budget of calls"),
        (LettersDomain, {"updates": 2, "rollouts": 8, **OUTSIDE},
         "ends after 2 updates, at most 16 oracle calls; --oracle-calls sets a budget of calls"),
        (LettersDomain, {"minutes": 5.0, "updates": NO_LIMIT, **OUTSIDE},
         "ends after 5 minutes; --oracle-calls sets a budget of calls"),
        (LettersDomain, {"minutes": 5.0, "oracle_calls": 7, "updates": NO_LIMIT},
         "ends after 5 minutes or 7 oracle calls, whichever is first"),
    ],
)  # fmt: skip
def test_the_first_lines_say_what_ends_the_run(domain, settings, said):
    """Time comes first for a cheap reward, calls for a dear one: the domain says which, or a term from outside."""
    tuner = tuner_of("reinforce", domain=domain(), prior=new_model(spread=1.0), **settings)
    assert sentence(tuner.config, tuner.scorer) == said


@pytest.mark.parametrize(
    ("objective", "more", "said"),
    [
        ("tb", {}, "ends after 500 oracle calls; --vary 0.5 --screen 16 makes calls go further"),
        ("tb", {"vary": 0.2, "screen": 4}, "ends after 500 oracle calls"),
        ("reinforce", {}, "ends after 500 oracle calls"),  # which learns from its own samples alone
    ],
)
def test_who_sets_a_budget_of_calls_is_told_what_makes_them_go_further(objective, more, said):
    settings = {"oracle_calls": 500, "updates": NO_LIMIT, **more}
    tuner = tuner_of(objective, domain=Dear(), prior=new_model(spread=1.0), **settings)
    assert sentence(tuner.config, tuner.scorer) == said


def test_the_command_says_it_before_it_begins(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), tmp_path / "prior", "model", domain="letters")
    small = ["--updates", "2", "--samples", "10", "--rollouts", "8", "--batch", "8", "--best-of", "2"]
    done = CliRunner().invoke(main, ["train", "--domain", "letters", "--prior", "./prior", *small])
    assert done.exit_code == 0, done.output
    assert "ends after 2 updates; --minutes sets a budget of time" in done.output.splitlines()[:4]


def test_limits_are_by_the_column_that_counts_them():
    assert limits(9, 2.0, 50) == {"update": 9, "seconds": 120.0, "oracle_calls": 50}
    assert limits(NO_LIMIT, 0.0, 0) == {}


def test_the_time_left_is_that_to_the_first_limit(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr("seqtutor.runs.status.owner", lambda folder: 7)
    rows = [{"update": i, "seconds": 2.0 * i, "oracle_calls": 10 * i} for i in range(1, 11)]
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for config, left in (
        ("updates = 50", "1 min 20 s"),
        ("updates = 50\nminutes = 1.0", "40 s"),
        ("updates = 50\nminutes = 1.0\noracle_calls = 150", "10 s"),
        ("updates = 1000000000\noracle_calls = 150", "10 s"),
    ):
        (folder / "config.toml").write_text(config)
        assert dict(status_of(folder))["time left"] == f"about {left}, and the final table"


def test_an_oracle_is_cheap_or_dear():
    class Odd(LettersDomain):
        oracle = "expensive"

    with pytest.raises(UserError, match="oracle: it must be 'cheap' or 'dear', not 'expensive'"):
        check_class("letters", Odd)
    assert load("molecules").oracle == "dear"
    assert load("music").oracle == "cheap"
