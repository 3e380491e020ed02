"""Alarms: a policy made to collapse raises them and can be taken back; a healthy one raises none."""

from __future__ import annotations

import csv
import dataclasses
import json
import tomllib

import numpy as np
import pytest
from letters import A, FixedLettersDomain, LettersDomain, new_model

from seqtutor import Domain, TokenTerm, UserError
from seqtutor.config import TrainConfig, build, to_toml
from seqtutor.plugin.guard import Guarded
from seqtutor.priors.files import load_model
from seqtutor.rewards.reward import Scores
from seqtutor.runs.alarms import PAID, START, WINDOW, Watch
from seqtutor.runs.folder import RunFolder
from seqtutor.runs.metrics import largest_family, shares
from seqtutor.training.tuner import Tuner
from seqtutor.training.tuning import resume, tune

ENOUGH = START + WINDOW
WORDS = ("abc", "ba", "cab", "bab", "aba", "cb", "b", "ca")


def scores_of(texts, held=None):
    """Scores of texts that earn 0, 1, 0, 1, ...: a standard deviation of 1/2."""
    reward = np.array([[float(i % 2)] for i in range(len(texts))])
    terms = {} if held is None else {"held": np.asarray(held, float)}
    flags = (np.ones(len(texts), bool), np.zeros(len(texts), bool))
    return Scores(list(texts), reward[..., None], reward, *flags, np.ones(len(texts)), terms)


def row_of(update, **figures):
    row = {"update": update, "reward": 0.5, "valid": 1.0, "distinct": 0.9, "entropy": 1.0, "largest_family": 0.1}
    return row | figures


def watched(now, texts=WORDS, held=None, updates=40, **more):
    """The alarms of a run that stood still for START updates and then jumped to the figures `now`."""
    watch, scores, found = Watch(LettersDomain(), **more), scores_of(texts, held), []
    before = {"held_out.held": 1.0} if held is not None else {}
    for update in range(1, updates + 1):
        found += watch.look(row_of(update, **(before | (now if update > START else {}))), scores)
    return watch, found


RISEN = {"reward": 0.7}


@pytest.mark.parametrize(
    ("column", "healthy", "ill", "said"),
    [
        ("valid", 0.81, 0.79, "the share of valid samples falls from 100% to 79%"),
        ("distinct", 0.73, 0.71, "the share of distinct samples among the valid falls from 90% to 71%"),
        ("entropy", 0.51, 0.49, "the entropy in nats per token falls from 1.00 to 0.49"),
        ("largest_family", 0.32, 0.33, "the share of the largest family grows from 10% to 33%"),
    ],
)
def test_each_figure_alarms_once_at_its_limit_and_names_a_sample(column, healthy, ill, said):
    of_valid = {"distinct": 0.7} if column == "valid" else {}
    assert watched(RISEN | of_valid | {column: healthy})[1] == []
    _, (alarm,) = watched(RISEN | of_valid | {column: ill}, texts=("ab", "ab", "ba"))
    assert (alarm.update, alarm.column, alarm.text) == (ENOUGH, column, "ab")
    assert alarm.message == f"update {ENOUGH}: {said} while the reward rises from 0.5 to 0.7, as in 'ab'"


def test_a_held_out_term_alarms_when_it_falls_by_half_a_standard_deviation():
    held = [0.0, 4.0] * 4  # standard deviation 2; the better half by reward has the 4s
    held[3] = 3.0
    assert watched(RISEN | {"held_out.held": 0.2}, held=held)[1] == []
    _, (alarm,) = watched(RISEN | {"held_out.held": -0.1}, held=held)
    assert (alarm.column, alarm.text) == ("held_out.held", WORDS[3])
    assert "the held-out term held falls from 1 to -0.1" in alarm.message
    assert watched(RISEN | {"held_out.held": 9.0}, held=held)[1] == []


def test_a_held_out_term_of_which_less_is_better_alarms_when_it_rises():
    held = [4.0, 0.0] * 4  # the better half by reward has the 0s
    held[3] = 1.0
    lower = {"held": held, "directions": {"held": -1}}
    assert watched(RISEN | {"held_out.held": -9.0}, **lower)[1] == []
    assert watched(RISEN | {"held_out.held": 1.8}, **lower)[1] == []
    _, (alarm,) = watched(RISEN | {"held_out.held": 2.1}, **lower)
    assert (alarm.column, alarm.text) == ("held_out.held", WORDS[3])
    assert "the held-out term held rises from 1 to 2.1" in alarm.message
    for figure in (-9.0, 9.0):  # where neither is better nothing is said
        assert watched(RISEN | {"held_out.held": figure}, held=held, directions={"held": 0})[1] == []


