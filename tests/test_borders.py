"""What two strangers tried on a script, an objective of their own and the files behind a reward, and was wrong."""

from __future__ import annotations

import copy
import csv
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import replace_installed
from letters import LettersDomain, new_model

from seqtutor import SequenceTerm, UserError, evaluate, generate, load, load_run, pretrain, tune
from seqtutor.cli import main
from seqtutor.cli.options import as_typed
from seqtutor.files import read_toml
from seqtutor.objectives import Objective, OffPolicy
from seqtutor.option import option
from seqtutor.plugin.guard import guarded
from seqtutor.plugin.installed import find, installed
from seqtutor.priors.files import save_model
from seqtutor.rewards.programs import Program
from seqtutor.runs.status import status_of

TINY = {"updates": 2, "samples": 10, "rollouts": 8, "best_of": 2}
pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prior(tmp_path):
    folder = tmp_path / "prior"
    folder.mkdir()
    save_model(new_model(spread=1.0, hidden=8), folder, "model", domain="letters")
    return str(folder)


def length(texts):
    return [float(len(text)) for text in texts]


def shrinks(texts):
    values = length(texts)
    texts.sort()
    texts.pop()
    return values


def exits(texts):
    sys.exit(3)


def test_what_a_function_does_to_its_list_moves_no_value_to_another_text(prior):
    run = tune("letters", prior=prior, terms={"x": shrinks}, folder="run", **TINY)
    with (run.folder / "samples.csv").open(encoding="utf-8") as file:
        rows = [(row["text"], float(row["term.x"])) for row in csv.DictReader(file) if row["text"]]
    assert rows
    assert all(value == len(text) for text, value in rows)


