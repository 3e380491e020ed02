"""The page of a run: what it says, that it stands alone, that nothing in a run folder becomes markup."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from seqtutor import DataLine, Domain, Measure, SequenceTerm, UserError, Vocabulary
from seqtutor.domain import Progress, silent
from seqtutor.runs.report import charts, figures, reading, render

EVIL = '<script>alert("x")</script>'


class Tunes(Domain):
    """Melodies as letters, one a quarter of a second."""

    name = "tunes"
    summary = "Melodies of letters"

    @dataclasses.dataclass(frozen=True)
    class Options:
        pass

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary("ABCDEFG")

    @property
    def max_length(self) -> int:
        return 16

    def corpus(self, progress: Progress = silent) -> list[str]:
        return []

    def read(self, path: Path) -> Iterator[DataLine]:
        return iter(())

    def encode(self, text: str) -> list[str]:
        return list(text)

    def decode(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def terms(self) -> list[SequenceTerm]:
        return [
            SequenceTerm("starts on C", 1.0, "A tune that starts on C earns 1.", "", lambda t: np.zeros(len(t))),
            SequenceTerm("leaps", -0.5, f"Every leap is charged {EVIL}.", "", lambda t: np.zeros(len(t))),
        ]

    def measure(self, texts: Sequence[str | None]) -> list[Measure]:
        return []

    def write(self, texts: Sequence[str], folder: Path) -> list[Path]:
        return []

    def picture(self, text: str) -> str:
        bars = "".join(
            f'<rect x="{start * 40:g}" y="{90 - pitch}" width="{length * 40:g}" height="3" fill="currentColor"/>'
            for start, length, pitch in self.notes(text)
        )
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(text) * 10} 40">{bars}</svg>'

    def notation(self, text: str) -> str:
        return '<svg viewBox="0 0 9 9"><script>alert(1)</script><path stroke="currentColor" d="M0 9h9"/></svg>'

    def notes(self, text: str) -> list[tuple[float, float, int]]:
        return [(i * 0.25, 0.22, 50 + 2 * (ord(c) % 16)) for i, c in enumerate(text) if c.isalpha()]


class Graphs(Tunes):
    """Silent, square pictures."""

    name = "graphs"
    summary = "Drawings"

    def notation(self, text: str) -> str:
        return ""

    def notes(self, text: str) -> list[tuple[float, float, int]]:
        return []

    def picture(self, text: str) -> str:
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path fill="none" stroke="#333" '
            f'stroke-width="3" d="M50 20l26 15v30l-26 15l-26 -15v-30z M50 20v-{len(text)}"/></svg>'
        )


def estimates(prior: tuple[Any, Any], best: tuple[Any, Any], policy: tuple[Any, Any]) -> dict[str, dict[str, Any]]:
    values = {"prior": prior, "best_of_n": best, "policy": policy}
    return {key: {"mean": mean, "halfwidth": halfwidth} for key, (mean, halfwidth) in values.items()}


def measure(name: str, better: str, percent: bool, *values: tuple[Any, Any]) -> dict[str, Any]:
    return {"name": name, "better": better, "percent": percent, "summary": f"What {name} says.", **estimates(*values)}


def summary() -> dict[str, Any]:
    share, same = True, ((0.5, 0.01), (0.5, 0.01), (0.502, 0.01))
    return {
        "domain": "tunes",
        "objective": "psi",
        "updates": 120,
        "seconds": 151.2,
        "oracle_calls": 7680,
        "samples": 1000,
        "best_of": 16,
        "interrupted": False,
        "kl": {"sequence": 9.9, "token": 0.31},
        "best_of_kl": 1.835,
        "best_scored": {"items": 0, "reward": None},
        "reward": estimates((-3.1, 0.4), (-0.4, 0.1), (2.7, 0.1)),
        "terms": [
            {
                "name": "starts on C",
                "better": "higher",
                "weight": 1.0,
                "summary": "Starts on C.",
                "source": "Jaques 2017",
            }
            | estimates((0.012, 0.007), (0.09, 0.01), (0.84, 0.02)),
            {"name": "leaps", "better": "lower", "weight": -0.5, "summary": "Leaps.", "source": ""}
            | estimates((2.4, 0.1), (1.9, 0.1), (0.2, 0.02)),
        ],
        "measures": [
            measure("starts on the tonic", "higher", share, (0.012, 0.007), (0.09, 0.01), (0.8412, 0.0226)),
            measure("repeated notes", "lower", share, (0.32, 0.01), (0.2, 0.01), (0.0021, 0.0008)),
            measure("leaps resolved", "higher", share, (0.67, 0.03), (0.7, 0.03), (0.9714, 0.011)),
            measure("not in key", "lower", share, (0.11, 0.01), (0.05, 0.01), (0.004, 0.001)),
            measure("distinct tunes", "higher", share, (1.0, 0), (1.0, 0), (0.962, 0.012)),
            measure("contrast", "neither", False, (3.2, 0.1), (3.2, 0.1), (2.6, 0.1)),
            measure("pitch range", "higher", False, *same),
            measure("motifs", "higher", False, (1.2, 0.1), (1.4, 0.1), (None, None)),
        ],
    }


def metrics(rows: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    table = []
    for i in range(1, rows + 1):
        part = 1 - math.exp(-i / 30)
        table.append(
            {
                "update": i,
                "seconds": i * 1.25,
                "reward": -3.1 + 5.7 * part + rng.normal(0, 0.4),
                "kl": 10 * part**2,
                "kl_per_token": 0.31 * part**2 + rng.normal(0, 0.004),
                "temperature": 0.5,
                "loss": "nan" if i == 3 else 2 / i,
                "valid": 1.0,
                "distinct": 1 - 0.04 * part,
                "length": 32,
                "oracle_calls": 64 * i,
                "term.starts on C": "" if i == 5 else 0.84 * part + rng.normal(0, 0.03),
                "term.leaps": 2.4 - 2.2 * part + rng.normal(0, 0.1),
            }
        )
    return table


def samples() -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    rows = []
    for model, lift in (("policy", 3.0), ("prior", -3.0)):
        for i in range(20):
            place = i + (i < 2) if model == "policy" and i != 2 else ""  # among the files: the third is no item
            text = "" if i == 2 else "".join(rng.choice(list("ABCDEFG-"), 32))
            row = {"number": i + 1, "model": model, "text": text, "reward": lift + rng.normal(), "file": place}
            rows.append(row | {"term.starts on C": int(text[:1] == "C"), "term.leaps": rng.integers(5)})
    return rows


CONFIG = """domain = "tunes"
objective = "psi"
prior = "music"
updates = 120
batch = 64
temperature = 0.5
seed = 1