def test_a_fall_without_a_rise_of_the_reward_is_no_over_optimisation():
    ill = {"distinct": 0.1, "entropy": 0.1, "largest_family": 0.9}
    assert watched(ill)[1] == []
    assert watched(ill | {"reward": 0.59})[1] == []  # within a fifth of the standard deviation of .5
    assert {alarm.column for alarm in watched(ill | {"reward": 0.61})[1]} == set(ill)


def test_where_nothing_is_valid_there_is_no_sample_to_name():
    _, (alarm,) = watched(RISEN | {"valid": 0.0, "distinct": 0.0}, texts=(None, None))
    assert (alarm.column, alarm.text) == ("valid", "")
    assert alarm.message.endswith(
        "the share of valid samples falls from 100% to 0% while the reward rises from 0.5 to 0.7"
    )


def test_a_reward_that_falls_below_the_priors_is_a_run_gone_wrong():
    assert watched({"reward": 0.26, "entropy": 0.1})[1] == []
    _, (alarm,) = watched({"reward": 0.24, "entropy": 0.1})
    assert alarm.message == f"update {ENOUGH}: the reward falls below the prior's, from 0.5 to 0.24, as in 'aba'"


def test_one_bad_update_is_no_alarm():
    watch, scores = Watch(LettersDomain()), scores_of(WORDS)
    for update in range(1, 60):
        bad = {"distinct": 0.0, "entropy": 0.5} if update % 10 == 0 else {}
        assert watch.look(row_of(update, **RISEN, **bad), scores) == []


def test_a_policy_is_healthy_up_to_half_way():
    assert watched(RISEN | {"distinct": 0.82})[0].healthy
    watch, found = watched(RISEN | {"distinct": 0.80})
    assert not watch.healthy
    assert found == []


def test_an_unknown_reward_raises_nothing():
    assert watched({"reward": float("nan"), "distinct": 0.1})[1] == []


@pytest.mark.parametrize(("seventh", "columns"), [(2.0, ["term.held"]), (3.0, [])])
def test_an_oracle_that_always_says_the_same_is_told_once_after_ten_updates(seventh, columns):
    watch = Watch(LettersDomain(), oracles=["held"])
    for update in range(1, 21):
        value = seventh if update == 7 else 2.0
        new = watch.look(row_of(update), scores_of(WORDS, [value] * len(WORDS)))
        assert [alarm.column for alarm in new] == (columns if update == WINDOW else [])
        watch.restore(json.loads(json.dumps(watch.state())))
    for alarm in watch.raised:
        assert alarm.message.startswith("update 10: the term held has said 2 of every item so far, 'abc' among them")


@pytest.mark.parametrize(("paid", "said"), [(0.0, "; no item passes the filters, perhaps"), (2.5, "")])
def test_a_reward_that_is_the_same_of_all_is_told_after_three_updates(paid, said):
    """A filter that nothing passes: the run went on to its end at reward 0, without a word."""
    watch, found = Watch(LettersDomain()), []
    same = dataclasses.replace(scores_of(WORDS), reward=np.full((len(WORDS), 1), paid))
    for update in range(1, 13):
        found += watch.look(row_of(update), same)
        watch.restore(json.loads(json.dumps(watch.state())))
    (alarm,) = found
    message = f"update 3: the reward of every sequence so far is {paid:g}: nothing can be learnt from it{said}"
    assert (alarm.column, alarm.message, alarm.text) == ("reward.", message, "abc")
    assert not [new for update in range(1, 4) for new in Watch(LettersDomain()).look(row_of(update), scores_of(WORDS))]


def test_what_it_remembers_is_restored():
    watch, found = watched(RISEN | {"distinct": 0.1})
    other = Watch(LettersDomain())
    other.restore(watch.state())
    assert (other.rows, other.raised) == (watch.rows, found)
    assert other.look(row_of(41, **RISEN, distinct=0.1), scores_of(WORDS)) == []