def test_a_function_that_exits_fails_for_its_texts_alone(prior):
    with pytest.warns(UserWarning, match=r"failures to score a text .* the last of 'x'"):
        run = tune("letters", prior=prior, terms={"x": exits}, folder="run", **TINY)
    assert "it asked to end the process, with 3" in (run.folder / "failures.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["measure", "decode", "family"])
def test_a_plugin_that_exits_ends_the_command_with_a_line_not_in_silence(method, prior, monkeypatch):
    def leave(*given):
        sys.exit()

    monkeypatch.setattr(LettersDomain, method, leave, raising=False)
    with pytest.raises(UserError, match=f"domain 'letters', {method}: SystemExit"):
        tune("letters", prior=prior, folder="run", **TINY)


def test_a_term_of_a_plugin_that_exits_scores_nothing_and_says_so(prior, monkeypatch):
    terms = [SequenceTerm("x", 1.0, "exits", "", exits)]
    monkeypatch.setattr(LettersDomain, "terms", lambda self: terms)
    with pytest.raises(UserError, match=r"term 'x': it scores none of .* items .it asked to end the process, with 3"):
        tune("letters", prior=prior, folder="run", **TINY)


def test_what_another_function_of_a_name_said_is_not_learnt_from_again(prior):
    settings = {"objective": "tb", "prior": prior, **TINY}
    tune("letters", terms={"x": length}, folder="same", **settings)
    tune("letters", terms={"x": length}, folder="other", **settings)
    same = tune(resume="same", terms={"x": length}, updates=3)
    other = tune(resume="other", terms={"x": lambda texts: [-float(len(text)) for text in texts]}, updates=3)
    stages = [read_toml(run.folder / "config.toml")["made_by"].get("stages", "") for run in (same, other)]
    assert stages == ["from update 3 on other updates", "from update 3 on other answers of x, terms, updates"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda prior: tune(LettersDomain(), options={"longest": 3}, prior=prior), "has its options: make it with"),
        (lambda prior: tune(LettersDomain, prior=prior), "domain is the class LettersDomain"),
        (lambda prior: tune(3, prior=prior), "domain must be a name, or a Domain, not 3"),
        (lambda prior: tune(prior=prior), "name a domain, such as tune"),
        (lambda prior: tune("letters", prior=prior, terms={3: length}), "a term cannot be called 3"),
        (lambda prior: tune("letters", prior=prior, terms={"my term": length}), "a term cannot be called 'my term'"),
        (lambda prior: generate(prior, 3, temperature=None), "temperature must be a number, not None"),
        (lambda prior: pretrain("letters", ["ab"] * 60 + ["abc" * 9]), r"data\[60\].*it is too short, or too long"),
        (
            lambda prior: tune("letters", prior=prior, terms={"x": {"function": length, "timeout": 1.0}}),
            "timeout in .terms.x. is for a worker process",
        ),
        (
            lambda prior: tune("letters", prior=prior, terms={"variety": {"caution": 2.0}}),
            "caution in .terms.variety. is about a taste or a surrogate",
        ),
        (lambda prior: tune("letters", resume=prior), "is a prior, and no run"),
        (lambda prior: load_run(prior), "is a prior, and no run"),
        (lambda prior: load_run(None), "a run is loaded from its folder, not from None"),
        (lambda prior: generate(prior, "3"), "n must be a whole number of at least 1, not '3'"),
        (lambda prior: generate(prior, 3.0), "n must be a whole number"),
        (lambda prior: generate(prior, 3, draws=True), "draws must be a whole number"),
        (lambda prior: generate(prior, 3, seed=None), "seed must be a whole number, not None"),
        (lambda prior: generate(prior, 3, temperature="hot"), "temperature must be a number, not 'hot'"),
        (lambda prior: generate(prior, 3, primer=["a"]), "primer must be text, or the path of a file"),
        (lambda prior: generate(prior, 10**12), "1,000,000,000,000 samples needs 32,000 GB"),
        (lambda prior: tune("letters", prior=prior, samples=10**12), "samples 1,000,000,000,000 needs"),
        (lambda prior: generate(prior, options={1: 2}), "unknown option of domain 'letters' '1'"),
        (lambda prior: load("letters", "longest"), "options must be a dict of values by name, not 'longest'"),
        (lambda prior: pretrain("letters", options=["longest"]), "options must be a dict of values by name"),
        (lambda prior: tune("letters", prior=prior, weights={3: 1.0}), "unknown term of domain 'letters' '3'"),
        (lambda prior: tune("letters", terms=length), "terms must be a dict of functions or tables by name, not <func"),
        (lambda prior: load_run(prior, terms=[length]), "terms must be a dict of functions or tables by name"),
        (lambda prior: evaluate(prior, leave_out=[3]), "unknown term to leave out '3'"),
        (lambda prior: evaluate(prior, leave_out=[["x"]]), r"unknown term to leave out '\['x'\]'"),
        (lambda prior: evaluate(prior, leave_out=None), "leave_out must be a list of names, not None"),
        (lambda prior: evaluate(prior, leave_out="key"), "leave_out must be a list of names, not 'key'"),
        (lambda prior: tune("letters", folder="a\0b"), r"folder holds a NUL character, .*: 'a\\x00b'"),
        (lambda prior: tune("letters", prior=prior, cache="a\0b"), "cache in the arguments holds a NUL character"),
        (lambda prior: tune("letters", folder=3), "folder must be the path of a folder, not 3"),
        (lambda prior: pretrain("letters", folder=3), "folder must be the path of a folder, not 3"),
        (lambda prior: tune(resume=b"x"), "resume must be the folder of a run, not b'x'"),
        (lambda prior: tune("letters", prior=prior, report=3), "report must be a function, not 3"),
        (lambda prior: pretrain("letters", ["ab"] * 60, report="x"), "report must be a function, not 'x'"),
        (lambda prior: pretrain("letters", {"ab", "b"}), r"data must be a list of texts, not \{"),
        (lambda prior: generate(None, 3), "a model is a Run, or the name or folder of one, not None"),
        (lambda prior: evaluate(), "name at least one model"),
        (lambda prior: evaluate(prior, n=1), "n must be a whole number of at least 2, not 1"),
        (lambda prior: evaluate(prior, seed=-1), "seed must lie between 0"),
        (lambda prior: evaluate(prior, leave_out=["zzz"]), "unknown term to leave out 'zzz'"),
        (lambda prior: pretrain("letters", "ab"), "data must be a list of texts"),
        (lambda prior: pretrain("letters", [1, 2]), r"data\[0\] is no text: 1"),
        (lambda prior: pretrain("letters", ["ab"] * 60 + ["zz"]), r"data\[60\], 'zz', is no item of 'letters'"),
        (lambda prior: pretrain("letters", ["ab"] * 3), "at least 50 are needed"),
        (lambda prior: pretrain("letters", ["ab"] * 60, prior=prior, hidden=16), "hidden is that of the prior"),
    ],
)
def test_a_mistake_in_a_script_is_one_line(prior, call, said):
    with pytest.raises(UserError, match=said) as caught:
        call(prior)
    assert "\n" not in str(caught.value)
    assert [path.name for path in Path().iterdir()] == ["prior"]