[options]
bars = 2

[weights]
leaps = -0.5
"""


def write_csv(path: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_run(folder: Path, rows: int = 40, config: str = CONFIG, **changes: Any) -> Path:
    """A run folder like a real one; `changes` go into summary.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(config)
    (folder / "summary.json").write_text(json.dumps(summary() | changes))
    write_csv(folder / "metrics.csv", metrics(rows), list(metrics(1)[0]))
    write_csv(folder / "samples.csv", samples(), list(samples()[0]))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render(write_run(tmp_path_factory.mktemp("run")), Tunes())


VOID = {"meta", "link", "br", "input"}


class Tree(HTMLParser):
    """Fails on a tag that is closed out of turn; keeps the words outside tags and what each attribute says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def text(page: str) -> str:
    return Tree(page).text


def test_page_is_well_formed_and_its_ids_are_unique(page: str) -> None:
    ids = [value for _, key, value in Tree(page).attributes if key == "id"]
    assert len(ids) == len(set(ids))
    labels = {value for _, key, value in Tree(page).attributes if key == "aria-labelledby"}
    assert labels <= set(ids)


def test_page_stands_alone(page: str) -> None:
    assert "://" not in page.replace("http://www.w3.org/", "")
    assert not [a for a in Tree(page).attributes if a[1] in ("src", "href") and not a[2].startswith(("#", "data:"))]
    assert len(page) < 300_000


def test_samples_of_the_tuned_model_link_to_their_own_files(tmp_path: Path) -> None:
    """The third sample is no item: the third file is the fourth one's."""
    folder = write_run(tmp_path)
    (folder / "samples").mkdir()
    for name in ("0001.mid", "0001.abc", "0003.mid", "tunes.txt"):
        (folder / "samples" / name).touch()
    found = dict(re.findall(r"<span>((?:tuned|prior) \d)</span>(.*?)</li>", render(folder, Tunes()), re.DOTALL))
    links = {title: re.findall(r'href="(.*?)"', item) for title, item in found.items()}
    linked = {title: names for title, names in links.items() if names}
    assert linked == {"tuned 1": ["samples/0001.abc", "samples/0001.mid"], "tuned 4": ["samples/0003.mid"]}


