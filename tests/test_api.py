"""The researcher's door: what the page docs/python.md shows, and what a run from Python keeps and refuses."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import replace_installed
from letters import LettersDomain, new_model

import seqtutor
from seqtutor import SequenceTerm, UserError, evaluate, generate, load_run, pretrain, tune
from seqtutor.cli import main
from seqtutor.priors.files import save_model
from seqtutor.rewards import versions
from seqtutor.rewards.outside import Function
from seqtutor.runs.notebook import Item

ROOT = Path(__file__).parents[1]
TINY = {"updates": 2, "samples": 10, "rollouts": 8, "best_of": 2}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prior(tmp_path):
    folder = tmp_path / "prior"
    folder.mkdir()
    save_model(new_model(spread=1.0, hidden=8), folder, "model", domain="letters")
    return str(folder)


def test_the_page_of_the_api_runs_as_it_stands():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(code, names)
    assert names


def test_a_function_is_a_reward_and_a_run_shows_itself(prior, capsys):
    def vowels(texts):
        return [text.count("a") for text in texts]

    rows = []
    run = tune(LettersDomain(), prior=prior, terms={"vowels": vowels}, folder="run", report=rows.append, **TINY)
    assert [row["update"] for row in rows] == [1, 2]
    assert "vowels" in {term["name"] for term in run.summary["terms"]}
    run.table()
    assert "vowels" in capsys.readouterr().out
    assert all(isinstance(item, Item) for item in run.sample(5, seed=1))
    assert run.sample(5, seed=1) == run.sample(5, seed=1)
    assert "<html" in run.page().read_text()
    assert "srcdoc" in run._repr_html_()
    assert len(run.metrics) == 2
    assert len(run.samples) == 20
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert config["terms"]["vowels"]["session"].endswith("vowels")
    assert config["weights"] == {"rises": 1.0, "variety": 0.5, "vowels": 1.0}
    assert config["options"] == {"longest": 4}
    assert config["made_by"]["seqtutor"] == seqtutor.__version__


def test_a_run_of_a_session_goes_on_in_another_with_its_function_and_says_so_without(prior, installed):
    def vowels(texts):
        return [text.count("a") for text in texts]

    first = tune("letters", prior=prior, terms={"vowels": vowels}, folder="run", **TINY)
    with pytest.raises(UserError, match=r"term 'vowels' was the function .*vowels' of the Python session"):
        tune(resume="run", updates=3)
    again = tune(resume="run", terms={"vowels": vowels}, updates=4)
    assert [int(row["update"]) for row in rows_of(again)] == [1, 2, 3, 4]
    assert first.folder == again.folder


@pytest.mark.parametrize(
    "command", [("generate", "./run", "-n", "3"), ("evaluate", "./run", "-n", "4"), ("report", "run")]
)
def test_the_commands_look_at_a_run_whose_function_is_gone(command, prior, installed):
    tune(
        "letters",
        prior=prior,
        terms={"vowels": lambda texts: [text.count("a") for text in texts]},
        folder="run",
        **TINY,
    )
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert ("left out: vowels" in result.stderr) == (command[0] != "report")


def rows_of(run):
    return run.metrics if isinstance(run.metrics, list) else run.metrics.to_dict("records")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 5}, "a resumed run keeps its seed: it has 0, not 5"),
        ({"objective": "tb"}, "a resumed run keeps its objective: it has 'psi', not 'tb'"),
        ({"options": {"longest": 3}}, "a resumed run keeps its options"),
    ],
)
def test_what_would_make_another_run_of_it_is_refused_by_name(changed, said, prior, installed):
    tune("letters", prior=prior, folder="run", **TINY)
    with pytest.raises(UserError, match=said):
        tune(resume="run", **changed)


def test_a_resumed_run_takes_other_weights(prior, installed):
    tune("letters", prior=prior, folder="run", **TINY)
    run = tune(resume="run", weights={"rises": 3.0}, updates=3)
    assert {term["name"]: term["weight"] for term in run.summary["terms"]} == {"rises": 3.0, "variety": 0.5}


def test_a_term_that_is_given_again_with_another_weight_or_as_a_filter_has_it(prior, installed):
    """The run's own weight won without a word, which stands in its config beside the terms."""

    def vowels(texts):
        return [text.count("a") / 4 for text in texts]

    def paid(run):
        return {term["name"]: term["weight"] for term in run.summary["terms"]}["vowels"]

    tune("letters", prior=prior, terms={"vowels": vowels}, folder="run", **TINY)
    again = {"function": vowels, "weight": 3.0}
    assert paid(tune(resume="run", terms={"vowels": again}, updates=3)) == 3.0
    assert paid(tune(resume="run", terms={"vowels": vowels}, updates=4)) == 3.0
    assert paid(tune(resume="run", terms={"vowels": again}, weights={"vowels": 2.0}, updates=5)) == 2.0
    assert paid(tune(resume="run", terms={"vowels": {"function": vowels, "filter": True}}, updates=6)) is None
    assert load_run("run", terms={"vowels": again}).config.weights["vowels"] == 3.0


