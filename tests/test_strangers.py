"""Files from others: they may be refused, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letters import new_model

import seqtutor
from seqtutor import UserError
from seqtutor.cli import main
from seqtutor.priors.files import load_model, save_model
from seqtutor.runs.report import render

SCRIPT = "<script>alert(1)</script>"
FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
NAMES = ("smiles", "csv", "sdf", "midi", "abc", "musicxml", "melodies", "toml", "safetensors", "run")
NAMES += ("packed", "votes", "record", "checkpoint")


@pytest.fixture(scope="session")
def fuzz(tmp_path_factory):
    """The benchmark's readers, with the real inputs that they are fuzzed from."""
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module, module.readers(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_reads_or_refuses(fuzz, name):
    """Twenty inputs each here; benchmarks/fuzz.py has the long form."""
    module, readers = fuzz
    reader, seeds = readers[name]

    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def check(seed):
        assert module.attempt(reader, next(module.mutants(seeds, random.Random(seed)))) in ("read", "refused")

    for seed in seeds[:2]:
        assert module.attempt(reader, seed) == "read"
    check()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden", 10**12),
        ("layers", 10**9),
        ("embedding", -1),
        ("hidden", 2.5),
        ("vocabulary", [1, 2]),
        ("hidden", None),
    ],
)
def test_a_description_that_asks_for_too_much_is_refused_before_anything_is_allocated(tmp_path, key, value):
    save_model(new_model(), tmp_path, "model", domain="letters")
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, key: value}))
    with pytest.raises(UserError, match="does not describe a model"):
        load_model(tmp_path, "model")


def test_weights_that_are_a_pickle_are_refused(tmp_path):
    save_model(new_model(), tmp_path, "model", domain="letters")
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(UserError, match="cannot read the weights"):
        load_model(tmp_path, "model")
    assert not Path("pwned").exists()


@pytest.mark.parametrize("metre", ["99999/4", "99998+1/4"])
def test_a_metre_that_would_take_hours_is_refused_at_once(tmp_path, metre):
    for text in (f"X:1\nM:{metre}\nL:1/8\nK:G\nGABc dedB|\n", f"X:1\nM:4/4\nK:G\nGABc|dedB[M:{metre}]dedB|\n"):
        (tmp_path / "a.abc").write_text(text)
        (tune,) = seqtutor.load("music").read(tmp_path / "a.abc")
        assert tune.problem == "its metre is 99999/4; no melody has one above 64"


def test_a_note_that_would_fill_the_memory_is_refused_at_once(tmp_path):
    (tmp_path / "a.abc").write_text(f"X:1\nM:4/4\nL:1/8\nK:G\nGABc dedB|G{4 * 10**9}|GABc dedB|\n")
    (tune,) = seqtutor.load("music").read(tmp_path / "a.abc")
    assert tune.problem == "a note has the length 4000000000/1; no melody has one beyond 1 to 999"


def test_a_score_that_would_take_hours_or_all_memory_is_refused_at_once(fuzz, tmp_path):
    module, _ = fuzz
    music = seqtutor.load("music")
    (tmp_path / "a.xml").write_bytes(module.MUSICXML.replace(b"<beats>4", b"<beats>2+99999"))
    with zipfile.ZipFile(tmp_path / "b.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", module.MUSICXML.replace(b"<beats>4", b"<beats>99999"))
    with zipfile.ZipFile(tmp_path / "c.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", bytes(60_000_000))
    assert [line.problem for line in music.read(tmp_path)] == [
        "its metre has 2+99999 beats; no melody has more than 64",
        "its metre has 99999 beats; no melody has more than 64",
        "unpacked it has 60,000,000 bytes; a melody has fewer than 50,000,000",
    ]


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ('"halfwidth": 0.1', '"halfwidth": -10.1'),
        ('"halfwidth": 0.1', '"halfwidth": NaN'),
        ('"mean": 0.5', '"mean": 1e308'),
        ('"mean": 0.5', '"mean": null'),
        ('"seconds": 3.0', '"seconds": -1e999'),
        ("\n1,0.5,0.1", "\n1,0.5,1e308"),
    ],
)
def test_an_impossible_figure_of_a_run_reads_as_an_unknown_one(fuzz, found, instead):
    module, readers = fuzz
    reader, (run,) = readers["run"]
    for times in (1, -1):
        assert module.attempt(reader, run.replace(found.encode(), instead.encode(), times)) == "read"


@pytest.mark.parametrize(
    ("found", "instead", "wanted"),
    [
        ("\n2,0.9", "\n1e308,0.9", "metrics.csv' has a row whose update is no number"),
        ("\n1,0.5", "\n,0.5", "metrics.csv' has a row whose update is no number"),
        ('"updates": 2', '"updates": "2"', "'2' stands where a count belongs"),
        ('"best_of": 16', '"best_of": -1', "-1 stands where a count belongs"),
        (
            '"better": "higher", "percent": false, "summary": "", "name": "valid"',
            '"better": "up", "name": "v"',
            "'up' is",
        ),
    ],
)
def test_a_run_that_cannot_be_understood_says_why(fuzz, tmp_path, found, instead, wanted):
    _, readers = fuzz
    reader, (run,) = readers["run"]
    with pytest.raises(UserError, match=wanted):
        reader(run.replace(found.encode(), instead.encode()), tmp_path)


def test_a_script_in_a_text_a_term_or_a_config_stays_text(tmp_path):
    (tmp_path / "config.toml").write_text(f'domain = "molecules"\nupdates = 1\n# {SCRIPT}\n')
    (tmp_path / "metrics.csv").write_text(f"update,reward,kl,kl_per_token,term.{SCRIPT}\n1,0.5,1,0.1,2\n")
    (tmp_path / "samples.csv").write_text(
        f"number,model,text,reward,term.{SCRIPT},file\n1,policy,C{SCRIPT},1,2,1\n1,prior,,1,2,\n"
    )
    page = render(tmp_path, seqtutor.load("molecules"))
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.usefixtures("installed")
def test_names_from_a_config_cannot_leave_the_output_folder(tmp_path, monkeypatch):
    work = tmp_path / "work"
    (work / "prior").mkdir(parents=True)
    monkeypatch.chdir(work)
    save_model(new_model(spread=1.0), work / "prior", "model", domain="letters")
    keys = {"domain": "../../letters", "objective": "../psi", "cache": "../shared.sqlite"}
    for key, value in keys.items():
        (work / "run.toml").write_text(f"{'' if key == 'domain' else 'domain = ' + chr(34) + 'letters' + chr(34)}\n")
        with (work / "run.toml").open("a") as file:
            file.write(f'prior = "./prior"\nsamples = 10\n{key} = "{value}"\n')
        result = CliRunner().invoke(main, ["train", "--config", "run.toml"])
        assert result.exit_code == 1, result.output
        assert result.stderr.startswith("Error: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work"]
    assert sorted(path.name for path in work.iterdir()) == ["prior", "run.toml"]