def test_headline_counts_and_names_what_changed(page: str) -> None:
    said = text(page)
    assert "4 of 6 measures got better, 1 got worse" in said
    tops = re.findall(r'<article class="card (better|worse)">.*?<h3>(.*?)</h3>', page, re.S)
    assert tops == [
        ("better", "Starts on the tonic"),
        ("better", "Repeated notes"),
        ("better", "Not in key"),
        ("better", "Leaps resolved"),
        ("worse", "Distinct tunes"),
    ]
    assert "before 1.2 % → after 84 %" in said
    assert "before 100 % → after 96.2 %" in said
    assert "▼ worse" in said


def test_cost_is_told_in_plain_words(page: str) -> None:
    said = text(page)
    assert "0.31 nats per token" in said
    assert "1.36 times as likely" in said
    assert "2 min 31 s" in said
    assert "7,680 oracle calls" in said


def test_a_model_that_hardly_moved_is_not_said_to_have_moved_by_nothing(tmp_path: Path) -> None:
    """It was "1 times as likely as before; 1 would be no change"."""
    page = render(write_run(tmp_path, kl={"sequence": 0.28, "token": 0.0043}), Tunes())
    assert "1.004 times as likely" in text(page)


def test_table_has_intervals_the_free_baseline_and_a_word_for_each_change(page: str) -> None:
    said = text(page)
    assert "84.1 % ± 2.3" in said
    assert "Best of 16 is the baseline that needs no tuning" in said
    assert "leaps × −0.5" in said
    assert "◆ changed" in said
    assert "= no clear change" in said
    assert "? not known" in said


def test_samples_say_how_they_were_picked(page: str) -> None:
    said = text(page)
    assert "Not selected: the first 6 that each model wrote, in order." in said
    assert "These are not typical." in said
    assert said.count("this sequence is not valid") == 2
    assert page.count("<button") == 16
    assert (
        re.findall(r"<span>best (\d+)</span>", page)
        == [
            str(row["number"])
            for row in sorted(samples(), key=lambda r: -r["reward"])
            if row["model"] == "policy" and row["text"]
        ][:6]
    )


def test_what_was_kept_by_the_law_of_the_optimum_is_shown_with_its_files(tmp_path: Path) -> None:
    rows = [{**row, "file": ""} for row in samples()]
    policy = [row for row in rows if row["model"] == "policy" and row["text"]]
    policy[-1]["file"], policy[2]["file"] = 1, 2
    figures = [{**row, "kept": {"mean": 0.4321, "halfwidth": 0.0123}} for row in summary()["terms"]]
    kept = {"items": 2, "of_prior": 0, "draws": 1000, "effective": 321.0, "kl": 1.5, "reward": 4.0}
    folder = write_run(tmp_path, kept=kept, terms=figures)
    write_csv(folder / "samples.csv", rows, list(rows[0]))
    (folder / "samples").mkdir()
    for name in ("1.mid", "2.mid", "3.mid"):
        (folder / "samples" / name).touch()
    page = render(folder, Tunes())
    assert re.findall(r"<span>tuned (\d+)</span>", page) == [str(policy[-1]["number"]), str(policy[2]["number"])]
    assert re.findall(r'href="samples/([^"]+)"', page)[:2] == ["1.mid", "2.mid"]
    assert "3.mid" not in page
    said = text(page)
    assert (
        "of 1,000 that both models wrote, 2 are kept by lot, with chances that give them the law of the optimum"
        in re.sub(r"\s+", " ", said)
    )
    assert re.search(r"Tuned\s+Kept\s+", said)
    assert "0.432" in said
    assert "and to 4 by the law that the 2 items kept follow" in re.sub(r"\s+", " ", said)


