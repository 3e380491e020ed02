"""A table of measured texts as a reward: the process beside its closed form, the term, one command, bad tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from letters import LettersDomain, Options, new_model
from scored import MANY, record_file

import seqtutor
from seqtutor.cli import main
from seqtutor.files import digest, read_toml
from seqtutor.inference.process import Kernel, Rows, fit, foreseen, likeliest
from seqtutor.inference.spectrum import alike, spectra
from seqtutor.priors.files import save_model
from seqtutor.rewards.surrogate import Surrogate
from seqtutor.rewards.terms import settings_of, weighted_terms


def rows_of(n, seed, features=5):
    return np.random.default_rng(seed).normal(size=(n, features))


def plain(figures, named):
    """Items of which figures alone are known."""
    return Rows(figures, named, np.zeros((len(figures), 0)))


def bent(rows):
    return np.cos(2 * rows[:, 0]) + 0.5 * rows[:, 1]


def test_mean_and_sd_are_those_of_the_conditional_normal():
    rows, new = rows_of(12, 0), rows_of(3, 1)
    values = bent(rows) + 0.1 * rows_of(12, 2)[:, 0]
    numbers = Kernel(share=0.6, length=0.8, noise=0.3)
    mean, sd = fit(plain(rows, 2), values, numbers)(plain(new, 2))
    together = np.vstack([new, rows])
    square = ((together[:, None] - together[None]) ** 2) / (2 * 0.8**2)
    alike = 0.7 * (0.6 * np.exp(-square[..., :2].mean(-1)) + 0.4 * np.exp(-square[..., 2:].mean(-1)))
    known = np.linalg.inv(alike[3:, 3:] + 0.3 * np.eye(12))
    standard = (values - values.mean()) / values.std()
    np.testing.assert_allclose(mean, values.mean() + values.std() * alike[:3, 3:] @ known @ standard, atol=1e-10)
    left = alike[:3, :3] - alike[:3, 3:] @ known @ alike[3:, :3]
    np.testing.assert_allclose(sd, values.std() * np.sqrt(np.diag(left)), atol=1e-10)


def test_runs_of_tokens_have_their_part_in_the_kernel():
    domain, words = LettersDomain(Options(longest=9)), MANY[:15]
    figures, runs = rows_of(15, 0), spectra(domain, words)
    values = np.array([float(word.count("ab")) for word in words])
    rows = Rows(figures, 5, runs)
    numbers = Kernel(share=1.0, length=0.8, noise=0.2, runs=0.4)
    mean, _ = fit(rows[np.arange(12)], values[:12], numbers)(rows[np.arange(12, 15)])
    square = ((figures[:, None] - figures[None]) ** 2).mean(-1) / (2 * 0.8**2)
    near = 0.8 * (0.6 * np.exp(-square) + 0.4 * alike(runs, runs))
    known = np.linalg.inv(near[:12, :12] + 0.2 * np.eye(12))
    standard = (values[:12] - values[:12].mean()) / values[:12].std()
    np.testing.assert_allclose(
        mean, values[:12].mean() + values[:12].std() * near[12:, :12] @ known @ standard, atol=1e-6
    )


def test_the_part_of_the_runs_is_chosen_by_what_they_tell():
    domain = LettersDomain(Options(longest=13))
    words = list(dict.fromkeys("".join(np.random.default_rng(i).choice(list("ab"), 12)) for i in range(300)))[:250]
    figures, runs = rows_of(len(words), 1), spectra(domain, words)
    by_runs = np.array([float(word.count("ab")) for word in words])
    assert likeliest(Rows(figures, 5, runs), by_runs).runs >= 0.5
    assert likeliest(Rows(figures, 5, runs), bent(figures)).runs <= 0.25


def test_far_from_all_that_was_measured_nothing_is_won():
    rows = rows_of(50, 0)
    values = bent(rows)
    process = fit(plain(rows, 5), values, Kernel(1.0, 0.7, 0.1))
    mean, sd = process(plain(np.full((1, 5), 40.0), 5))
    assert mean == pytest.approx(values.mean())
    assert sd == pytest.approx(values.std() * np.sqrt(0.9))


def test_the_numbers_that_are_chosen_know_noise_and_the_block_that_matters():
    rows = rows_of(250, 3, features=8)
    values, noise = bent(rows), np.random.default_rng(4).normal(size=250)
    assert likeliest(plain(rows, 4), values).noise <= 0.05
    assert likeliest(plain(rows, 4), values).share >= 0.75
    assert likeliest(plain(rows[:, ::-1], 4), values).share <= 0.25
    assert likeliest(plain(rows, 4), noise).noise >= 0.7


def test_its_sd_is_honest():
    """Of 2,000 new rows the truth lies within 1.96 sd for 95 in 100, give or take what the chosen numbers are off."""
    covered = []
    for seed in range(4):
        rows, new = rows_of(150, 10 + seed, features=3), rows_of(500, 20 + seed, features=3)
        values = bent(rows) + 0.3 * np.random.default_rng(seed).normal(size=150)
        mean, sd = fit(plain(rows, 3), values)(plain(new, 3))
        covered.append(np.abs(mean - bent(new)) < 1.96 * sd)
    assert 0.9 < np.mean(covered) < 0.99


def test_what_is_foreseen_of_a_group_never_saw_it():
    """A value that only its own group shares cannot be foreseen; within a fold it could."""
    groups = np.repeat(np.arange(30), 4)
    centre = 5 * rows_of(30, 5)[groups]
    rows = centre + 0.01 * rows_of(120, 6)
    values = np.random.default_rng(7).normal(size=30)[groups]
    apart = np.corrcoef(foreseen(plain(rows, 5), values, groups), values)[0, 1]
    mixed = np.corrcoef(foreseen(plain(rows, 5), values, np.arange(120)), values)[0, 1]
    assert mixed > 0.9
    assert abs(apart) < 0.5


@pytest.fixture
def measured(installed, tmp_path, monkeypatch):
    """A folder with a small prior and a table of words whose score is how many a they have."""
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    record_file("words.csv", MANY, [float(word.count("a")) for word in MANY])
    return tmp_path


def train(*words):
    common = ["--domain", "letters", "--prior", "./prior", "--updates", "12", "--samples", "100"]
    return CliRunner().invoke(main, ["train", *common, *words])


def line(result):
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def metrics(folder):
    with (Path(folder) / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_one_command_from_a_table_to_a_model_that_writes_what_scores_well(measured):
    result = train("--surrogate", "score=words.csv", "--output", "run")
    assert result.exit_code == 0, result.output
    said, count = " ".join(result.output.split()), len(MANY)
    assert f"score: {count} lines of {count} texts, which stand in column word; of the variance of" in said
    assert "of the variance of groups held out it foresees" in said
    assert f"Nobody has judged what stands here: the reward is foreseen. score: {count} lines" in said
    config = read_toml(Path("run/config.toml"))
    table = config["terms"]["score"]
    assert (table["prior"], table["column"], table["digest"]) == ("./prior", "score", digest(Path("words.csv")))
    assert table["invalid"] == beyond(0.0, -2)
    assert config["weights"] == {"rises": 0.0, "variety": 0.0, "score": 1.0}
    first, *_, last = metrics("run")
    assert float(last["term.score"]) > float(first["term.score"])
    assert float(last["sd.score"]) > 0
    assert "Nobody has judged what stands here: the reward is foreseen. score: " in Path("run/report.html").read_text(
        encoding="utf-8"
    )
    drawn = CliRunner().invoke(main, ["generate", "./run", "-n", "4", "--draws", "8", "--output", "drawn"])
    assert drawn.exit_code == 0, drawn.output


def test_a_run_resumes_exactly_and_refuses_a_table_that_has_changed(measured):
    assert train("--surrogate", "score=words.csv", "--output", "whole").exit_code == 0
    assert train("--surrogate", "score=words.csv", "--output", "parts", "--updates", "5").exit_code == 0
    resumed = CliRunner().invoke(main, ["train", "--resume", "parts", "--updates", "12"])
    assert resumed.exit_code == 0, resumed.output
    assert metrics("parts") == metrics("whole")
    more = ["train", "--resume", "parts", "--surrogate", "score=words.csv"]
    assert "a resumed run keeps what it learnt its reward from" in line(CliRunner().invoke(main, more))
    with Path("words.csv").open("a") as file:
        file.write("abc,9\n")
    changed = line(CliRunner().invoke(main, ["train", "--resume", "parts", "--updates", "14"]))
    assert "the table words.csv has changed since this run began" in changed


def test_a_folder_of_tables_is_one_table_and_sealed_as_a_whole(measured):
    Path("assays").mkdir()
    half = len(MANY) // 2
    for name, words in (("one.csv", MANY[:half]), ("two.csv", MANY[half:])):
        record_file(f"assays/{name}", words, [float(word.count("a")) for word in words])
    result = train("--surrogate", "score=assays", "--output", "run", "--updates", "2")
    assert result.exit_code == 0, result.output
    assert f"score: {len(MANY)} lines of {len(MANY)} texts" in " ".join(result.output.split())
    assert train("--surrogate", "score=words.csv", "--output", "file", "--updates", "2").exit_code == 0
    assert metrics("run") == metrics("file")
    again = CliRunner().invoke(main, ["train", "--resume", "run", "--updates", "3"])
    assert again.exit_code == 0, again.output
    with Path("assays/two.csv").open("a") as file:
        file.write("abca,1\n")
    changed = line(CliRunner().invoke(main, ["train", "--resume", "run", "--updates", "4"]))
    assert "the table assays has changed since this run began" in changed


def test_caution_takes_from_the_better_side_and_from_neither_where_neither_is_better(measured):
    words = ["b", "bca", "cab"]

    def values(**table):
        settings = settings_of({"score": {"surrogate": "words.csv", "prior": "./prior", **table}})
        (term,) = [term for term in weighted_terms(LettersDomain(), {}, settings) if term.name == "score"]
        return term.values(words)

    plain = values(caution=0.0)
    assert (values() < plain).all()
    assert (values(transform={"kind": "reverse_sigmoid", "low": 0.0, "high": 1.0}) > plain).all()
    assert (values(transform={"kind": "step", "low": 0.5}) < plain).all()
    assert (values(transform={"kind": "interpolation", "points": [[0, 1], [1, 0.5], [2, 0]]}) > plain).all()
    window = {"kind": "double_sigmoid", "low": 0.0, "high": 1.0}
    np.testing.assert_array_equal(values(transform=window), plain)


def test_what_it_must_not_read_it_does_not_read(measured):
    told = Surrogate(Path("words.csv"), "score", LettersDomain(), "./prior")
    blind = Surrogate(Path("words.csv"), "score", LettersDomain(), "./prior", without=["variety"])
    assert told.rows(["abc"])[0].named == blind.rows(["abc"])[0].named + 1
    assert told.version() != blind.version()


def test_a_callable_that_is_a_dataclass_is_a_reward(measured):
    term = Surrogate(Path("words.csv"), "score", LettersDomain(), "./prior", caution=0.0)
    run = seqtutor.tune("letters", prior="./prior", terms={"mine": term}, updates=1, samples=20, folder="run")
    assert {"mine"} <= {row["name"] for row in run.summary["terms"]}


def test_what_is_wrong_with_a_table_is_one_line_before_there_is_a_folder(measured):
    lines = Path("words.csv").read_text().splitlines(keepends=True)
    assert "--surrogate takes NAME=..., such as --surrogate pIC50=assay.csv" in line(train("--surrogate", "words.csv"))
    assert "there is no table nowhere.csv to learn 'score' from" in line(train("--surrogate", "score=nowhere.csv"))
    none = line(train("--surrogate", "pIC50=words.csv", "--output", "x"))
    assert "the record words.csv has no column 'pIC50' (it has: word, score)" in none
    assert "or as the NAME of --surrogate" in none
    Path("few.csv").write_text("".join(lines[:13]) + "ab,high\n")
    few = line(train("--surrogate", "score=few.csv", "--output", "x"))
    assert "the table few.csv has 12 different texts with a score" in few
    assert "score is 'high', and a number is needed" in few
    assert "a surrogate needs 20, better 200" in few
    assert "--caution 2 is about a learnt reward: name --taste FILE or --surrogate NAME=FILE" in line(
        train("--caution", "2")
    )
    assert "caution in [terms.score] must be at least 0, not -1" in line(
        train("--surrogate", "score=words.csv", "--caution", "-1")
    )
    assert not Path("x").exists()


def test_a_table_that_tells_nothing_says_so(measured):
    rng = np.random.default_rng(0)
    record_file("noise.csv", MANY, rng.normal(size=len(MANY)))
    term = Surrogate(Path("noise.csv"), "score", LettersDomain(), "./prior")
    term.open()
    assert term.sentence.endswith("that is no evidence that it foresees anything")


@pytest.mark.parametrize(
    ("option", "first", "second"),
    [
        ("--surrogate", "score=words.csv", "score=other.csv"),
        ("--function", "score=a:b", "score=c:d"),
        ("--transform", "rises=sigmoid,low=0,high=1", "rises=reverse_sigmoid,low=0,high=1"),
    ],
)
def test_a_name_that_is_given_twice_is_refused(measured, option, first, second):
    """The last one was taken in silence."""
    result = CliRunner().invoke(main, ["train", "--domain", "letters", option, first, option, second])
    assert result.exit_code == 1
    name, _, rest = second.partition("=")
    assert f"{option} names '{name}' twice, the second time as '{rest}'" in " ".join(result.stderr.split())


@pytest.mark.parametrize("transform", [None, {"kind": "reverse_sigmoid", "low": 0.0, "high": 1.0}])
def test_a_weight_below_zero_turns_the_caution_round(measured, transform):
    """Else what is not known would be paid for: R falls with the value, and the doubt is taken from that."""
    table = {"surrogate": "words.csv", "prior": "./prior", "transform": transform}
    settings = settings_of({"score": {key: value for key, value in table.items() if value}})

    def caution(weight):
        (term,) = [t for t in weighted_terms(LettersDomain(), {"score": weight}, settings) if t.name == "score"]
        return term.values.caution

    assert caution(-1.0) == -caution(1.0) != 0


def test_it_looks_through_the_prior_that_the_options_ask_for(installed, tmp_path, monkeypatch):
    monkeypatch.setattr(LettersDomain, "own_prior", property(lambda self: "letters-of-another-kind"), raising=False)
    settings = settings_of({"score": {"surrogate": "words.csv"}})
    (term,) = [term for term in weighted_terms(LettersDomain(), {}, settings) if term.name == "score"]
    assert term.values.prior == "letters-of-another-kind"


def test_where_all_is_of_one_family_nothing_can_be_held_out_and_that_is_said(measured, monkeypatch):
    """It ended in a traceback: a table of one scaffold, which is what a chemist who optimises a lead has."""
    monkeypatch.setattr(LettersDomain, "family", lambda self, text: "one")
    result = train("--surrogate", "score=words.csv", "--output", "run")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "of too few families to hold some out and see what it foresees" in said
    assert "nan" not in said


def test_a_weight_that_is_typed_turns_the_worst_round_too(measured):
    result = train("--surrogate", "score=words.csv", "--weight", "score=-1", "--updates", "1", "--output", "run")
    assert result.exit_code == 0, result.output
    assert read_toml(Path("run/config.toml"))["terms"]["score"]["invalid"] == beyond(3.0, 2)


@pytest.mark.parametrize(
    ("table", "worst", "sds"),
    [
        ('better = "lower"', -3.0, -2),
        ("weight = -1.0", 3.0, 2),
        ("", 0.0, -2),
        ("caution = 3.0", 0.0, -4),
    ],
)
def test_what_is_no_item_is_worth_less_than_all_that_can_be_foreseen(measured, table, worst, sds):
    """Where less is better it was worth more than every item; and where most lies near the least, than most."""
    Path("mine.toml").write_text(
        f'domain = "letters"\nprior = "./prior"\n[terms.score]\nsurrogate = "words.csv"\n{table}\n'
    )
    result = CliRunner().invoke(main, ["train", "--config", "mine.toml", "--updates", "1", "--output", "run"])
    assert result.exit_code == 0, result.output
    assert read_toml(Path("run/config.toml"))["terms"]["score"]["invalid"] == beyond(worst, sds)


def beyond(worst, sds):
    """The score of no item: so many standard deviations of the table from the worst of it."""
    with Path("words.csv").open(newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    return pytest.approx(worst + sds * np.std(scores))
