"""The notebooks of the examples are run in a small form, cell by cell, and show what they say that they show."""

from __future__ import annotations

import ast
import json
import sys
from math import isnan
from pathlib import Path

import pytest

from seqtutor.runs.notebook import Item, table_of

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
SMALL = {"updates": 2, "samples": 20, "rollouts": 8, "best_of": 2, "folder": "run"}


def shown(code, names):
    """Execute a cell -> the value of its last line, as a notebook shows it; None: it has none."""
    body = ast.parse(code).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


def test_a_table_has_numbers_without_pandas_as_with_it(monkeypatch):
    rows = [
        {"update": "1", "reward": "", "text": "01", "all": ""},
        {"update": "2", "reward": "0.5", "text": "", "all": ""},
    ]
    monkeypatch.setitem(sys.modules, "pandas", None)
    first, second = table_of(rows)
    assert (first["update"], second["reward"], first["text"], second["text"]) == (1, 0.5, "01", "")
    assert isnan(first["reward"])
    assert isnan(first["all"])
    assert table_of([]) == []


def test_there_is_one_of_each_domain():
    assert [path.stem for path in NOTEBOOKS] == ["molecules", "music"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_items_the_run_and_its_table(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names, values = {}, []
    for cell in cells:
        values.append(shown("".join(cell["source"]), names))
        if "parameters" in cell["metadata"].get("tags", ()):
            assert names["settings"] == {}
            names |= {"settings": SMALL, "samples": 20}
    items = [value for value in values if isinstance(value, Item)]
    assert len(items) == 2
    assert all("<svg" in item._repr_html_() for item in items)
    (page,) = [value._repr_html_() for value in values if value is names["run"]]
    assert "<iframe" in page
    said = capsys.readouterr().out
    assert "reward" in said
    assert "tuned: reward" in said
    assert Path("run/summary.json").is_file()