def test_a_run_goes_on_as_what_it_is_where_it_is(prior):
    run = tune("letters", prior=prior, folder="run", **TINY)
    with pytest.raises(UserError, match="is of domain 'letters', and keeps it: not 'fixedletters'"):
        tune("fixedletters", resume="run", updates=3)
    Path("other.toml").write_text('domain = "fixedletters"\nupdates = 3\n')
    with pytest.raises(UserError, match="a run goes on in its own folder, run: leave other out"):
        tune(resume="run", folder="other", updates=3)
    for words, said in (
        (["--output", "other"], "goes on in its own folder"),
        (["--domain", "fixedletters"], "is of domain 'letters', and keeps it"),
        (["--domain", ""], "is of domain 'letters', and keeps it: not ''"),
        (["--config", "other.toml"], "is of domain 'letters', and keeps it: not 'fixedletters'"),
    ):
        result = CliRunner().invoke(main, ["train", "--resume", "run", *words])
        assert result.exit_code == 1
        assert said in result.output
    assert not Path("other").exists()
    assert load_run(run).folder == run.folder
    os.chdir("/")
    for file, ask in (
        ("metrics.csv", lambda: run.metrics),
        ("summary.json", run.table),
        ("report.html", run._repr_html_),
    ):
        ask()
        (run.folder / file).rename(run.folder / f"{file}.away")
        with pytest.raises(UserError, match=f"there is no .*/run/{file}: load the run again"):
            ask()