def test_a_run_goes_on_by_itself_and_is_said_in_a_line(prior):
    """With its domain, which is not installed, and its functions, which a folder does not hold."""
    run = tune(LettersDomain(), prior=prior, terms={"long": lambda texts: list(map(len, texts))}, folder="run", **TINY)
    assert repr(run) == "Run('run': letters, psi, 2 updates)"
    told = Path("run/metrics.csv").read_text()
    Path("run/metrics.csv").write_text("update\n1\n")
    assert repr(run) == "Run('run': letters, psi, 1 updates)"  # as of a run that something else than --updates ended
    Path("run/metrics.csv").write_text(told)
    assert len(tune(resume=run, updates=3).metrics) == 3
    with pytest.raises(UserError, match="a LettersDomain that is made has its options"):
        tune(resume=run, options={"longest": 3})


def test_a_domain_that_is_not_installed_is_given_again(prior):
    """A run or a prior that a script had made by a domain of its own could not be opened again."""
    run = tune(LettersDomain(), prior=prior, terms={"long": lambda texts: list(map(len, texts))}, folder="run", **TINY)
    pretrain(LettersDomain(), ["abc", "ab", "cab"] * 30, folder="mine", epochs=1.0, hidden=8, embedding=4)
    for call in (load_run, generate, evaluate):
        with pytest.raises(UserError, match=r"run: unknown domain 'letters'.*a script may give one: domain=MyDomain"):
            call("./run")
    own = LettersDomain()
    assert load_run("run", domain=own).sample(5, seed=1) == run.sample(5, seed=1)
    assert generate("./run", 5, seed=1, domain=own) == run.sample(5, seed=1)
    assert generate("./mine", 3, domain=own)
    assert len(evaluate(run, "./mine", n=10, domain=own)) == 2
    with pytest.raises(UserError, match=r"keeps its domain and options: run has longest 4, not longest 3"):
        load_run("run", domain=LettersDomain(LettersDomain.Options(longest=3)))
    with pytest.raises(UserError, match=r"make it, domain=MyDomain\(\), and not 'letters'"):
        generate("./mine", domain="letters")


def test_functions_that_a_run_was_opened_with_choose_among_draws_by_other_options_too(prior, installed):
    def vowels(texts):
        return [text.count("a") for text in texts]

    tune("letters", prior=prior, terms={"vowels": vowels}, folder="run", **TINY)
    run = load_run("run", terms={"vowels": vowels})
    assert generate(run, 2, draws=16, options={"longest": 4})


def test_numbers_of_numpy_are_numbers(prior, installed):
    three, run = np.int64(3), {**TINY, "updates": np.int32(2), "temperature": np.float32(0.5)}
    table = {"function": lambda texts: list(map(len, texts)), "weight": np.float32(2), "invalid": np.int64(-1)}
    settings = {"options": {"longest": three}, "terms": {"long": table}, "seed": three, "folder": "run"}
    tuned = tune("letters", prior=prior, weights={"rises": three}, **settings, **run)
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert (config["seed"], config["updates"], config["temperature"], config["options"]) == (3, 2, 0.5, {"longest": 3})
    assert config["weights"] == {"rises": 3.0, "variety": 0.5, "long": 2.0}
    assert len(generate(prior, three, seed=three, options={"longest": three})) <= 3
    assert all(isinstance(item, Item) for item in tuned.sample(three, seed=three))