@pytest.mark.parametrize(
    ("of_prior", "told"),
    [(1, "that both models wrote, 2 are kept"), (None, "that the tuned model wrote, 2 are kept")],
)
def test_what_is_kept_of_the_priors_samples_is_shown_as_the_priors(
    tmp_path: Path, of_prior: int | None, told: str
) -> None:
    """A run of before knows nothing of them."""
    rows = [{**row, "file": ""} for row in samples()]
    one = next(row for row in rows if row["model"] == "policy" and row["text"])
    other = next(
        row for row in rows if row["model"] == ("prior" if of_prior else "policy") and row["text"] and row is not one
    )
    one["file"], other["file"] = 2, 1
    kept = {"items": 2, "draws": 1000, "effective": 321.0, "kl": 1.5, "reward": 4.0}
    folder = write_run(tmp_path, kept={**kept, **({} if of_prior is None else {"of_prior": of_prior})})
    write_csv(folder / "samples.csv", rows, list(rows[0]))
    (folder / "samples").mkdir()
    for name in ("1.mid", "2.mid"):
        (folder / "samples" / name).touch()
    page = render(folder, Tunes())
    said = re.sub(r"\s+", " ", text(page))
    assert told in said
    assert ("(1 of them the prior’s)" in said) == bool(of_prior)
    after = page[page.index("After: what is kept") :]
    named = re.findall(r"<span>(prior|tuned) (\d+)</span>", after)[:2]
    assert named == [("prior" if of_prior else "tuned", str(other["number"])), ("tuned", str(one["number"]))]
    assert re.findall(r'href="samples/([^"]+)"', after)[:2] == ["1.mid", "2.mid"]


def test_the_change_is_judged_by_what_is_kept_and_what_went_astray_by_the_policy_too(tmp_path: Path) -> None:
    def figure(name: str, policy: float, kept: float) -> dict[str, Any]:
        means = {"prior": 0.5, "best_of_n": 0.5, "policy": policy, "kept": kept}
        about = {"name": name, "better": "near", "percent": False, "summary": "", "reference": 0.6}
        return about | {key: {"mean": mean, "halfwidth": 0.01} for key, mean in means.items()}

    rows = [figure("led", 0.5, 0.6), figure("lost", 0.4, 0.5), figure("left", 0.5, 0.4)]
    kept = {"items": 2, "draws": 1000, "effective": 321.0, "kl": 1.5, "reward": 4.0}
    page = render(write_run(tmp_path, kept=kept, measures=rows), Tunes())
    said = re.sub(r"\s+", " ", text(page))
    assert "1 of 3 measures got better, 1 got worse" in said
    assert "Further from real items than before, in what is kept or in all that the model writes: left, lost." in said
    assert 'href="#spread"' in page
    drifts = re.search(r'<ul class="drifts">.*?</ul>', page, re.DOTALL)
    assert drifts
    assert re.findall(r"<strong>(.*?)</strong>", drifts[0]) == ["lost"]  # the histograms are the policy's
    assert f"seqtutor calibrate {tmp_path}/config.toml --draws 20000 --hold left --output held.toml" in said
    alone = render(write_run(tmp_path, kept=kept, measures=rows[2:]), Tunes())
    assert "Further from real items" in alone
    assert 'href="#spread"' not in alone  # there is nothing to jump to


def test_terms_of_the_users_own_profile_are_judged_with_the_measures_and_the_reward_is_named_as_it_is(tmp_path) -> None:
    """Of a profile of two terms the headline spoke of eighteen other figures."""
    plain = render(write_run(tmp_path), Tunes())
    counted = re.search(r"of (\d+) measures got better", plain)
    assert counted
    assert "the weighted sum of the terms above" in plain
    config = {"combine": "geometric", "terms": {"leaps": {"function": "mine:leaps"}, "starts on C": {"weight": 1.0}}}
    (tmp_path / "config.toml").write_text(tomli_w.dumps(config))
    own = render(tmp_path, Tunes())
    assert f"of {int(counted[1]) + 1} measures got better" in own
    assert "the weighted geometric mean of the terms above" in own


