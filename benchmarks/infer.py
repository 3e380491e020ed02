"""How well `infer` finds weights that are known: python benchmarks/infer.py [music] [molecules] [--seeds N] [--whole]

"Composers" are random sparse weights of size |w| = 1 nat per standard deviation; their items are drawn from texts of
the prior by exp(w . Phi). For each domain and seed (of the prior's texts, the composers and their items) a row says:

found      share of the weights above .3 |w| that the likelihood ratio finds, with their sign
at best    the same for somebody who knows the Hessian and has a prior's texts without end: what N items can show
by interval  the same as found, where the 95 % interval must leave 0 out
covers     share of all weights in their 95 % intervals
false      share of the weights that are 0 and have p < .05
cosine     between the inferred weights and the composer's
ESS        effective sample size of the prior's texts
seconds    of one inference, sampling and scoring apart

--whole: the texts that the items are drawn from are the base, too, and known to be all: no error but that of N items.

OMP_NUM_THREADS=1; some four minutes the first time, when 24,000 molecules are scored.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import perf_counter

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, ndtr

import seqtutor
from seqtutor.arrays import Ids, Values
from seqtutor.errors import UserError
from seqtutor.inference import CLIP, NORMAL, infer, usable
from seqtutor.inference.features import TEXTS, offered, prior_base

POOL = {"music": 16_000, "molecules": 8_000}  # texts that a composer's items are drawn from
COMPOSERS = 40  # a seed
ITEMS = (10, 20, 50, 200)
SIZE = 1.0  # |w|, nats per standard deviation
BIG = 0.3  # of |w|
SHARE = 0.5  # of the terms that a composer cares for
FAR = 1000  # added to the seed of the composers' own texts


def main() -> None:
    """Measure and print."""
    args = sys.argv[1:]
    seeds = int(args[args.index("--seeds") + 1]) if "--seeds" in args else 3
    names = [name for name in args if name in POOL] or list(POOL)
    for name in names:
        print(f"{name}, {COMPOSERS} composers a seed, |w| = {SIZE:g}, {TEXTS:,} texts of the prior")
        print("  seed     N  found  at best  by interval  covers  false  cosine    ESS  seconds  refused")
        rows = [row for seed in range(seeds) for row in measure(name, seed, "--whole" in args)]
        for n in ITEMS:
            figures = np.nanmean([row for size, row in rows if size == n], axis=0)
            print(f"  mean  {line(n, figures)}")


def measure(name: str, seed: int, whole: bool) -> Iterator[tuple[int, Values]]:
    """Rows of one seed: (items, figures)."""
    domain = seqtutor.load(name)
    terms = offered(domain)
    names = [term.name for term in terms]
    pool = prior_base(domain, terms, name, POOL[name], seed + FAR).values
    base = pool if whole else prior_base(domain, terms, name, seed=seed).values
    kept, dropped = usable(base, base, names)
    if not seed:
        print("  dropped: " + "; ".join(f"{name} {reason}" for name, reason in dropped.items()))
    clipped = np.clip(pool[:, kept], *np.quantile(pool[:, kept], [CLIP, 1 - CLIP], axis=0))
    z = (clipped - clipped.mean(axis=0)) / clipped.std(axis=0)
    for n in ITEMS:
        rng = np.random.default_rng([seed, n])
        rows = [one(rng, n, z, pool, base, names, whole) for _ in range(COMPOSERS)]
        figures = np.nanmean(rows, axis=0)
        print(f"  {seed:>4}  {line(n, figures)}", flush=True)
        yield n, figures


def line(n: int, figures: Values) -> str:
    """One row of the table."""
    found, best, interval, covers, false, cosine, ess, seconds, refused = figures
    return (
        f"{n:>4}{found:>7.2f}{best:>9.2f}{interval:>13.2f}{covers:>8.3f}{false:>7.3f}{cosine:>8.2f}"
        f"{ess:>7,.0f}{seconds:>9.2f}{refused:>9.2f}"
    )


def one(
    rng: np.random.Generator, n: int, z: Values, pool: Values, base: Values, names: list[str], whole: bool
) -> list[float]:
    """One composer: draw weights, then items; infer; compare."""
    w: Values = np.asarray(rng.normal(size=z.shape[1]) * (rng.random(z.shape[1]) < SHARE))
    w[rng.integers(len(w))] += 1e-9  # never all 0
    w *= SIZE / float(np.linalg.norm(w))
    q = np.exp(z @ w) / np.exp(z @ w).sum()
    big, none = np.abs(w) > BIG * SIZE, np.abs(w) < 1e-6
    away = z - q @ z
    error = np.sqrt(np.diag(np.linalg.inv((away * q[:, None]).T @ away)) / n)
    best = ndtr(np.abs(w) / error - NORMAL)
    items = chosen(z @ w, n, rng) if whole else rng.choice(len(pool), n, p=q)
    began = perf_counter()
    try:
        found = infer(pool[items], base, names, whole_base=whole)
    except UserError:
        return [*[np.nan] * 8, 1.0]
    right = np.sign(found.mean) == np.sign(w)
    return [
        float((right & found.matters)[big].mean()),
        float(best[big].mean()),
        float((right & (np.abs(found.mean) > found.halfwidth))[big].mean()),
        float((np.abs(found.mean - w) <= found.halfwidth).mean()),
        float(found.matters[none].mean()) if none.any() else np.nan,
        float(found.mean @ w / np.linalg.norm(found.mean) / np.linalg.norm(w)),
        found.ess,
        perf_counter() - began,
        0.0,
    ]


def chosen(log_odds: Values, n: int, rng: np.random.Generator) -> Ids:
    """Which of a list are picked, each on its own, about n of them."""
    a = brentq(lambda a: expit(a + log_odds).sum() - n, -50.0, 50.0)
    return np.flatnonzero(rng.random(len(log_odds)) < expit(a + log_odds))


if __name__ == "__main__":
    main()