def test_a_run_with_a_function_of_a_session_is_given_it_again(prior):
    tune("letters", prior=prior, terms={"x": length}, folder="run", **TINY)
    with pytest.raises(UserError, match="pass it again"):
        evaluate(load_run("run"), n=8)
    for words in (["generate", "run/", "-n", "2"], ["evaluate", "run/", "-n", "8", "--trust"]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0
        assert "left out: x, of the Python session that made the run" in result.output
    result = CliRunner().invoke(main, ["generate", "run/", "-n", "2", "--draws", "4", "--trust"])
    assert "of which 'x' is a part, of the Python session" in result.output
    with pytest.raises(UserError, match="unknown term from outside of the run run 'y'"):
        load_run("run", terms={"y": length})
    run = load_run("run", terms={"x": length})
    (found,) = evaluate(run, n=8)
    assert "x" in [figure.name for figure in found.figures]
    assert len(generate(run, 2, draws=40, reward_temperature=10.0)) == 2


def test_a_function_that_is_given_again_is_paid_as_it_was(prior):
    table = {"function": length, "weight": 5.0, "transform": {"kind": "reverse_sigmoid", "low": 0, "high": 3}}
    run = tune("letters", prior=prior, terms={"x": table}, folder="run", **TINY)
    again = load_run("run", terms={"x": length})
    (first,), (other,) = evaluate(run, n=20), evaluate(again, n=20)
    assert first.reward.mean == other.reward.mean
    resumed = tune(resume="run", terms={"x": length}, updates=3)
    assert resumed.config.terms["x"]["transform"] == table["transform"]
    assert read_toml(run.folder / "config.toml")["made_by"]["stages"] == "from update 3 on other updates"


def test_another_run_as_a_reward_is_not_mistaken_for_the_one_before(prior):
    settings = {"objective": "tb", "prior": prior, **TINY}
    for name, seed in (("A", 0), ("B", 1)):
        tune("letters", folder=name, seed=seed, **settings)
    tune("letters", terms={"x": {"run": "A/"}}, folder="R", **settings)
    resumed = tune(resume="R", terms={"x": {"run": "B/"}}, updates=3)
    assert "answers of x" in read_toml(resumed.folder / "config.toml")["made_by"]["stages"]


def test_what_is_left_out_does_not_count(prior):
    (whole,), (without,) = evaluate(prior, n=64), evaluate(prior, n=64, leave_out=["variety"])
    named = [{figure.name: figure.mean for figure in found.figures} for found in (whole, without)]
    assert named[0]["reward"] != named[1]["reward"]
    assert named[1]["reward"] == pytest.approx(named[1]["rises"])


def test_an_item_is_copied_and_sent_as_its_text(prior):
    (item, *_) = generate(prior, 8)
    for other in (copy.copy(item), copy.deepcopy(item), pickle.loads(pickle.dumps(item))):
        assert other == item


@dataclass(frozen=True)
class Own(OffPolicy):
    power: float = option(2.0, "Power.", above=0)


@dataclass(frozen=True)
class Hot(OffPolicy):
    temperature: float = option(2.0, "Heat.", above=0)


@dataclass(frozen=True)
class Long(OffPolicy):
    longest: int = option(2, "Length.", above=0)


@dataclass(frozen=True)
class Plain(OffPolicy):
    power: float = 2.0


def right(s):
    return (s.logp**2).sum(-1)


def typo(s, *, powr):
    return right(s)


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (Objective(right, Own, reference="nonsense"), "its reference is 'nonsense'; possible are average"),
        (Objective(right, Own, reference="average"), "need a target_rate"),
        (Objective(right, Hot), "option 'temperature' has a name that the commands use themselves"),
        (
            Objective(right, Long),
            "a number of its own is called longest, as an option of domain 'letters' is; rename it",
        ),
        (Objective(right, Plain), "option 'power' could not be typed, as it has no help"),
        (Objective(right, dict), "it must be a dataclass"),
        (Objective(lambda s, **numbers: s.values.sum((1, 2)) * float("nan"), Own), r"gave \[nan.* must be finite"),
        (Objective(typo, Own), "its loss cannot be used: TypeError: typo.*'powr'"),
        (Objective("letters:nothere", Own), "its loss cannot be used: AttributeError"),
        (Objective(lambda *parts, **numbers: None, Own), "gave NoneType for 4 sequences"),
        (Objective(lambda s, **numbers: s.values.sum(), Own), r"gave \(\) for 4 sequences"),
        (Objective(lambda s, **numbers: s.values.detach().sum((1, 2)), Own), "has no gradient"),
        (Objective(lambda *parts, **numbers: 1 / 0, Own), "ZeroDivisionError.*test_borders.py"),
    ],
)
def test_an_objective_that_cannot_be_used_is_told_in_a_line_before_the_run(prior, monkeypatch, objective, said):
    entry = EntryPoint("mine", "mine:mine", "seqtutor.objectives")
    replace_installed(monkeypatch, "objective", {**installed("objective"), "mine": entry})
    monkeypatch.setattr(
        "seqtutor.objectives.find", lambda kind, name: objective if name == "mine" else find(kind, name)
    )
    with pytest.raises(UserError, match=f"objective 'mine'(:|, Settings:).*{said}"):
        tune("letters", prior=prior, objective="mine", folder="run", **TINY)
    assert not Path("run").exists()
    tune("letters", prior=prior, objective="vargrad", folder="another", **TINY)  # the others are not disturbed


