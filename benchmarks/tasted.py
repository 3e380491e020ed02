"""From simulated answers to a tuned model: python benchmarks/tasted.py [music] [molecules] [--seeds N] [--votes N]

The raters are those of benchmarks/raters.py: a hidden taste that the terms only half describe. Each answers as a person
does at the page of `seqtutor rate`, and `seqtutor train --taste` tunes by the answers, at its defaults. A row says the
mean hidden taste (0 and 1 are the prior's mean and standard deviation) of the files that the run hands over, of the
tuned policy's samples, of the model's best of 64 of the prior's texts, and of the prior; then what the model of the
votes thinks of the first three, in nats: where that is less of the tuned policy, too, it is the tuning that fell short,
and not the model. KL is in nats an item, of what is handed over and of the policy; then the share of distinct items
among the files, and the alarms.

OMP_NUM_THREADS=1; some minutes a seed.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from raters import BETA, UNSEEN
from scipy.special import expit

from seqtutor.api import Run, tune
from seqtutor.arrays import Values
from seqtutor.people.asking import Session
from seqtutor.people.lens import Lens, new_lens, states, wrong
from seqtutor.rewards.taste import Tasted
from seqtutor.runs.drawing import open_model, texts_of

Taste = Callable[[Sequence[str]], Values]

ASKED, JUDGED, GROUPS, SAMPLES = 400, 500, 200, 2000


def main() -> None:
    """Measure and print."""
    args = sys.argv[1:]
    seeds = int(args[args.index("--seeds") + 1]) if "--seeds" in args else 3
    votes = int(args[args.index("--votes") + 1]) if "--votes" in args else 100
    for name in [word for word in args if word in ("music", "molecules")] or ["music", "molecules"]:
        print(f"{name}, {votes} answers")
        print("  seed   kept  tuned  best of 64  prior  opinion: kept  tuned  best of 64  nats: kept  tuned", end="")
        print("  distinct  seconds  alarms")
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                measure(name, seed, votes, Path(folder))


def measure(name: str, seed: int, count: int, folder: Path) -> None:
    """One rater: answers, tunes, and prints the row."""
    source, began = open_model(name), perf_counter()
    lens = new_lens(source.domain, source.model)

    def written(model: object, n: int, start: int) -> list[str]:
        drawn = texts_of(source.model if model is None else model, source.domain, n, start)  # type: ignore[arg-type]
        return [text for text in drawn if text and not wrong(source.domain, text)]

    texts = written(None, JUDGED, 100)
    taste = hidden_taste(lens, texts, np.random.default_rng(seed))
    path = folder / "votes.jsonl"
    answer(Session(source.domain, {"prior": written(None, ASKED, 200)}, path, "simulated",
                   np.random.default_rng(seed)), lens, taste, count, seed)  # fmt: skip
    table = {"taste": {"taste": str(path)}}
    run: Run = tune(name, terms=table, folder=folder / "run", seed=seed, samples=SAMPLES)
    own = written(run.policy, JUDGED, 300)
    kept = files_of(run)
    opinion = Tasted(path, source.domain, name, 0.0)
    mean, truth = opinion(texts), taste(texts)
    groups = np.random.default_rng(seed).integers(len(texts), size=(GROUPS, 64))
    best = groups[np.arange(GROUPS), mean[groups].argmax(1)]
    alarms = folder / "run" / "alarms.csv"
    raised = [line.split(",")[1] for line in alarms.read_text().splitlines()[1:]] if alarms.exists() else []
    kl = run.summary.get("kept", {}).get("kl", np.nan), run.summary["kl"]["sequence"]
    print(
        f"  {seed:>4}  {taste(kept).mean():>5.2f}  {taste(own).mean():>5.2f}  {truth[best].mean():>10.2f}  "
        f"{truth.mean():>5.2f}  {opinion(kept).mean():>13.2f}  {opinion(own).mean():>5.2f}  "
        f"{mean[best].mean():>10.2f}  {kl[0]:>10.2f}  {kl[1]:>5.2f}  "
        f"{len(set(kept)) / len(kept):>8.0%}  {perf_counter() - began:>7.0f}  {' '.join(raised) or '-'}",
        flush=True,
    )


def files_of(run: Run) -> list[str]:
    """The texts of the files that a run hands over."""
    with (run.folder / "samples.csv").open(newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file) if int(row["file"] or 0)]


def hidden_taste(lens: Lens, texts: Sequence[str], rng: np.random.Generator) -> Taste:
    """The true utility of any text, standardised by `texts`."""
    terms = {term.name for term in lens.terms}
    columns = [k for k, name in enumerate(lens.names) if name in terms]
    named = rng.standard_normal(len(columns))
    into = rng.standard_normal((len(lens.middle), 16)) / np.sqrt(len(lens.middle))
    out = rng.standard_normal(16)

    def parts(some: Sequence[str]) -> tuple[Values, Values]:
        hidden = np.concatenate([states(lens.domain, lens.prior, some[i : i + 64]) for i in range(0, len(some), 64)])
        return lens(some)[:, columns] @ named, np.tanh((hidden - lens.middle) @ into) @ out

    (mean_a, sd_a), (mean_b, sd_b) = ((part.mean(), part.std()) for part in parts(texts))

    def raw(some: Sequence[str]) -> Values:
        known, unseen = parts(some)
        return np.asarray((known - mean_a) / sd_a + UNSEEN * (unseen - mean_b) / sd_b)

    scale = raw(texts).std()
    return lambda some: raw(some) / scale


def answer(session: Session, lens: Lens, taste: Taste, count: int, seed: int) -> None:
    """Answer so many pairs, with a refit after every fifth."""
    rng, session.lens = np.random.default_rng(seed), lens
    for number in range(count):
        pair = session.pair()
        first, second = taste([pair.a, pair.b])
        session.answer(pair.id, "a" if rng.uniform() < expit(BETA * (first - second)) else "b", 0)
        if number % 5 == 4:
            session.refit()


if __name__ == "__main__":
    main()
