"""Simulated raters with a taste that the terms only half describe: python benchmarks/raters.py [music] [molecules]

The hidden taste is a random mix of the domain's terms plus .7 of a random two-layer function of the prior's hidden
state, both at one standard deviation, together scaled to one. --measures: the mix is of terms and measures. --hard:
every dimension of the state counts alike, which is less linear. The rater answers by a logistic of 2 (u(a) - u(b));
--careless: with a bias of .2 towards the first, and 5 % of the answers by a coin. Pairs come from 600 texts of the
prior. For each seed a row says which share of 2,000 pairs of other texts the model puts in the true order, after so
many answers; active pairs are chosen by information after the first 20, random ones never. best of 64: the mean hidden
taste of the model's best of 64 of the other texts. by hand: that of the winner that a person holds after as many
answers (king of the hill). --ideal: the model knows how tastes are drawn, which is the most that one can know before it
asks.

OMP_NUM_THREADS=1; --seeds N (20), --answers 20,50,100,200,400.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from scipy.special import expit

from seqtutor.arrays import Values
from seqtutor.people.lens import Lens, new_lens, states, wrong
from seqtutor.people.taste import Taste, evidence, information, learn
from seqtutor.people.votes import Vote
from seqtutor.runs.drawing import open_model, texts_of

POOL, JUDGED, PAIRS = 600, 1000, 2000
BETA, UNSEEN = 2.0, 0.7
BIAS, CARELESS = (0.2, 0.05) if "--careless" in sys.argv else (0.0, 0.0)
CANDIDATES, AMONG, FIRST = 600, 60, 20
DIRECTIONS = 600  # that an ideal model sees of a taste
EVERY = 10  # answers between two refits in this simulation


@dataclass(frozen=True)
class World:
    """The texts of a domain, POOL to ask about, then those to judge by: what a taste reads of them, and the model."""

    lens: Lens
    figures: Values  # (N, F)
    hidden: Values  # (N, 2 H)
    seen: Values  # (N, ...) by the model: the figures, or with --ideal what tastes differ in
    beliefs: Values  # (S, ...) that the model has of the weights of these


def main() -> None:
    """Measure and print."""
    args = sys.argv[1:]
    seeds = int(args[args.index("--seeds") + 1]) if "--seeds" in args else 20
    answers = args[args.index("--answers") + 1] if "--answers" in args else "20,50,100,200,400"
    sizes = [int(word) for word in answers.split(",")]
    for name in [word for word in args if word in ("music", "molecules")] or ["music", "molecules"]:
        report(name, seeds, sizes)


def report(name: str, seeds: int, sizes: list[int]) -> None:
    """The table of one domain."""
    world = new_world(name)
    for active in (False, True):
        began = perf_counter()
        rows = np.array([simulate(world, seed, sizes, active=active) for seed in range(seeds)])
        print(f"{name}, {'active' if active else 'random'}: {len(world.lens.names)} named figures, {seeds} seeds")
        for label, column in (("right", 0), ("best of 64", 1), ("by hand", 2)):
            print(
                f"  {label:>10}  "
                + "  ".join(f"{n}: {v:.3f}" for n, v in zip(sizes, rows[..., column].mean(0), strict=True))
            )
        for n, some in zip(sizes, rows[..., 0].T, strict=True):
            print(f"  right after {n}, by seed: " + " ".join(f"{value:.2f}" for value in some))
        print(f"  {(perf_counter() - began) / seeds:.1f} s a seed", flush=True)


def new_world(name: str) -> World:
    """The domain's shipped prior, its lens, and texts of another seed."""
    source = open_model(name)
    lens = new_lens(source.domain, source.model)
    drawn = texts_of(source.model, source.domain, 2 * (POOL + JUDGED), 1)
    others = [text for text in dict.fromkeys(drawn) if text and not wrong(lens.domain, text)][: POOL + JUDGED]
    parts = [states(source.domain, source.model, others[i : i + 64]) for i in range(0, len(others), 64)]
    figures = lens(others)
    world = World(lens, figures, np.concatenate(parts), figures, lens.beliefs)
    return ideal(world) if "--ideal" in sys.argv else world