def test_shares_are_of_the_items():
    texts = ["ab", "aba", "aba", None, "ba", "c"]
    assert largest_family(LettersDomain(), ["ab", "ba", "aba"]) == ["ab", "aba"]
    assert shares(LettersDomain(), texts) == {"largest_family": 0.6}
    assert shares(LettersDomain(), [None]) == {"largest_family": 0.0}


def test_without_families_every_text_is_its_own_and_copies_are_counted_where_the_domain_can_say():
    class Bookish(LettersDomain):
        family = Domain.family

        def in_corpus(self, texts):
            return [text == "ab" for text in texts]

    domain, texts = Bookish(), ["ab", "aba", "aba", None, "ba", "c"]
    assert shares(domain, texts) == {"largest_family": 0.4, "in_corpus": 0.2}
    watch, ill = Watch(domain), {"reward": 0.7, "in_corpus": 0.9}
    for update in range(1, ENOUGH + 1):
        found = watch.look(row_of(update, **{"in_corpus": 0.0, **(ill if update > START else {})}), scores_of(texts))
    assert [(alarm.column, alarm.text) for alarm in found] == [("in_corpus", "ab")]


def greed(ids):
    """A term that is easy to exploit: 1 for each `a`, wherever."""
    return np.where(ids == A, 1.0, 0.0)


class Exploitable(FixedLettersDomain):
    """Words of six letters that are paid for every `a`."""

    max_length = 6

    def terms(self):
        return [TokenTerm("greed", 1.0, "", "tests", greed), *super().terms()]


WEIGHTS = {"greed": 1.0, "rises": 0.0, "variety": 0.0}


def run_of(folder, **settings):
    fast = {"rollouts": 32, "batch": 32, "replay": 128, "learning_rate": 5e-3, "updates": 24}
    config = TrainConfig(domain="letters", weights=WEIGHTS, **{**fast, **settings})
    tuner = Tuner(Exploitable(), config, new_model(fixed_length=True))
    folder.mkdir(exist_ok=True)
    warned = []
    run = RunFolder(folder)
    resume(tuner, run)
    tune(tuner, run, lambda row: None, warned.append)
    return tuner, run, warned


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory):
    """A run whose temperature is far too small for a term that is easy to exploit."""
    return run_of(tmp_path_factory.mktemp("runs") / "run", temperature=0.02)


def test_a_policy_made_to_collapse_is_warned_of(collapsed):
    tuner, run, warned = collapsed
    assert {"distinct", "entropy", "largest_family"} == {alarm.column for alarm in warned}
    assert {alarm.text for alarm in warned} == {"aaaaaa"}
    logged = rows(run.folder / "alarms.csv")
    assert logged == [{k: str(v) for k, v in dataclasses.asdict(alarm).items()} for alarm in warned]
    assert (tuner.update, tuner.went_back) == (24, False)


def test_a_collapse_is_taken_back_when_asked_for(tmp_path):
    tuner, run, warned = run_of(tmp_path / "run", temperature=0.02, stop_on_collapse=True)
    assert tuner.went_back
    assert tuner.update == warned[0].update == len(rows(run.folder / "metrics.csv"))
    assert 0 < tuner.healthy_update < tuner.update
    saved = load_model(run.folder, "policy")
    for one, other in zip(saved.parameters(), tuner.healthy.parameters(), strict=True):
        assert one.equal(other)
    table = rows(run.folder / "metrics.csv")
    start, then, end = (float(table[i - 1]["entropy"]) for i in (1, tuner.healthy_update, tuner.update))
    assert then > 0.75 * start > 0.5 * start > end
    again, _, repeated = run_of(tmp_path / "run", temperature=0.02, stop_on_collapse=True)
    assert (again.update, again.went_back, repeated) == (tuner.update, True, [])
    regardless, *_ = run_of(tmp_path / "run", temperature=0.02)
    assert (regardless.update, regardless.went_back) == (24, False)


def test_a_healthy_run_raises_none(tmp_path):
    _, run, warned = run_of(tmp_path / "run", temperature=2.0)
    assert warned == []
    assert not (run.folder / "alarms.csv").exists()


