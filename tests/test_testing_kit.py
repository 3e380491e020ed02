"""The kit that checks a plugin: a good one passes, and each of many bad ones is told what is wrong with it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from conftest import replace_installed

from seqtutor.testing import CHECKS, check_domain, problems

SOURCE = (Path(__file__).parent / "beads.py").read_text(encoding="utf-8")
COUNT = 'lengths = np.array([len(text or "") for text in texts], float)'
DRAWN = '<text y="15">{text}</text></svg>\''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install the plugin with one line changed, in a file of its own."""

    def install(found="", instead=""):
        assert not found or SOURCE.count(found) == 1, f"{SOURCE.count(found)} times: {found}"
        (tmp_path / "beads.py").write_text(SOURCE.replace(found, instead) if found else SOURCE, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "beads", raising=False)
        replace_installed(
            monkeypatch, "domain", {"beads": EntryPoint("beads", "beads:BeadsDomain", "seqtutor.domains")}
        )

    yield install
    sys.modules.pop("beads", None)


# What is found as soon as the plugin is loaded: the line, the line instead, what is said.
LOADING = [
    ("import numpy as np", "import numpi as np", "the domain 'beads' needs 'numpi', which is not installed; see what"),
    ("import numpy as np", "import numpy as", "cannot be loaded: SyntaxError: invalid syntax (beads.py, line 7)"),
    ("import numpy as np", "import numpy as np; 1 / 0", "ZeroDivisionError: division by zero (beads.py, line 7)"),
    ("import numpy as np", "import numpy as np; exit()", "the domain 'beads' cannot be loaded: SystemExit"),
    ('Vocabulary("rgb")', 'Vocabulary("rgr")', "each token once; repeated: r (beads.py, line 22)"),
    ("class BeadsDomain(Domain)", "class Beads(Domain)", "has no attribute 'BeadsDomain'"),
    ("class BeadsDomain(Domain)", "class BeadsDomain", "it must name a subclass of seqtutor.Domain"),
    ("    def terms", "    def reward_terms", "class: BeadsDomain lacks terms; write them"),
    (
        'name = "beads"',
        'name = "bead"',
        "name: its entry point is called 'beads' and its class says 'bead'; make them one",
    ),
    ('summary = "rings of', 'summary = "rings\\nof', "summary: it must be one line of text"),
    (
        "    vocabulary = VOCABULARY",
        '    vocabulary = "rgb"',
        "vocabulary: must be a Vocabulary, not str; write Vocabulary(",
    ),
    ('Vocabulary("rgb")', 'Vocabulary(("r", ""))', "vocabulary: a token is text and not empty, not ''"),
    ("return self.options.longest + 1", "return self.options.longest + 1.0", "max_length: must be a whole number"),
    (
        "return self.options.longest + 1",
        "return self.options.longst",
        "max_length: AttributeError: 'Options' object has no",
    ),
    ("@dataclass(frozen=True)", "@dataclass", "Options: it must not change once made; put @dataclass(frozen=True)"),
    ("@dataclass(frozen=True)", "", "Options: it must be a dataclass"),
    ("longest: int = option(8,", "seed: int = option(8,", "option 'seed' has a name that the commands use themselves"),
    ("longest: int = option(8,", "temperature: int = option(8,", "option 'temperature' has a name that the commands"),
    ("longest: int = option(8,", "weight: int = option(8,", "option 'weight' has a name that the commands use"),
    (
        'longest: int = option(8, "Most beads of a ring.")',
        "longest: int",
        "option 'longest' has no default; write longest: int",
    ),
    (
        'longest: int = option(8, "Most beads of a ring.")',
        "longest: int = 8",
        "option 'longest' could not be typed, as it has no",
    ),
    (
        "longest: int = option(8,",
        "longest: float = option(8,",
        "option 'longest' is of type float, its default 8; int,",
    ),
    (
        "longest: int = option(8,",
        "longest: Most = option(8,",
        "cannot be loaded: NameError: name 'Most' is not defined",
    ),
    ('option("tin",', 'option("lead",', "the default 'lead', which is none of its choices: tin, gold"),
    (
        '{"temperature": 0.5}',
        '{"temprature": 0.5}',
        "defaults: unknown key in the domain's defaults 'temprature'; did you",
    ),
    (
        '{"temperature": 0.5}',
        '{"temperature": "hot"}',
        "defaults: temperature in the domain's defaults must be a number",
    ),
    ('{"temperature": 0.5}', '{"temperature": 0.0}', "defaults: temperature must be above 0, not 0.0"),
    ('{"temperature": 0.5}', '{"seed": 7}', "defaults: seed is the user's to say; leave it out"),
    (
        "    vocabulary = VOCABULARY",
        '    vocabulary, prior = VOCABULARY, "prior"',
        "prior: it must be a Path in the package, such",
    ),
    (
        "    vocabulary = VOCABULARY",
        "    vocabulary, fixed_length = VOCABULARY, 1",
        "fixed_length: it must be True or False, not 1",
    ),
    ('SequenceTerm("beads"', 'SequenceTerm("red"', "terms: two terms are called 'red'; give one another name"),
    (
        'SequenceTerm("beads"',
        'SequenceTerm("all beads"',
        "terms, 'all beads': its name must be letters, digits, - and _",
    ),
    (
        'TokenTerm("red", 1.0',
        'TokenTerm("red", float("nan")',
        "terms, 'red': its weight must be a finite number, not nan",
    ),
    (
        '"tests", beads),',
        '"tests", beads, invalid=None),',
        "terms, 'beads': its invalid must be a finite number, not None",
    ),
    ('"how many beads"', '""', "terms, 'beads': its summary is empty; say in a few words what it pays"),
    ('"tests", red)', '"tests", "red")', "terms, 'red': its values must be a function, not 'red'"),
    ('"tests", beads),\n        ]', '"tests", beads), red\n        ]', "terms: holds <function red at"),
]

