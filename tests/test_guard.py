"""The border to a plugin: what it may not change, what it may not give, and what becomes of what it raises."""

from __future__ import annotations

import timeit
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from beads import BeadsDomain
from conftest import replace_installed
from letters import LettersDomain

from seqtutor import Domain, Measure, SequenceTerm, TokenTerm, UserError, load
from seqtutor.plugin.contract import of_sizes
from seqtutor.plugin.guard import Guarded
from seqtutor.rewards.scorer import Scorer


@pytest.fixture
def beads(monkeypatch):
    replace_installed(monkeypatch, "domain", {"beads": EntryPoint("beads", "beads:BeadsDomain", "seqtutor.domains")})


# What goes in, and what comes out

HOOKS = {
    "corpus": (),
    "encode": ("r",),
    "decode": (["r"],),
    "prepared": ("r",),
    "template": (),
    "excerpts": ("r",),
    "lessons": ("r",),
    "terms": (),
    "kinds": (),
    "measure": (["r"],),
    "picture": ("r",),
    "notation": ("r",),
    "caption": ("r",),
    "parts": ("r",),
    "coloured": ("r", (0.5,)),
    "notes": ("r",),
    "write": (["r"], Path("x")),
    "vary": (["r"], np.random.default_rng(0)),
    "detached": (["r"], 0),
    "following": (1,),
    "rewrite": ("r", np.random.default_rng(0)),
    "family": ("r",),
    "akin": ("r", ["b"]),
    "in_corpus": (["r"],),
    "commonest": (["r"],),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_whatever_a_plugin_raises_is_one_line_with_its_place(hook):
    def fails(self, *_):
        return {}["no such key"]

    domain = Guarded(type("Bad", (BeadsDomain,), {hook: fails, "__module__": __name__})())
    with pytest.raises(UserError) as caught:
        getattr(domain, hook)(*HOOKS[hook])
    place = f"({__name__.replace('.', '/')}.py, line {fails.__code__.co_firstlineno + 1})"
    assert str(caught.value) == f"domain 'beads', {hook}: KeyError: 'no such key' {place}"


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "notes"])
def test_whatever_a_plugin_gives_is_looked_at(hook):
    domain = Guarded(type("Bad", (BeadsDomain,), {hook: lambda self, *_: 7})())
    with pytest.raises(UserError, match=f"domain 'beads', {hook}: gave "):
        getattr(domain, hook)(*HOOKS[hook])


def test_a_word_is_not_taken_for_true():
    domain = Guarded(type("Bad", (BeadsDomain,), {"in_corpus": lambda self, texts: ["no" for _ in texts]})())
    with pytest.raises(UserError, match="domain 'beads', in_corpus: gave 'no'; True or False is needed"):
        domain.in_corpus(["r"])


def test_numbers_of_tokens_that_follow_from_options_are_looked_at():
    def made(self, options=None):
        BeadsDomain.__init__(self, options)
        self.lookback = (4, 0)

    with pytest.raises(UserError, match=r"domain 'beads', lookback: it must be distances .* not \(4, 0\)"):
        Guarded(type("Bad", (BeadsDomain,), {"__init__": made})())


@pytest.mark.parametrize(
    ("heights", "said"),
    [((0, 1), "2 are given for"), ((0, -2), "a whole number from -1 to 1000"), ("abc", "a whole number")],
)
def test_heights_are_looked_at(heights, said):
    with pytest.raises(UserError, match=f"domain 'beads', heights: .*{said}"):
        Guarded(type("Bad", (BeadsDomain,), {"heights": heights, "lookback": (2,)})())
    with pytest.raises(UserError, match=r"domain 'beads', heights: .* state `lookback`, too"):
        Guarded(type("Bad", (BeadsDomain,), {"heights": (0, 1, 2)})())


def test_heights_of_the_class_may_wait_for_a_lookback_of_the_options():
    def made(self, options=None):
        BeadsDomain.__init__(self, options)
        self.lookback = (2,)

    late = type("Late", (BeadsDomain,), {"heights": (0, 1, 2), "__init__": made})
    assert not list(of_sizes(late))
    assert Guarded(late()).heights == (0, 1, 2)