def test_a_stop_and_a_resume_change_no_alarm(collapsed, tmp_path):
    *_, straight = collapsed
    *_, first = run_of(tmp_path / "run", temperature=0.02, updates=straight[0].update)
    *_, second = run_of(tmp_path / "run", temperature=0.02)
    assert first
    assert second
    assert first + second == straight


def test_what_is_held_out_is_evaluated_and_never_paid(tmp_path):
    held = {"weights": {"greed": 1.0}, "hold_out": ("rises", "variety")}
    config = TrainConfig(domain="letters", rollouts=16, batch=16, **held)
    tuner = Tuner(Exploitable(), config, new_model(fixed_length=True))
    row = tuner.step()
    assert {"term.greed", "held_out.rises", "held_out.variety"} <= set(row)
    assert not {"term.rises", "term.variety"} & set(row)
    assert row["reward"] == pytest.approx(row["term.greed"])
    assert row["held_out.rises"] == pytest.approx(tuner.scores.terms["rises"].mean())


def test_a_term_is_paid_or_held_out():
    with pytest.raises(UserError, match="'rises' is held out and has weight 2: a term is paid or held out"):
        TrainConfig(weights={"rises": 2.0}, hold_out=("rises",))
    assert TrainConfig(weights={"rises": 0.0}, hold_out=("rises",)).term_weights == {"rises": 0.0}


def test_an_unknown_term_cannot_be_held_out():
    with pytest.raises(UserError, match="unknown term of domain 'fixedletters' 'rise'; did you mean 'rises'"):
        Tuner(Exploitable(), TrainConfig(domain="letters", hold_out=("rise",)), new_model(fixed_length=True))


def test_what_is_held_out_is_saved_and_read_again(installed):
    config = build(TrainConfig, {"domain": "letters", "hold_out": ["rises"], "stop_on_collapse": True})
    assert build(TrainConfig, tomllib.loads(to_toml(config))) == config
    assert config.hold_out == ("rises",)
    with pytest.raises(UserError, match="hold_out in the config must be a list of texts, not 'rises'"):
        build(TrainConfig, {"hold_out": "rises"})
    with pytest.raises(UserError, match="stop_on_collapse in the config must be true or false, not 1"):
        build(TrainConfig, {"stop_on_collapse": 1})


def test_what_the_samples_have_most_of_alarms_when_it_takes_over():
    class Patterned(LettersDomain):
        def commonest(self, texts):
            return [text.count("b") / len(text) for text in texts]

    assert shares(Patterned(), ["ab", "b", None, "c"]) == {"largest_family": 1 / 3, "commonest": 0.5}
    assert shares(Patterned(), [None])["commonest"] == 0.0
    for share, columns in ((0.32, []), (0.33, ["commonest"])):
        watch, found = Watch(Patterned()), []
        for update in range(1, ENOUGH + 1):
            now = RISEN | {"commonest": share} if update > START else {"commonest": 0.1}
            found += watch.look(row_of(update, **now), scores_of(("ab", "b", "ca")))
        assert [alarm.column for alarm in found] == columns
    (alarm,) = found
    assert alarm.text == "b"
    assert f"update {ENOUGH}: the share of the commonest passages grows from 10% to 33%" in alarm.message


def test_a_plugin_that_cannot_say_what_is_commonest_ends_no_run():
    class Torn(LettersDomain):
        def commonest(self, texts):
            return [0.5]

    assert np.isnan(shares(Guarded(Torn()), ["ab", "b"])["commonest"])


def test_a_reward_that_is_the_same_of_all_ends_no_run(tmp_path):
    """`--stop-on-collapse` is for a policy that was good: one that has found nothing yet goes on looking."""
    config = TrainConfig(
        domain="letters", updates=5, rollouts=8, weights={"rises": 0.0, "variety": 1.0}, stop_on_collapse=True
    )
    tuner = Tuner(Silent(), config, new_model(spread=1.0, hidden=8))
    found = [alarm.column for _ in range(5) for alarm in tuner.guard(tuner.step())]
    assert found == [PAID]
    assert not tuner.went_back


class Silent(LettersDomain):
    """Words of which every one is worth nothing."""

    def terms(self):
        return [dataclasses.replace(term, values=lambda texts: np.zeros(len(texts)), invalid=0.0)
                if term.name == "variety" else term for term in super().terms()]  # fmt: skip