# What the kit finds by trying: the check, the line, the line instead, what is said.
TRYING = [
    ("names", "    def family", "    def familiy", "familiy: nothing calls it; it looks like 'family': rename it"),
    (
        "names",
        "    def terms(self):",
        "    def terms(self, _=0):\n        assert self.options.metal == 'tin'",
        "metal 'gold': terms: Asse",
    ),
    (
        "corpus",
        "random.Random(0)",
        "random.Random()",
        "corpus: it gives other items, or another order, the second time",
    ),
    (
        "corpus",
        "rng = random.Random(0)",
        "rng = random",
        "corpus: it gives other items, or another order, the second time",
    ),
    (
        "corpus",
        "rng.randint(3, 8)",
        "rng.randint(30, 80)",
        "corpus: no excerpt of its items fits max_length 9 (EOS included)",
    ),
    (
        "corpus",
        "for _ in range(200)]",
        "for _ in range(0)]",
        "corpus: it is empty; leave the method out where there is none",
    ),
    ("corpus", "for _ in range(200)]", "for _ in range(200)] + [None]", "corpus: gave None; a list of texts is needed"),
    (
        "round_trip",
        'return [ring("".join(rng',
        'return [("".join(rng',
        "comes back as|decode(encode(x)) must be x, the canonical form",
    ),
    ("round_trip", 'rng.choices("rgb"', 'rng.choices("rgbw"', "has other beads"),
    (
        "round_trip",
        "        return list(text)\n\n    def decode",
        "        return list(text + 'w')\n\n    def decode",
        "no token 'w'",
    ),
    (
        "round_trip",
        "        return list(text)\n\n    def decode",
        "        return [1]\n\n    def decode",
        "encode: gave 1; a list of",
    ),
    (
        "round_trip",
        "if not tokens:",
        "if len(tokens) > 5:",
        "which is an item (a ring has a bead); decode(encode(x)) must be x",
    ),
    (
        "random_tokens",
        'raise Undecodable("a ring has a bead")',
        "return ''",
        "decode: gave ''; a text that is not empty, or raise",
    ),
    (
        "random_tokens",
        'raise Undecodable("a ring has a bead")',
        "return None",
        "decode: gave None; a text that is not empty",
    ),
    (
        "random_tokens",
        'raise Undecodable("a',
        'raise ValueError("a',
        "decode: ValueError: a ring has a bead (beads.py, line 72)",
    ),
    (
        "random_tokens",
        'raise Undecodable("a',
        'raise UserError("a',
        "a ring has a bead (tokens ''); raise Undecodable where",
    ),
    (
        "random_tokens",
        'return ring("".join(tokens))',
        'return ring("".join(tokens)) + "\\n"',
        "has more than one line; texts stand in",
    ),
    (
        "random_tokens",
        'return ring("".join(tokens))',
        'return "".join(tokens)[::-1]',
        "is not canonical, its tokens decode to",
    ),
    (
        "garbage",
        "if not set(text)",
        'if "rgb".index(text[0]) and not set(text)',
        "encode: IndexError: string index out of range",
    ),
    ("garbage", 'set(line) <= set("rgb") and line', "line[0]", "read: IndexError: string index out of range (beads.py"),
    (
        "garbage",
        "            yield DataLine(f",
        "            yield str, (f",
        "a DataLine with a text or a problem is needed (a file of",
    ),
    (
        "terms",
        "astype(float)",
        "sum(-1)",
        "term 'red': gave int64 of shape (26,) for ids of shape (26, 9); a number for each is",
    ),
    (
        "terms",
        "astype(float)",
        "astype(float) + np.where(ids == 4, np.nan, 0)",
        "term 'red': it gives NaN or inf; every sequence earns a finite",
    ),
    (
        "terms",
        "astype(float)",
        "astype(float) - (ids == 3).mean()",
        "a sequence earns something else alone than in a batch",
    ),
    (
        "terms",
        "astype(float)",
        "astype(float) / ids.shape[1]",
        "padding changes what a sequence earns; ids are 0 (PAD)",
    ),
    (
        "terms",
        "    return np.isin(ids",
        "    ids[ids == 0] = 3\n    return np.isin(ids",
        "ValueError: assignment destination is read-only (beads",
    ),
    ("terms", "astype(float)", "astype(float) * np.random.rand()", "term 'red': |leave chance and memory out of it"),
    (
        "terms",
        "astype(float)",
        "astype(str)",
        "term 'red': gave <U|of shape (26, 9) for ids of shape (26, 9); a number for each is needed",
    ),
    (
        "terms",
        "for text in texts])\n\n\n@data",
        "for text in texts[1:]])\n\n\n@data",
        "gave 11 values for 12 texts; one each is needed",
    ),
    (
        "terms",
        "for text in texts])\n\n\n@data",
        "for text in sorted(texts)])\n\n\n@data",
        "an item earns something else alone than",
    ),
    (
        "terms",
        "float(len(text))",
        "1 / 0",
        "it scores none of 12 items (ZeroDivisionError: division by zero) (beads.py, line 36)",
    ),
    (
        "terms",
        "float(len(text))",
        'float("nan")',
        "it scores none of 12 items (gave nan); give a number for each text, NaN only",
    ),
    ("terms", "float(len(text))", "random.random()", "term 'beads': it gives something else the second time"),
    (
        "figures",
        COUNT,
        COUNT.replace(' or ""', ""),
        "measure: TypeError: object of type 'NoneType' has no len() (beads.py, line 82)",
    ),
    (
        "figures",
        COUNT,
        COUNT.replace("in texts]", "in texts if text]"),
        "Measure 'red' needs a weight of at least 0 for each of its 2 values",
    ),
    ("figures", "percent=True)]", "percent=True)][: 1 + any(texts)]", "always give the same figures"),
    (
        "figures",
        'Measure("red", reds',
        'Measure("red", 100 * reds',
        "measure: 'red' is 3|, and percent prints .012 as 1.2 %; give shares",
    ),
    (
        "figures",
        'Measure("red", reds',
        'Measure("beads", reds',
        "each figure needs a name of its own, not 'beads', 'beads'",
    ),
    (
        "figures",
        'Measure("red", reds',
        'Measure("red", reds + np.where(lengths, 0, np.nan)',
        "must be finite numbers in one row; an item that the",
    ),
    (
        "figures",
        "lengths, percent=True",
        "lengths, 'up'",
        "better is 'up' in Measure 'red'; higher, lower, zero, neither are known",
    ),
    (
        "figures",
        "lengths, percent=True",
        "-lengths",
        "Measure 'red' needs a weight of at least 0 for each of its 81 values",
    ),
    (
        "figures",
        'Measure("red", reds',
        'Measure("red", reds[1:]',
        "Measure 'red' needs a weight of at least 0 for each of its 1",
    ),
    (
        "figures",
        'Measure("red", reds',
        'Measure("red", reds * np.random.rand()',
        "the second time; leave chance and memory out",
    ),
    (
        "figures",
        'Measure("red", reds',
        'Measure("red", reds * np.arange(len(reds)) / 99',
        "the figures hang on the order of the texts",
    ),
    ("figures", "return [Measure(", "return {} and [Measure(", "measure: gave {}; a list of Measure is needed"),
    ("pictures", DRAWN, DRAWN.replace("{text}", "{text} <3"), "picture: the picture is no well-formed SVG"),
    (
        "pictures",
        DRAWN,
        "<script>alert(1)</script></svg>'",
        "picture: <script> would be dropped from a page; use shapes and text alone",
    ),
    ("pictures", "viewBox=", "onload=", "picture: onload would be dropped from a page"),
    ("pictures", "viewBox=", "width=", "picture: it needs a viewBox"),
    ("pictures", "<svg viewBox", "<p>hello</p> <svg viewBox", "picture: the picture is no well-formed SVG"),
    (
        "pictures",
        "9 * len(text)} 20",
        "9 / 0} 20",
        "picture: ZeroDivisionError: division by zero (beads.py, line 87) (of '",
    ),
    ("pictures", "9 * len(text)} 20", "random.random()} 20", "picture: it is another one the second time"),
    ("pictures", '{len(text)} beads"', '{len(text)}\\nbeads"', "caption: it has more than one line"),
    ("pictures", "0.5, 60 +", "0.5, 600 +", "notes: each is (start in seconds, length above 0, MIDI number 0 to 127)"),
    (
        "pictures",
        "(i / 2, 0.5, 60",
        "(i / 2, 60",
        "notes: gave [(0.0, 6|a list of (start, length, MIDI number) is needed",
    ),
    ("files", "folder.mkdir(parents=True, exist_ok=True)", "", "the folder may be missing: folder.mkdir(parents=True"),
    (
        "files",
        '        return [folder / "rings.txt"]',
        "",
        "write: gave None; a list with the Path of each file is needed",
    ),
    (
        "files",
        'return [folder / "rings.txt"]',
        "return [folder / 'ring.txt']",
        "ring.txt; give the path of each file, in the folder",
    ),
    (
        "files",
        '"\\n".join(texts)',
        '"\\n".join([*texts, texts[0]])',
        "write: IndexError: tuple index out of range|(given no items); a model may write none",
    ),
    (
        "files",
        '"\\n".join(texts)',
        '"\\n".join(texts.sort())',
        "write: AttributeError: 'tuple' object has no attribute 'sort'",
    ),
    (
        "prior",
        "    vocabulary = VOCABULARY",
        "    vocabulary, prior = VOCABULARY, Path('none')",
        "prior: its folder has no model.safetensors and",
    ),
    ("vary", "if text not in texts]", "] + [texts[0]]", "as it was; leave out what is not new"),
    (
        "vary",
        "rng.integers(3)]",
        "random.randrange(3)]",
        "vary: the same generator gives other items the second time; take all",
    ),
    ("vary", "new = [ring(text[:-1] +", "new = [(text[:-1] +", "in canonical form; give decode(tokens)"),
    ("vary", "text[:-1] +", "text * 3 +", "vary: it gives|too long for max_length 9; leave such out"),
    ("vary", 'text[:-1] + "rgb"', 'text[:-1] + "wxy"', "which is no item (|has other beads); leave such out"),
    (
        "vary",
        "new = [ring(text[:-1] +",
        "texts.sort(); new = [ring(text[:-1] +",
        "vary: AttributeError: 'tuple' object has no",
    ),
    (
        "vary",
        "dict.fromkeys(new)",
        "dict.fromkeys(texts)",
        "vary: it gives nothing new for 40 items; leave the method out if it cannot",
    ),
    ("rewrite", "list(text[i:] + text[:i])", "list(text[i:])", "another item; it would earn what it has not earned"),
    ("rewrite", "list(text[i:] + text[:i])", "text[i:] + text[:i]", "rewrite: gave str; a list of texts is needed"),
    (
        "rewrite",
        "int(rng.integers(len(text)))",
        "random.randrange(len(text))",
        "rewrite: the same generator gives other tokens",
    ),
    ("family", "return text[:2]", "return len(text)", "family: gave |; a text is needed"),
    ("family", "return text[:2]", "return text[: random.randrange(9)]", "family: it gives another one the second time"),
    (
        "family",
        "return text[:2]",
        "return __import__('time').sleep(0.006) or text",
        "ms an item and is asked of every sample; remember",
    ),
    (
        "in_corpus",
        "[text in known for text in texts]",
        "[True]",
        "in_corpus: gave [True] for 40 texts; True or False for each",
    ),
    (
        "in_corpus",
        "[text in known for",
        "[text.upper() in known for",
        "it knows none of 40 items of the corpus; compare canonical texts",
    ),
    (
        "another_process",
        'Vocabulary("rgb")',
        'Vocabulary({"r", "g", "b", "w", "k"})',
        "vocabulary: it is another one in another process",
    ),
    (
        "another_process",
        "import random",
        "import random, sys; sys.modules.setdefault('torch', None)",
        "loading it imports torch",
    ),
    ("another_process", "self.options.longest + 1", "self.options.longest + 1 + exec('import random')", "max_length"),
]


def test_the_good_plugin_passes_every_check(plugin):
    plugin()
    for check in CHECKS:
        check_domain("beads", check)
    assert list(problems("beads")) == []


@pytest.mark.parametrize("name", ["music", "molecules"])
def test_our_own_domains_pass_every_check(name):
    assert list(problems(name)) == []


@pytest.mark.parametrize(("found", "instead", "wanted"), LOADING)
def test_a_mistake_is_said_when_the_plugin_is_loaded(plugin, found, instead, wanted):
    plugin(found, instead)
    lines = list(problems("beads"))
    assert len(lines) == 1
    assert wanted in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize(("check", "found", "instead", "wanted"), TRYING)
def test_a_mistake_is_found_by_trying(plugin, check, found, instead, wanted):
    plugin(found, instead)
    lines = list(problems("beads", checks=(check,)))
    assert any(all(part in line for part in wanted.split("|")) for line in lines), lines
    assert not any("\n" in line for line in lines)


def test_the_tables_are_long_enough():
    assert len(LOADING) + len(TRYING) >= 100
    assert {check for check, *_ in TRYING} == set(CHECKS)
