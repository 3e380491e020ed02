"""The chosen items on the page: drawn, counted, carried as data for the page's script, and never markup."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_report import EVIL, Graphs, Tree, Tunes, text, write_csv, write_run

from seqtutor.runs.report import hits, render

COLUMNS = ["text", "family", "reward", "failed_filter", "term.leaps", "score.leaps"]


def row(text: str, reward: float | str, family: str = "A", failed: str = "") -> dict[str, object]:
    return dict(zip(COLUMNS, [text, family, reward, failed, 2, 0.5], strict=True))


def run_with_hits(folder: Path, chosen: list[dict[str, object]], scored: list[dict[str, object]]) -> Path:
    write_run(folder)
    (folder / "hits").mkdir()
    write_csv(folder / "hits" / "hits.csv", chosen, COLUMNS)
    write_csv(folder / "scored.csv", scored, COLUMNS)
    return folder


def carried(page: str) -> dict[str, list[list[object]]]:
    found = re.search(r'<script type="application/json" id="hit-rows">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


@pytest.fixture
def scored() -> list[dict[str, object]]:
    return [row("ABC", 3.0), row("BCD", 2.0), row("CDE", 1.0, "B"), row("DEF", 9.0, "B", "leaps"), row("EFG", "nan")]


def test_chosen_items_come_first_then_the_best_of_the_others_that_pass(tmp_path, scored):
    page = render(run_with_hits(tmp_path, [scored[0], scored[2]], scored), Tunes())
    data = carried(page)
    assert data["columns"] == ["reward", "leaps", "leaps (score)"]
    assert [line[0] for line in data["rows"]] == ["ABC", "CDE", "BCD"]
    assert data["rows"][0] == ["ABC", "A", 3.0, 2.0, 0.5]
    assert re.search(r"5 different items were asked about ?; 1 could not be scored", text(page))
    assert "3 passed every filter; those are of 2 families" in text(page)
    assert ("a", "href", "hits/hits.csv") in Tree(page).attributes
    assert page.count('class="item hit"') == 2


@pytest.mark.parametrize("filtered", [False, True])
def test_a_filter_that_every_item_passes_is_spoken_of_too(tmp_path, filtered):
    some = [row("ABC", 3.0), row("BCD", 2.0)]
    folder = run_with_hits(tmp_path, some, some)
    tables = '[terms.leaps]\nfilter = true\nfunction = "a:b"\n' if filtered else ""
    (folder / "config.toml").write_text((folder / "config.toml").read_text() + tables)
    assert ("2 passed every filter" in text(render(folder, Tunes()))) == filtered


class Lines(Tunes):
    """Tunes whose file holds a tune after another."""

    joined = {".txt": ";\n"}  # noqa: RUF012


def test_the_page_carries_what_each_chosen_item_is_in_the_file_of_the_field(tmp_path, scored):
    folder = run_with_hits(tmp_path, [scored[0], scored[2]], scored)
    (folder / "hits" / "tunes.txt").write_text("ABC\n1;\nCDE\n2;\n", encoding="utf-8")
    assert carried(render(folder, Lines()))["entries"] == {".txt": ["ABC\n1;\n", "CDE\n2;\n"]}
    (folder / "hits" / "tunes.txt").write_text("ABC\n1;\n", encoding="utf-8")  # of another number of items
    assert carried(render(folder, Lines()))["entries"] == {}


def test_of_a_term_with_a_negative_weight_less_is_better(tmp_path, scored):
    assert carried(render(run_with_hits(tmp_path, scored[:1], scored), Tunes()))["lower"] == ["leaps"]


def test_a_run_that_scored_nothing_has_no_such_part(tmp_path):
    assert "The best of all that was scored" not in render(write_run(tmp_path), Tunes())


def test_a_page_carries_so_many_rows_and_no_more(tmp_path, monkeypatch, scored):
    monkeypatch.setattr(hits, "MOST", 2)
    monkeypatch.setattr(hits, "PICTURES", 1)
    page = render(run_with_hits(tmp_path, scored[:2], scored), Graphs())
    assert len(carried(page)["rows"]) == 2
    assert page.count('class="item hit"') == 1


def test_what_stands_in_the_tables_stays_text(tmp_path):
    evil = [row(EVIL, 1.0, EVIL), row("</script>" + EVIL, 0.5, "<b>")]
    page = render(run_with_hits(tmp_path, evil, evil), Graphs())
    assert EVIL not in page
    assert [line[0] for line in carried(page)["rows"]] == [EVIL, "</script>" + EVIL]


def test_a_cell_that_is_no_number_is_nothing(tmp_path):
    page = render(run_with_hits(tmp_path, [row("ABC", "high")], [row("ABC", "high")]), Tunes())
    assert carried(page)["rows"][0][2] is None


TYPED = """<script>
const field = document.querySelector("section.hits form [name=filter]");
for (const word of ["nothing", "reward<1.5"]) {
  field.value = word;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
document.querySelector("section.hits form [name=all]").click();
document.body.dataset.shown = [...document.querySelectorAll("section.hits ol .text")].map((one) => one.textContent);
</script>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_condition_that_is_typed_passes_through_an_empty_list(tmp_path):
    """The card that others are copied from was gone with the list, and nothing was shown from there on."""
    page = render(run_with_hits(tmp_path, [row("ABC", 3.0)], [row("ABC", 3.0), row("CDE", 1.0, "B")]), Tunes())
    assert 'name="filter"' in page
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page) + TYPED
    (tmp_path / "page.html").write_text(open_page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += ["--virtual-time-budget=2000", "--dump-dom", f"file://{tmp_path / 'page.html'}"]
    dom = subprocess.run(["chromium", *flags], capture_output=True, text=True, timeout=60, check=False).stdout
    assert 'data-shown="CDE"' in dom