def test_a_run_can_be_copied_and_sent_to_another_process(prior, installed):
    run = tune("letters", prior=prior, folder="run", **TINY)
    for again in (copy.copy(run), copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert again.sample(5, seed=1) == run.sample(5, seed=1)
        assert type(again.domain) is type(run.domain)


def test_priors_runs_and_names_are_generated_from_and_compared(prior, installed):
    folder = pretrain("letters", ["abc", "ab", "cab"] * 30, folder="mine", epochs=1.0, hidden=8, embedding=4)
    run = tune("letters", prior=prior, folder="run", **TINY)
    words = generate("./mine", 6, seed=3)
    assert all(set(word) <= set("abc") for word in words)
    one, two = evaluate(run, folder, n=30)
    assert one.reward.mean != two.reward.mean
    assert load_run("run").config.settings == run.config.settings


def test_an_item_shows_its_picture_and_sounds_where_it_can():
    music = seqtutor.load("music", {"bars": 1})
    shown = Item("C4 - - - E4 - - - G4 - - - C5 - - -", music)._repr_html_()
    assert "<svg" in shown
    assert "data:audio/wav;base64," in shown
    assert shown.count("<svg") == 1 + bool(music.notation("C4 - - -"))
    assert "audio" not in Item("abc", LettersDomain())._repr_html_()


def test_an_answer_is_of_the_plugins_own_version_and_code(monkeypatch):
    """They were keyed by the version of seqtutor: a corrected term went on returning what it had said before."""
    domain = LettersDomain()
    (term,) = (t for t in domain.terms() if t.name == "variety")
    one = versions.version_of(domain, term, {})
    monkeypatch.setattr(versions, "released", lambda domain: "2.0")
    assert versions.version_of(domain, term, {}) != one
    assert "letters" in versions.version_of(domain, term, {})


def test_the_code_of_a_plugin_is_part_of_its_version(tmp_path, monkeypatch):
    (tmp_path / "plug").mkdir()
    for name in ("__init__", "helper"):
        (tmp_path / "plug" / f"{name}.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("plug")
    before = versions.code_of("plug.deep")
    versions.code_of.cache_clear()
    (tmp_path / "plug" / "helper.py").write_text("x = 2\n")
    assert versions.code_of("plug.deep") != before


def test_a_dotted_function_is_looked_for_without_running_its_package(tmp_path):
    """find_spec imports the packages above a module: theirs ended the program before anything was typed."""
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").write_text("raise SystemExit('run')\n")
    (tmp_path / "outer" / "inner" / "__init__.py").write_text("raise SystemExit('run')\n")
    (tmp_path / "outer" / "inner" / "oracle.py").write_text("def dock(texts): return [0.0 for _ in texts]\n")
    Function("outer.inner.oracle:dock").check()
    assert "outer" in Function("outer.inner.oracle:dock").version()
    with pytest.raises(UserError, match=r"there is no module 'outer\.inner\.nothing'"):
        Function("outer.inner.nothing:dock").check()


def test_json_has_null_where_there_is_no_figure(prior, installed):
    class Silent(LettersDomain):
        def measure(self, texts):
            return [seqtutor.Measure("nothing", np.zeros(len(texts)), np.zeros(len(texts)))]

    globals()["Silent"] = Silent
    monkey = pytest.MonkeyPatch()
    replace_installed(monkey, "domain", {"letters": EntryPoint("letters", "test_api:Silent", "seqtutor.domains")})
    monkey.setitem(__import__("sys").modules, "test_api", type("M", (), {"Silent": Silent}))
    try:
        said = CliRunner().invoke(main, ["evaluate", prior, "-n", "5", "--json"], catch_exceptions=False).output
    finally:
        monkey.undo()
    figures = json.loads(said, parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert figures[prior]["nothing"] == [None, None]


def test_what_a_function_has_taken_from_around_it_is_part_of_its_version():
    """Two functions that one had made had one version: with a shared cache one got what the other had said."""

    def made(limit, *, offset=0):
        def count(texts, more=offset):
            return [float(len(text) > limit) + more for text in texts]

        return count

    def both(texts, *, times):
        return [times * len(text) for text in texts]

    calls = [made(1), made(2), made(2, offset=1), partial(both, times=1), partial(both, times=2), made, both, len]

    class Holder:
        def __init__(self, limit):
            self.limit = limit

        def count(self, texts):
            return [self.limit for _ in texts]

    many = [np.arange(3), np.arange(4), np.float32(1), np.float32(2), Path("a"), Path("b"), range(3), range(4)]
    calls += [partial(both, times=value) for value in many] + [Holder(1).count, Holder(2).count]
    calls += [partial(both, times=torch.arange(3)), partial(both, times=torch.arange(4))]
    around = {len}

    def round_about(texts):
        return [len(around) for _ in texts]

    around.add(round_about)  # it is in what it has taken
    calls += [round_about]

    def total(*factors):
        parts = [scaled(factor) for factor in factors]
        return lambda texts: [sum(part(text) for part in parts) for text in texts]

    def scaled(factor):
        return lambda text: factor * len(text)

    calls += [total(1, 1), total(1, 100)]  # the second part has the code of the first, and another number
    found = [versions._digest(call) for call in calls]
    assert len(set(found)) == len(found)
    assert versions._digest(made(2)) == found[1]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("W = 1\ndef call(texts): return [W * len(text) for text in texts]", ("W = 1", "W = 2")),
        ("W = [1]\ndef call(texts): return [W[0] for _ in texts]", ("[1]", "[2]")),
        ("W = {'C': 1}\ndef call(texts): return [W['C'] for _ in texts]", ("1}", "2}")),
        (
            "def make(k): return lambda t: k * len(t)\nF, G = make(1), make(2)\n"
            "def call(ts): return [F(t) + G(t) for t in ts]",
            ("make(2)", "make(3)"),
        ),
        ("def f(t): return g(t)\ndef g(t): return 1 or f(t)\ndef call(ts): return [f(t) for t in ts]", ("1", "2")),
    ],
)
def test_what_a_function_sees_as_globals_is_part_of_its_version(code, change):
    found = []
    for text in (code, code, code.replace(*change)):
        names = {"__name__": "session"}
        exec(text, names)
        found.append(versions._digest(names["call"]))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("slots", [{}, {"slots": True}])
def test_the_version_of_an_object_changes_with_what_it_holds(slots):
    @dataclass(**slots)
    class Weighed:
        weight: float

        def __call__(self, texts):
            return [self.weight * len(text) for text in texts]

    one, same, other = (versions._digest(Weighed(weight)) for weight in (1.0, 1.0, 2.0))
    assert one == same != other
    assert versions._digest(Weighed(2.0).__call__) != versions._digest(Weighed(1.0).__call__)


def test_the_version_of_an_object_knows_what_it_derives_from_and_what_it_calls():
    def made(factor, sign):
        class Base:
            def __init__(self):
                self.factor = factor

            def __call__(self, texts):
                return [self.signed(text) for text in texts]

        class Derived(Base):
            def signed(self, text):
                return self.factor * len(text) if sign else -1.0

        return Derived()

    found = [versions._digest(made(*how)) for how in ((1, True), (1, True), (2, True), (1, False))]
    assert found[0] == found[1] != found[2]
    code = versions._told(made(1, True), versions.DEEPEST, {})
    assert any("signed" in line for line in code)


def test_the_version_of_a_domain_of_a_session_knows_what_it_holds():
    class Scaled(LettersDomain):
        name, motif = "scaled", "ab"

        def __init__(self, factor):
            super().__init__(LettersDomain.Options())
            self.factor = factor

        def terms(self):
            return [SequenceTerm("x", 1.0, "", "", self._x)]

        def _x(self, texts):
            return np.array([self.factor * text.count(self.motif) for text in texts])

    def version(domain):
        return versions.version_of(domain, domain.terms()[0], {})

    one, same, other = (Scaled(factor) for factor in (1.0, 1.0, -1.0))
    assert version(one) == version(same) != version(other)
    one.factor = 7.0  # as it was when it was first seen
    assert version(one) == version(same)
    before = version(one)
    Scaled.motif = "ba"
    assert version(same) != before


def test_objects_that_hold_each_other_have_one_version_whoever_is_asked_first():
    class Half:
        def __call__(self, texts):
            return [1.0] * len(texts)

    def pair():
        one, two = Half(), Half()
        one.other, two.other, two.here = two, one, 1
        return one, two

    (a, b), (c, d) = pair(), pair()
    assert (versions._digest(a), versions._digest(b)) == (versions._digest(d), versions._digest(c))[::-1]


def test_the_version_of_a_function_is_the_same_in_every_process():
    """One with a comprehension, a lambda or a set in it was another in each, and a resume paid for every call again."""
    code = """
from seqtutor.rewards.versions import _digest
import numpy as np
def made(words):
    odd = np.array([{frozenset({'x', 'y'}), frozenset({'z', 'w'})}, None], object)
    def call(texts, other=odd):
        return [max((len(part) for part in text if part in {'a', 'b', 'c', 'd'}), key=lambda n: -n) for text in texts]
    return call, words
print(_digest(made({'x', 'y', 'z'})[0]), _digest(made))
"""
    runs = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != b""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"draws": 4, "temperature": 0.5}, "leave --temperature at 1"),
        ({"reward_temperature": 0.5}, "give --draws too"),
    ],
)
def test_what_cannot_be_drawn_is_refused_here_as_on_the_command_line(settings, said):
    with pytest.raises(UserError, match=said):
        generate("music", **{"n": 2, **settings})


def test_a_costly_term_that_is_left_out_is_not_asked():
    (found,) = evaluate("molecules", n=4, leave_out=["np_likeness", "logp"])
    assert "np_likeness" not in [figure.name for figure in found.figures]


def test_a_primer_that_is_the_path_of_no_file_is_not_taken_for_an_item(prior):
    with pytest.raises(UserError, match="there is no file nowhere"):
        generate(prior, 2, primer=Path("nowhere"))