def test_the_name_of_its_prior_is_looked_at():
    with pytest.raises(UserError, match="domain 'beads', own_prior: gave 7; a text is needed"):
        Guarded(type("Bad", (BeadsDomain,), {"own_prior": 7})())
    with pytest.raises(UserError, match="domain 'beads', own_prior: ZeroDivisionError"):
        Guarded(type("Bad", (BeadsDomain,), {"own_prior": property(lambda self: 1 // 0)})())


def test_every_hook_of_a_domain_stands_behind_the_border():
    own = {name for name, value in vars(Domain).items() if callable(value) and not name.startswith("_")}
    assert own - {"offers", "Options"} == set(HOOKS) | {"read", "stated", "made"}
    assert own - {"Options"} <= set(vars(Guarded))


def test_a_guarded_domain_is_what_it_guards(beads):
    domain = load("beads", {"longest": 5})
    assert isinstance(domain, BeadsDomain)
    assert type(domain) is Guarded
    assert (domain.name, domain.max_length, domain.defaults) == ("beads", 6, {"temperature": 0.5})
    assert domain.place == "beads:BeadsDomain"
    assert domain.offers("vary")
    assert not domain.offers("excerpts")
    with pytest.raises(AttributeError, match="no_such_thing"):
        domain.no_such_thing  # noqa: B018


def test_a_term_can_change_neither_ids_nor_texts():
    def spoil(ids):
        ids[:] = 3
        return np.ones(ids.shape)

    def sort(texts):
        texts.sort()
        return [1.0] * len(texts)

    terms = [TokenTerm("spoil", 1.0, "s", "t", spoil), SequenceTerm("sort", 1.0, "s", "t", sort)]
    domain = Guarded(type("Bad", (BeadsDomain,), {"terms": lambda self: terms})())
    guarded = domain.terms()
    ids = np.array([[3, 4, 2], [4, 5, 2]])
    with pytest.raises(UserError, match="term 'spoil': ValueError: assignment destination is read-only"):
        Scorer(domain, guarded[:1]).score(ids, np.zeros(2, bool))
    scores = Scorer(domain, guarded[1:]).score(ids, np.zeros(2, bool))
    assert np.isnan(scores.terms["sort"]).all()
    assert ids.tolist() == [[3, 4, 2], [4, 5, 2]]


@pytest.mark.parametrize("hook", ["measure", "write", "vary", "in_corpus", "commonest"])
def test_a_hook_gets_texts_that_it_cannot_change(hook):
    seen = []
    domain = Guarded(type("Bad", (BeadsDomain,), {hook: lambda self, texts, *_: seen.append(texts)})())
    with pytest.raises(UserError, match=f"{hook}: gave None"):
        getattr(domain, hook)(*HOOKS[hook])
    assert seen == [("r",)]


def test_the_workers_load_the_plugins_own_class(beads):
    domain = load("beads")
    scorer = Scorer(domain, domain.terms(), workers=1)
    try:
        scores = scorer.score(np.array([[3, 4, 2], [4, 5, 5]]), np.zeros(2, bool))
    finally:
        scorer.close()
    assert scores.terms["beads"].tolist() == [2.0, 3.0]
    assert scores.terms["red"].tolist() == [1.0, 0.0]


def test_the_border_costs_microseconds():
    plugin = LettersDomain()
    domain, tokens = Guarded(plugin), list("abc")
    for hook, given in (("decode", tokens), ("family", "abc")):
        bare, behind = (_seconds(getattr(one, hook), given) for one in (plugin, domain))
        assert behind - bare < 10e-6


def _seconds(function, given):
    return min(timeit.repeat(lambda: function(given), number=2000, repeat=5)) / 2000


@pytest.mark.parametrize(
    ("values", "weights", "wanted"),
    [
        ([1.0, 2.0], [1.0], "needs a weight of at least 0 for each of its 2 values"),
        ([1.0, float("nan")], [1.0, 0.0], "finite numbers in one row"),
        ([[1.0]], [[1.0]], "finite numbers in one row"),
        (["a"], [1.0], "no list of numbers"),
        ([1.0], [-1.0], "needs a weight of at least 0"),
    ],
)
def test_a_figure_that_would_not_add_up_cannot_be_made(values, weights, wanted):
    with pytest.raises(ValueError, match=wanted):
        Measure("m", values, weights)


def test_a_figure_may_be_given_as_lists():
    assert Measure("m", [1, 2], [1, 1]).mean == 1.5


def test_a_kind_that_is_no_class_and_a_pitch_without_end_are_the_plugins_mistake():
    class Odd(LettersDomain):
        def kinds(self):
            return {"length": 3}

        def notes(self, text):
            return [(0.0, 1.0, float("inf"))]

    odd = Guarded(Odd())
    with pytest.raises(UserError, match="names and subclasses of TermKind"):
        odd.kinds()
    with pytest.raises(UserError, match="MIDI number"):
        odd.notes("ab")


@pytest.mark.parametrize("given", [7, {"colour": "red"}, {"longest": 3, 4: 5}])
def test_what_a_file_states_is_one_of_the_options(tmp_path, given):
    (tmp_path / "one.txt").write_text("r")
    domain = Guarded(type("Bad", (BeadsDomain,), {"stated": lambda self, path: given})())
    with pytest.raises(UserError, match=r"domain 'beads', stated: gave .*; a table of its options by name is needed"):
        domain.stated(tmp_path / "one.txt")
