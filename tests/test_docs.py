"""The documents are run, not believed: commands exist, options exist, code blocks work, columns are described."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from importlib.metadata import EntryPoint
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from conftest import replace_installed

import seqtutor.domain
from seqtutor.cli import COMMANDS, main
from seqtutor.cli.options import DomainCommand, ModelCommand
from seqtutor.config import TrainConfig, build
from seqtutor.files import read_toml
from seqtutor.plugin.installed import installed
from seqtutor.priors.files import save_model
from seqtutor.priors.model import LstmModel
from seqtutor.rewards.terms import settings_of, weighted_terms
from seqtutor.training.tuner import Tuner

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def typed_commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ").split("#")[0].strip() for line in lines if line.startswith("$ seqtutor")]


@pytest.mark.parametrize("line", typed_commands())
def test_every_command_of_the_documents_exists_with_its_options(line):
    _, name, *rest = shlex.split(line)
    parent = click.Context(main, **main.context_settings)
    command = main.get_command(parent, name)
    assert command is not None, name
    with click.Context(command, info_name=name, parent=parent) as ctx:
        if isinstance(command, ModelCommand):
            rest = ["music" if word.startswith(("outputs/", "./")) else word for word in rest]
        elif isinstance(command, DomainCommand):
            files = [word for option, word in pairwise(rest) if option in ("--config", "--resume")]
            rest = [word for word in rest if word not in files] + ["--domain", "music"] * ("music" not in rest)
            rest = [word for i, word in enumerate(rest) if word not in ("--config", "--resume")]
        command.parse_args(ctx, rest)
    assert name in COMMANDS


def test_the_readme_lists_every_module_of_the_core():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "seqtutor").glob("*.py"):
        assert f"      {path.name} " in text, path.name


def test_the_python_example_of_the_readme_runs():
    (code,) = blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {}
    exec(code, names)
    melodies = names["melodies"]
    assert len(melodies) == 4
    assert all(len(melody.split()) == 64 for melody in melodies)


def test_every_column_of_the_metrics_is_described():
    domain = seqtutor.load("music", {"bars": 1})
    config = TrainConfig(domain="music", rollouts=2)
    tuner = Tuner(domain, config, LstmModel(domain.vocabulary, hidden=8, embedding=4, fixed_length=True))
    described = re.findall(r"^\| `(.+?)` \|", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE)
    columns = [column for column in tuner.step() if not column.startswith("term.")]
    assert columns == [name for name in described if "<name>" not in name]


def test_every_objective_is_described():
    text = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in installed("objective"))


def test_the_plugin_of_the_documents_pretrains_trains_and_generates(tmp_path, monkeypatch):
    (code,) = blocks(ROOT / "docs" / "plugins.md", "python")
    assert len(code.splitlines()) < 85
    (tmp_path / "words.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "words", raising=False)
    entry = EntryPoint("words", "words:WordsDomain", "seqtutor.domains")
    replace_installed(monkeypatch, "domain", {"words": entry})
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("\n".join(["melody", "sequence", "tutor", "prior", "policy"] * 20), encoding="utf-8")
    tiny = "--epochs 1 --hidden 8 --embedding 4"
    for line in (
        f"pretrain --domain words --data words.txt {tiny} --output prior",
        "train --domain words --prior ./prior --updates 2 --samples 20 --longest 12 --output run",
        "generate ./run -n 3 --output drawn",
        "evaluate ./run --against ./prior -n 10",
    ):
        result = CliRunner().invoke(main, shlex.split(line), catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert Path("drawn/words.txt").is_file()
    assert "vowels" in Path("run/report.html").read_text(encoding="utf-8")


def test_help_names_every_option_of_the_config():
    result = CliRunner().invoke(main, ["train", "--domain", "music", "-h"])
    assert result.exit_code == 0
    for option in ("--temperature", "--gamma", "--bars", "--tonic", "--weight", "--resume"):
        assert option in result.output


def test_help_shows_the_numbers_of_the_objective_in_use():
    said = {name: CliRunner().invoke(main, ["train", "--objective", name, "-h"]).output for name in ("psi", "ppo")}
    assert "--span" in said["psi"]
    assert "--clip" not in said["psi"]
    assert "--clip" in said["ppo"]
    assert "--replay" not in said["ppo"]


def test_a_saved_model_is_described_in_plain_json(tmp_path):
    domain = seqtutor.load("molecules")
    save_model(LstmModel(domain.vocabulary, hidden=8, embedding=4), tmp_path, "model", domain="molecules")
    assert (tmp_path / "config.json").read_text(encoding="utf-8").startswith("{")


@pytest.mark.parametrize("page", ["recipes.md", "scoring.md", "records.md"])
def test_the_configs_in_the_documents_are_valid(page, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda program: program)  # one of them names a program that may not be here
    monkeypatch.setattr("seqtutor_molecules.docking.known_targets", lambda: ["DRD2"])  # nor may an extra
    for block in blocks(ROOT / "docs" / page, "toml"):
        config = build(TrainConfig, tomllib.loads(block), page)
        weighted_terms(seqtutor.load(config.domain, config.options), config.weights, settings_of(config.terms))


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_the_example_configs_are_valid(path):
    config = build(TrainConfig, read_toml(path), str(path))
    domain = seqtutor.load(config.domain, config.options)
    assert weighted_terms(domain, config.weights)


def test_every_promise_names_a_test_that_exists():
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    for line in (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines():
        file = ""
        assert not re.match(r"\| (?!promise )", line) or "::test_" in line, f"no test: {line}"
        for given, name in re.findall(r"`(test_\w+\.py)?(?:::(test_\w+))?`", line):
            file = given or file
            assert not given or given in tests, given
            assert not name or f"def {name}(" in tests[file], (file, name)