def test_the_page_says_why_tuning_was_no_better_than_choosing(tmp_path: Path) -> None:
    def said(best: float, **more: Any) -> str:
        page = render(write_run(tmp_path, reward=estimates((1.0, 0.1), (best, 0.1), (2.7, 0.1)), **more), Tunes())
        return re.sub(r"\s+", " ", text(page))

    optimum = {"temperature": 1.0, "gap": {"mean": 0.8, "halfwidth": 0.1}, "share": 0.45}
    optimum |= {"frontier": [[0.0, 1.0], [12.0, 9.0]], "best_of": []}
    why = "Best of 16 draws from the prior has more reward than the tuned model, 3.5 for 2.7, at no more than 1.8 nats"
    found = "the tuned model has found 45 % of the reward that its 9.9 nats can buy"
    assert f"{why}: {found}. Draw more of both models" in said(3.5, optimum=optimum)
    assert "--draws 16" in said(3.5, optimum=optimum)
    assert f"{why}: the tuned model went 9.9 nats, further than its samples can judge" in said(3.5)
    assert "Best of 16 draws from the prior has more" not in said(2.75)
    assert "Best of 16 draws from the prior has more" not in said(3.5, kl={"sequence": 1.5, "token": 0.05})
    kept = {"items": 2, "draws": 1000, "effective": 90.0, "kl": 1.5, "reward": 3.0, "temperature": 1.3}
    low = "the law of the optimum at a temperature of 1.3, as low as these samples reach, in place of"
    assert low in said(3.5, optimum=optimum, kept=kept)
    own = said(3.5, optimum=optimum, kept={**kept, "temperature": 1.0})
    assert "as low as these samples reach" not in own


def test_the_first_lines_name_the_choice_that_goes_as_far(tmp_path: Path) -> None:
    def said(sequence: float, **more: Any) -> str:
        kl = {"sequence": sequence, "token": 0.01}
        return re.sub(r"\s+", " ", text(render(write_run(tmp_path, kl=kl, optimum=optimum, **more), Tunes())))

    optimum = {"temperature": 1.0, "gap": {"mean": 0.8, "halfwidth": 0.1}, "share": 0.45, "frontier": []}
    optimum |= {"best_of": [[2, 0.19, -2.0], [4, 0.64, -1.5], [8, 1.2, -0.9], [16, 1.835, -0.4]]}
    last = "at most 1.83 nats an item away,"
    fair = f"keeping the best of every 4 draws, which goes about as far, gives −1.5, and of every 16, {last} −0.4."
    assert fair in said(0.4)
    kept = {"items": 2, "draws": 1000, "effective": 90.0, "kl": 1.1, "reward": 3.0, "temperature": 1.0}
    assert "the best of every 8 draws, which goes about as far" in said(0.4, kept=kept)
    assert "0.4 an item; what is kept lies 1.1 away." in said(0.4, kept=kept)
    for far in (1.5, 9.9):  # that of the table, or none goes as far
        assert f"keeping the best of every 16 draws, {last} gives −0.4." in said(far)


def test_the_notation_stands_cleaned_under_the_picture(page: str, tmp_path: Path) -> None:
    shown = sum(bool(row["text"]) for row in samples() if row["number"] <= 6) + 6
    assert page.count('class="picture notation"') == page.count("M0 9h9") == shown
    assert "alert(1)" not in page
    assert 'notation"' not in render(write_run(tmp_path), Graphs()).split("</style>")[1]


def test_a_notation_that_fails_costs_its_place(tmp_path: Path) -> None:
    class Torn(Tunes):
        def notation(self, text: str) -> str:
            return "<svg"

    page = render(write_run(tmp_path), Torn())
    assert 'class="picture"' in page
    assert "It could not be written down: the picture is no well-formed SVG" in page


def test_notes_travel_to_the_player(page: str) -> None:
    notes = next(value for _, key, value in Tree(page).attributes if key == "data-notes")
    first = samples()[20]["text"]
    assert json.loads(notes) == [list(note) for note in Tunes().notes(first)]


def test_a_silent_domain_has_no_player(tmp_path: Path) -> None:
    page = render(write_run(tmp_path), Graphs())
    assert "<button" not in page
    assert "Press play" not in page
    assert 'class="picture paper"' in page  # ink of its own, so it stays on white in the dark