@pytest.mark.parametrize("loss", [typo, lambda s, **numbers: s.values.detach().sum((1, 2))])
def test_verify_refuses_what_train_refuses(monkeypatch, loss):
    """It called a loss proven that no run could use."""
    monkeypatch.setattr("seqtutor.objectives.find", lambda kind, name: Objective(loss, Own))
    result = CliRunner().invoke(main, ["verify", "tb"])
    assert result.exit_code == 1
    said, last = result.output.strip().splitlines()
    assert said.startswith("objective 'tb': its loss")
    assert last == "Error: not proven: tb"


class Lossy(LettersDomain):
    """It forgets a letter."""

    def decode(self, tokens):
        return super().decode([token for token in tokens if token != "c"])


def test_a_corpus_that_does_not_come_back_is_not_learnt_from():
    with pytest.raises(UserError, match=r"decode: '.*' comes back as '.*'; decode\(encode\(x\)\) must be x"):
        pretrain(Lossy(), epochs=1, hidden=8, embedding=4)


def test_a_program_that_prints_without_end_is_refused_in_its_time():
    began = time.monotonic()
    with pytest.raises(UserError, match="printed 'y', which is no answer"):
        Program(("yes",)).probe("ab", 0.3)
    assert time.monotonic() - began < 20


def test_a_program_that_may_not_run_is_named_as_that(tmp_path):
    (tmp_path / "dock.sh").write_text("echo 1", encoding="utf-8")
    for name, why in (("./dock.sh", "it may not be executed"), (str(tmp_path), "it is a folder")):
        with pytest.raises(UserError, match=why):
            Program((name,)).check()


def test_items_have_a_longest_length():
    class Endless(LettersDomain):
        max_length = 10**9

    with pytest.raises(UserError, match="must be a whole number from 1 to 32,768, not 1000000000"):
        guarded(Endless())


def test_a_prior_is_not_a_run_that_has_stopped(prior):
    (Path(prior) / "config.toml").write_text('domain = "letters"\n', encoding="utf-8")
    with pytest.raises(UserError, match="is a prior, and no run"):
        status_of(Path(prior))


def test_a_table_that_changed_is_no_missing_value(prior, tmp_path):
    rows = ["text,x", *(f"{a}{b}{c},{len({a, b, c})}" for a in "abc" for b in "abc" for c in "abc")]
    table = tmp_path / "assay.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    terms = {"x": {"surrogate": str(table)}}
    tune("letters", prior=prior, terms=terms, folder="run", **TINY)
    table.write_text("\n".join([*rows, "ab,2"]) + "\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["generate", "run/", "-n", "3"])
    assert result.exit_code == 0
    assert "left out: x: the table" in result.output
    for ask in (lambda: evaluate("run/", n=8), lambda: generate("run/", 2, draws=8)):
        with pytest.raises(UserError, match="has changed since this run began"):
            ask()
    table.unlink()
    with pytest.raises(UserError, match="there is no table"):
        evaluate("run/", n=8)


def test_a_command_to_copy_states_the_options():
    domain = LettersDomain()
    assert as_typed(domain.options) == []
    name, usual = next((f, getattr(domain.options, f)) for f in domain.options.__dataclass_fields__)
    other = type(domain.options)(**{name: usual + 1})
    assert as_typed(other) == [f"--{name}", str(usual + 1)]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked here")
def test_ctrl_c_waits_for_rdkit_and_is_not_lost():
    code = """
import os, signal, time
from seqtutor_molecules.properties import attempt
heard = []
signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))

def asked(text):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    return len(heard)

print(attempt(asked, "C"), len(heard))
"""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert told.stdout.split() == ["0.0", "1"]