def ideal(world: World) -> World:
    """The same for a model that knows how tastes are drawn: their covariance, of 6,000 that it has seen."""
    tastes = np.stack([hidden_taste(world, np.random.default_rng([1, seed])) for seed in range(6000)])
    _, sizes, rows = np.linalg.svd(tastes, full_matrices=False)
    sd = BETA * sizes[:DIRECTIONS] / np.sqrt(len(tastes))
    seen = rows[:DIRECTIONS].T * np.sqrt(len(rows.T))
    return replace(world, seen=seen, beliefs=sd[None] / np.sqrt(len(rows.T)))


def hidden_taste(world: World, rng: np.random.Generator) -> Values:
    """(N,) the true utility of every text, of mean 0 and standard deviation 1."""
    terms = {term.name for term in world.lens.terms}
    columns = [k for k, name in enumerate(world.lens.names) if name in terms or "--measures" in sys.argv]
    named = world.figures[:, columns] @ rng.standard_normal(len(columns))
    centred = world.hidden - world.hidden.mean(0)
    scaled = centred / (world.hidden.std(0) + 1e-9) if "--hard" in sys.argv else centred
    inner = np.tanh(scaled @ rng.standard_normal((scaled.shape[1], 16)) / np.sqrt(scaled.shape[1]))
    unseen = inner @ rng.standard_normal(16)
    total = _standard(named) + UNSEEN * _standard(unseen)
    return _standard(total)


def _standard(values: Values) -> Values:
    return np.asarray((values - values.mean()) / values.std())


def simulate(world: World, seed: int, sizes: list[int], *, active: bool) -> list[tuple[float, float, float]]:
    """After so many answers: share of unseen pairs in the true order, taste of the best of 64, and by hand."""
    rng = np.random.default_rng(seed)
    truth = hidden_taste(world, rng)
    pairs: list[tuple[int, int]] = []
    chosen: list[float] = []
    found: list[tuple[float, float, float]] = []
    king, taste = int(rng.integers(POOL)), None
    while len(pairs) < max(sizes):
        use: Taste | None = taste if active and len(pairs) >= FIRST else None
        new = choose(world, use, min(EVERY, min(s for s in sizes if s > len(pairs)) - len(pairs)), rng)
        pairs += new
        chosen += [answer(truth[i], truth[j], rng) for i, j in new]
        for _ in new:
            rival = int(rng.integers(POOL))
            king = king if answer(truth[king], truth[rival], rng) else rival
        taste = fitted(world, pairs, chosen) if active or len(pairs) in sizes else None
        if taste and len(pairs) in sizes:
            found.append((*judged(world, taste, truth, np.random.default_rng(seed)), float(truth[king])))
    return found


def answer(first: float, second: float, rng: np.random.Generator) -> float:
    """1: the rater takes the first."""
    if rng.uniform() < CARELESS:
        return float(rng.integers(2))
    return float(rng.uniform() < expit(np.array(BETA * (first - second) + BIAS)))


def choose(world: World, taste: Taste | None, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs to ask about: at random, or at random among the most informative of many."""
    drawn = rng.integers(POOL, size=(CANDIDATES, 2))
    drawn = drawn[drawn[:, 0] != drawn[:, 1]]
    if taste is not None:
        utilities = taste.members(world.seen[:POOL])
        order = np.argsort(-information(utilities[drawn[:, 0]], utilities[drawn[:, 1]]))[:AMONG]
        drawn = drawn[rng.permutation(order)]
    return [(int(i), int(j)) for i, j in drawn[:count]]


def fitted(world: World, pairs: list[tuple[int, int]], chosen: list[float]) -> Taste:
    """The model after these answers."""
    votes = [Vote("", "simulated", str(i), str(j), "a" if c else "b") for (i, j), c in zip(pairs, chosen, strict=True)]
    first, second = np.array(pairs).T
    return learn(evidence(votes, world.seen[first], world.seen[second], world.beliefs))


def judged(world: World, taste: Taste, truth: Values, rng: np.random.Generator) -> tuple[float, float]:
    """Share of pairs of unseen texts in the true order, and the true taste of the model's best of 64."""
    mean, truth = taste.predict(world.seen[POOL:])[0], truth[POOL:]
    i, j = rng.integers(len(truth), size=(2, PAIRS))
    i, j = i[i != j], j[i != j]
    right = np.sign(mean[i] - mean[j]) == np.sign(truth[i] - truth[j])
    groups = rng.integers(len(truth), size=(200, 64))
    best = groups[np.arange(200), mean[groups].argmax(1)]
    return float(right.mean()), float(truth[best].mean())


if __name__ == "__main__":
    main()