def test_markup_in_a_run_stays_text(tmp_path: Path) -> None:
    evil = measure(EVIL, "higher", False, (0, 0.1), (0, 0.1), (9, 0.1))
    write_run(tmp_path / "<b>", config=CONFIG.replace('"music"', f"'{EVIL}'"), measures=[evil])
    row = {"number": 1, "model": "policy", "text": f"C{EVIL}", "reward": 1, f"term.{EVIL}": 2, "file": 1}
    write_csv(tmp_path / "<b>" / "samples.csv", [row], list(row))
    page = render(tmp_path / "<b>", Graphs())
    assert page.count("<script>") == 1
    assert "<b>" not in page.replace("<b>1</b>", "")
    assert text(page).count(EVIL) >= 6


def test_a_run_without_updates(tmp_path: Path) -> None:
    said = text(render(write_run(tmp_path, rows=0), Tunes()))
    assert "The run stopped before its first update" in said
    assert "What was gained for what it cost" in said


def test_a_run_of_one_update(tmp_path: Path) -> None:
    page = render(write_run(tmp_path, rows=1), Tunes())
    assert "nan" not in re.sub(r"<script>.*</script>", "", page, flags=re.S).lower()


def test_a_killed_run_has_curves_and_a_way_on(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my run")
    (run / "summary.json").unlink()
    (run / "samples.csv").unlink()
    said = text(render(run, Tunes()))
    assert "This run did not reach its end" in said
    assert f"seqtutor train --resume '{run}'" in said
    assert "This run has kept no samples" in said
    assert "How it got there" in said


def test_a_bare_config_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    said = text(render(tmp_path, Tunes()))
    assert "The run stopped before its first update" in said
    assert "What was gained" not in said


def test_an_interrupted_run_says_so(tmp_path: Path, page: str) -> None:
    said = text(render(write_run(tmp_path, rows=37, updates=37, interrupted=True), Tunes()))
    assert "Stopped early, after 37 of 120 updates." in said
    assert "Stopped early" not in page


def test_what_could_not_be_scored_is_said(tmp_path: Path, page: str) -> None:
    folder = write_run(tmp_path)
    (folder / "failures.csv").write_text(
        "update,term,text,reason\n1,dock,A,late\n2,dock,B,gave nan\n", encoding="utf-8"
    )
    assert "A text could not be scored 2 times, the last: dock gave nan." in text(render(folder, Tunes()))
    assert "could not be scored" not in text(page)


def test_alarms_are_told_and_what_they_led_to(tmp_path: Path, page: str) -> None:
    run = write_run(tmp_path, went_back=31)
    write_csv(run / "alarms.csv", [{"update": 40, "message": f"update 40: too few {EVIL}"}], ["update", "message"])
    page_with = render(run, Tunes())
    assert EVIL not in page_with
    assert f"Alarm at update 40: too few {EVIL}" in text(page_with)
    assert "Ended by an alarm: the tuned model is the policy of update 31" in text(page_with)
    assert "larm" not in text(page)


def test_a_held_out_term_has_a_curve_of_its_own(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    held = (run / "metrics.csv").read_text().replace("term.leaps", "held_out.leaps")
    (run / "metrics.csv").write_text(held)
    assert "leaps (held out)" in text(render(run, Tunes()))


def test_config_and_the_command_that_repeats_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my run")
    page = render(run, Tunes())
    assert f"seqtutor train --config '{run}/config.toml'" in text(page)
    assert " ".join(CONFIG.split()) in text(page)


def test_without_measures_the_reward_is_the_headline(tmp_path: Path) -> None:
    assert "3 of 3 measures got better, none got worse" in text(render(write_run(tmp_path, measures=[]), Tunes()))


def test_figures_that_are_null(tmp_path: Path) -> None:
    nothing = estimates((None, None), (None, None), (None, None))
    changes = {"reward": nothing, "kl": {"sequence": None, "token": None}, "best_of_kl": None, "measures": []}
    page = render(write_run(tmp_path, **changes), Tunes())
    assert "nan" not in re.sub(r"<script>.*</script>", "", page, flags=re.S).lower()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.toml", None, "is no run folder: it has no config.toml"),
        ("config.toml", "domain = ", "config.toml' is not valid TOML"),
        ("summary.json", "{", "summary.json' is not valid JSON"),
        ("summary.json", "{}", "summary.json' lacks the key 'updates'"),
        ("metrics.csv", "update,reward\n1,high\n", "metrics.csv' holds 'high' where a number belongs"),
    ],
)
def test_a_broken_folder_is_one_clear_line(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    run = write_run(tmp_path)
    (run / file).unlink() if content is None else (run / file).write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        render(run, Tunes())
    assert "\n" not in str(caught.value)


def figure(better: str, prior: tuple[float, float], policy: tuple[float, float]) -> reading.Figure:
    unused = reading.Estimate(0.0, 0.0)
    return reading.Figure("x", better, reading.Estimate(*prior), unused, reading.Estimate(*policy))


@pytest.mark.parametrize(
    ("better", "prior", "policy", "expected"),
    [
        ("higher", (0, 3), (5.1, 4), "better"),
        ("higher", (0, 3), (4.9, 4), "same"),
        ("lower", (0, 3), (5.1, 4), "worse"),
        ("lower", (0, 0), (-1, 0), "better"),
        ("neither", (0, 0), (1, 0), "changed"),
        ("higher", (0, 0), (0, 0), "same"),
        ("higher", (0, math.nan), (9, 1), "unknown"),
    ],
)
def test_verdict(better: str, prior: tuple[float, float], policy: tuple[float, float], expected: str) -> None:
    assert figures.verdict(figure(better, prior, policy)) == expected


def test_running_mean_keeps_a_line_and_calms_noise() -> None:
    line = np.arange(60.0)
    line[30] = math.nan
    smooth = charts.running_mean(line)
    assert math.isnan(smooth[30])
    np.testing.assert_allclose(smooth[:27], line[:27])
    np.testing.assert_allclose(smooth[34:57], line[34:57])
    assert smooth[-1] == np.mean([56, 57, 58, 59])
    assert len(charts.running_mean(np.zeros(0))) == 0
    noise = np.random.default_rng(0).normal(size=1000)
    assert charts.running_mean(noise)[100:-100].std() < 2 * noise.std() / math.sqrt(101)


def test_curve_draws_gaps_levels_and_few_points() -> None:
    values = np.linspace(0, 1, 5000)
    values[1000:3000] = math.nan
    chart = charts.curve("reward", values, np.arange(1.0, 5001), {"prior": 0.5, "best": math.nan})
    assert chart.raw.count("M") == 2
    assert len(json.loads(chart.points)) <= charts.MOST_POINTS
    assert [kind for _, kind in chart.levels] == ["prior"]
    assert [label for _, label in chart.y_ticks] == ["0", "0.5", "1"]


def test_ticks_are_round_and_inside() -> None:
    scale = charts.Scale(-0.013, 0.31, 0, 100)
    assert [label for _, label in scale.ticks()] == ["0", "0.1", "0.2", "0.3"]
    assert all(0 <= place <= 100 for place, _ in scale.ticks())


def test_a_figure_that_should_be_near_real_items_is_judged_by_its_distance(tmp_path: Path) -> None:
    near = [
        measure("steps", "near", True, (0.47, 0.01), (0.47, 0.01), (0.32, 0.01))
        | {"reference": 0.5, "reference_halfwidth": 0.021},
        measure("leaps", "near", True, (0.2, 0.01), (0.2, 0.01), (0.09, 0.01)) | {"reference": 0.08},
    ]
    page = text(render(write_run(tmp_path, measures=near), Tunes()))
    assert "1 of 2 measures got better, 1 got worse" in page
    assert "Further from real items than before: steps." in page
    assert "Real items" in page
    assert "What steps says. (real items: 50.0 %)" in page
    assert "50.0 % ± 2.1" in page
    assert page.index("nearer to real") != page.index("further from real")


@pytest.mark.parametrize("halfwidth", [-1, None, 1e400])
def test_a_page_is_made_where_nobody_knows_how_far_real_items_are_known(tmp_path: Path, halfwidth: float) -> None:
    row = measure("steps", "near", True, (0.47, 0.01), (0.47, 0.01), (0.32, 0.01))
    changed = [row | {"reference": 0.5, "reference_halfwidth": halfwidth}]
    assert "(real items: 50 %)" in text(render(write_run(tmp_path, measures=changed), Tunes()))


def test_without_a_reference_there_is_no_column_of_real_items(page: str) -> None:
    assert "Real items" not in page
