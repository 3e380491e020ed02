"""Plugins as a user meets them: installed well or badly, tuned, drawn on a page, and newly written."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from beads import BeadsDomain
from click.testing import CliRunner
from conftest import replace_installed

from seqtutor import UserError, available, load
from seqtutor.cli import COMMANDS, main
from seqtutor.cli.new import write_package
from seqtutor.plugin.contract import reserved
from seqtutor.priors.files import load_prior
from seqtutor.runs.report.svg import clean
from seqtutor.testing import CHECKS, check_domain

GROUP = "seqtutor.domains"
TINY = "--epochs 1 --hidden 8 --embedding 4"


def entry(name, value):
    return EntryPoint(name, value, GROUP)


@pytest.fixture
def beads(monkeypatch):
    replace_installed(monkeypatch, "domain", {"beads": entry("beads", "beads:BeadsDomain")})


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(line):
    return CliRunner().invoke(main, line.split())


def good(line):
    result = call(line)
    assert result.exit_code == 0, result.output
    return result.output


# Names, and what is installed


def test_no_option_of_a_domain_can_take_over_a_flag():
    parent = click.Context(main)
    for name in COMMANDS:
        for parameter in main.get_command(parent, name).params:
            assert parameter.name in reserved(), (name, parameter.name)
            for flag in parameter.opts:
                assert flag.strip("-").replace("-", "_") in reserved(), (name, flag)


def test_two_packages_with_one_name_are_an_error(monkeypatch):
    both = [entry("beads", "beads:BeadsDomain"), entry("beads", "other:BeadsDomain")]
    found = importlib.metadata.entry_points
    ours = {"group": GROUP}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **given: both if given == ours else found(**given))
    with pytest.raises(
        UserError, match=r"two installed packages name a domain 'beads': beads:BeadsDomain .* uninstall"
    ):
        load("beads")
    same = [both[0], both[0]]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **given: same if given == ours else found(**given))
    assert load("beads").name == "beads"  # one package, found on two paths


def test_the_list_of_domains_survives_every_broken_plugin(tmp_path, monkeypatch):
    source = Path(__file__).with_name("beads.py").read_text()
    broken = {
        "raises": source + "\n1 / 0\n",
        "leaves": source + "\nexit(3)\n",
        "syntax": source + "\n)\n",
        "terms": source.replace(
            "        return [\n            TokenTerm", "        return [\n            1 / 0, TokenTerm"
        ),
        "name": source,
    }
    for name, text in broken.items():
        text = text if name == "name" else text.replace('name = "beads"', f'name = "{name}"')
        (tmp_path / f"beads_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = {name: entry(name, f"beads_{name}:BeadsDomain") for name in broken}
    entries |= {"none": entry("none", "no_such_module_here:X"), "beads": entry("beads", "beads:BeadsDomain")}
    replace_installed(monkeypatch, "domain", entries)
    text = good("domains")
    assert "beads: rings of red, green and blue beads" in text
    assert "raises: the domain 'raises' cannot be loaded: ZeroDivisionError: division by zero (beads_raises.py" in text
    assert "leaves: the domain 'leaves' cannot be loaded: SystemExit: 3" in text
    assert "syntax: the domain 'syntax' cannot be loaded: SyntaxError" in text
    assert "terms: domain 'terms', terms: ZeroDivisionError: division by zero (beads_terms.py" in text
    assert "its class says 'beads'; make them one" in text
    assert "there is no module 'no_such_module_here'" in text
    assert "pip install" not in text
    assert call("domains raises").exit_code == 1


# A run, and its page


def test_options_of_a_prior_are_taken_over_or_the_run_is_refused(beads, elsewhere):
    good(f"pretrain --domain beads --longest 6 {TINY} --output prior")
    train = "train --domain beads --prior ./prior --updates 1 --rollouts 8 --batch 8 --samples 10"
    good(f"{train} --output run")
    assert "longest = 6" in Path("run/config.toml").read_text()
    good(f"{train} --metal gold --output gold")
    assert 'longest = 6\nmetal = "gold"' in Path("gold/config.toml").read_text()
    refused = call(f"{train} --longest 9 --output no")
    assert refused.exit_code == 1
    assert (
        "Error: the prior './prior' was made for other items (at most 7 tokens an item) than longest 9"
        in refused.output
    )
    assert not Path("no").exists()
    good(f"{train.replace('--prior ./prior', '--prior ./run')} --output again")  # a run as a prior
    assert "longest = 6" in Path("again/config.toml").read_text()


def test_a_fixed_length_may_be_shorter_than_the_priors_but_not_longer():
    from seqtutor.plugin.contract import inherited

    assert inherited("music", {"bars": 2}, {}, "music") == {"bars": 2}
    with pytest.raises(UserError, match="made for other items"):
        inherited("music", {"bars": 5}, {}, "music")
    assert inherited("music", {"bars": 5}, {}, "music", timed=True) == {"bars": 5}  # it knows how much is left
    assert inherited("music", {"bars": 5}, None, "mine") == {"bars": 5}  # a prior that does not say


def test_a_plugin_ships_its_prior(beads, elsewhere, monkeypatch):
    good(f"pretrain --domain beads {TINY} --output inside")
    monkeypatch.setattr(BeadsDomain, "prior", Path("inside").resolve())
    assert load_prior("beads", load("beads")).vocabulary == load("beads").vocabulary
    assert "prior: shipped" in good("domains beads")
    good("train --domain beads --updates 1 --rollouts 8 --batch 8 --samples 10 --output run")
    assert list(CHECKS["prior"](type("S", (), {"domain": load("beads")}))) == []


def test_what_fails_is_said_before_the_first_update(beads, elsewhere, monkeypatch):
    good(f"pretrain --domain beads {TINY} --output prior")
    for hook in ("measure", "picture", "write", "family"):
        with monkeypatch.context() as patch:
            patch.setattr(BeadsDomain, hook, lambda self, *_: 1 / 0)
            result = call("train --domain beads --prior ./prior --updates 1 --samples 10 --output run")
        assert result.exit_code == 1
        assert f"Error: domain 'beads', {hook}: ZeroDivisionError: division by zero" in result.output
        assert "see all: seqtutor check beads" in result.output
        assert not Path("run").exists()


def test_what_fails_at_the_end_costs_its_place_and_not_the_run(beads, elsewhere, monkeypatch):
    good(f"pretrain --domain beads {TINY} --output prior")
    measure, picture, write = BeadsDomain.measure, BeadsDomain.picture, BeadsDomain.write
    at_end = {"now": False}

    def late(method):
        def called(self, *given):
            if Path("run").exists():
                at_end["now"] = True
                raise LookupError("too late")
            return method(self, *given)

        return called

    for hook, method in (("measure", measure), ("picture", picture), ("write", write)):
        monkeypatch.setattr(BeadsDomain, hook, late(method))
    text = good("train --domain beads --prior ./prior --updates 1 --rollouts 8 --batch 8 --samples 10 --output run")
    assert at_end["now"]
    assert "missing from the table or the folder: domain 'beads', measure: LookupError: too late" in text
    assert "missing from the table or the folder: domain 'beads', write: LookupError: too late" in text
    page = Path("run/report.html").read_text()
    assert "<strong>Missing here:</strong> domain &#39;beads&#39;, measure: LookupError: too late" in page
    assert "It could not be drawn: domain &#39;beads&#39;, picture: LookupError: too late" in page
    assert "No item: this sequence is not valid" not in page.partition("Chosen: the tuned model")[2]


def test_a_page_runs_no_script_but_its_own(beads, elsewhere, monkeypatch):
    good(f"pretrain --domain beads {TINY} --output prior")
    good("train --domain beads --prior ./prior --updates 1 --rollouts 8 --batch 8 --samples 10 --output run")
    svg = '<svg viewBox="0 0 9 9" onload="alert(1)"><script>alert(2)</script><path d="M0 0h{}"/></svg>'
    monkeypatch.setattr(BeadsDomain, "picture", lambda self, text: svg.format(len(text)))
    good("report run")
    page = Path("run/report.html").read_text()
    assert "alert" not in page
    assert '<svg viewBox="0 0 9 9"><path d="M0 0h' in page
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith(f"script-src 'sha256-{digest}'")


@pytest.mark.parametrize(
    ("inside", "dropped"),
    [
        ('<a href="javascript:alert(1)"><path d=""/></a>', ["<a>"]),
        ('<image href="http://x/y.png"/>', ["<image>"]),
        ("<foreignObject><b/></foreignObject>", ["<foreignObject>"]),
        ("<style>* {display: none}</style>", ["<style>"]),
        ('<use href="other.svg#a"/>', ["href"]),
        ('<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="http://x#a"/>', ["href"]),
        ('<path onclick="alert(1)"/>', ["onclick"]),
        ('<path style="fill:url(http://x/y)"/>', ["style"]),
        ('<path style="position:fixed"/>', ["style"]),
        ("<path fill=\"url( 'http://x' )\"/>", ["fill"]),
        ('<g data-points="[1"/>', ["data-points"]),
        ('<animate attributeName="href" to="javascript:alert(1)"/>', ["<animate>"]),
        ('<use href="#a"/><path fill="url(#b)" style="fill:none;stroke:#fff" data-from="1"/>', []),
    ],
)
def test_a_picture_keeps_its_shapes_and_nothing_else(inside, dropped):
    picture, found = clean(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{inside}<rect/></svg>')
    assert found == dropped
    assert picture.endswith("<rect /></svg>")
    assert clean(picture) == (picture, [])
    assert ("http" in picture, "javascript" in picture) == (False, False)


@pytest.mark.parametrize(
    "picture",
    [
        "",
        "a<b",
        "<p>hello</p>",
        "<svg>",
        '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>',
        "<svg>" + "<g>" * 5000 + "</g>" * 5000 + "</svg>",
        "<svg>" + "x" * 1_000_000 + "</svg>",
    ],
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(UserError, match="the picture"):
        clean(picture)


def test_text_that_looks_like_markup_stays_text_in_a_title():
    picture, _ = clean("<svg><title><![CDATA[<img src=x onerror=alert(1)>]]></title></svg>")
    assert picture == "<svg><title>&lt;img src=x onerror=alert(1)&gt;</title></svg>"


# seqtutor new


@pytest.fixture
def rna(tmp_path, monkeypatch):
    """The package that `seqtutor new rna` writes, as if installed."""
    monkeypatch.chdir(tmp_path)
    assert "now type:\n  pip install --no-build-isolation -e ./rna\n  seqtutor check rna" in good("new rna")
    project = Path("rna/pyproject.toml").read_text()
    ((name, value),) = re.findall(r'entry-points."seqtutor.domains"\]\n(\S+) = "(\S+)"', project)
    replace_installed(monkeypatch, "domain", {name: entry(name, value)})
    monkeypatch.syspath_prepend(str(tmp_path / "rna"))
    yield tmp_path / "rna"
    for module in ("seqtutor_rna",):
        sys.modules.pop(module, None)


def test_the_new_package_passes_and_trains(rna):
    assert available() == ["rna"]
    assert len((rna / "seqtutor_rna" / "__init__.py").read_text().splitlines()) < 70
    assert good("check rna") == "rna: all is well\n"
    for check in CHECKS:
        check_domain("rna", check)
    names: dict[str, object] = {}
    exec((rna / "tests" / "test_seqtutor_rna.py").read_text(), names)
    names["test_terms"]()
    good(f"pretrain --domain rna {TINY} --output prior")
    good("train --domain rna --prior ./prior --updates 2 --rollouts 8 --batch 8 --samples 10 --output run")
    assert "G and C" in Path("run/report.html").read_text()


def test_a_name_that_cannot_be_is_refused(beads, elsewhere):
    for name, wanted in (("beads", "there is a domain 'beads' already"), ("Rna", "cannot be a domain's name")):
        result = call(f"new {name}")
        assert result.exit_code == 1
        assert wanted in result.output
    Path("rna").mkdir()
    with pytest.raises(UserError, match="rna exists"):
        write_package("rna", Path("rna"))


def test_a_check_that_finds_something_ends_with_status_1(beads, monkeypatch):
    monkeypatch.setattr(BeadsDomain, "family", lambda self, text: None)
    result = call("check beads")
    assert result.exit_code == 1
    assert result.output == "beads: family: gave None; a text is needed\n"
