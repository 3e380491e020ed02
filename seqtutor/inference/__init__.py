"""Which terms tell examples from what a prior writes: maximum likelihood in p exp(w . Phi) / Z. Free of torch.

Phi are the terms of a text, clipped and in standard deviations of the base (the prior's texts, or a list that somebody
chose from), so that w is in nats per standard deviation. For N items with features x and M base texts with features y

    l(w) = w . mean_i x_i - log mean_j exp(w . y_j) - |w|^2 / (2 N tau^2)
    gradient  mean x - E_w y - w / (N tau^2)          H = Cov_w y + I / (N tau^2)

which is concave: Newton's method finds its one maximum. With q_j ~ exp(w . y_j), summing to 1, and m = E_w y

    Var w = H^-1 ( V / N + S + I / (N^2 tau^2) ) H^-1        S = sum_j q_j^2 (y_j - m)(y_j - m)^T

V is the spread of the items, which an item of many excerpts enters once; S is what the base being a sample costs; the
last part is the pull of the penalty.

Where N of a list of M were chosen, the list is no sample, and nobody chooses an item twice: each is taken with odds
exp(a + w . y_j), which comes to probabilities pi_j that add up to N. Then q_j = pi_j / N, the covariances in H and V
are weighed by q_j (1 - pi_j), and S is 0. It is the same where N is small beside M. `shared` compares several fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import chdtrc, logsumexp

from seqtutor.arrays import Values
from seqtutor.errors import UserError
from seqtutor.inference.matching import Fit, matched, tilted

CLIP = 0.005  # quantiles of the base, on both sides, beyond which a term counts no further
HITS = 20  # base texts, at the least, of which a term says something else than of most
RARE = 0.03  # and the share of them: what fires in fewer does so once in 50 examples, or never
UNKNOWN = 0.2  # share of texts or items for which a term may have no value
SAME = 1e-6  # share of a term's spread that other terms leave over, below which it says nothing new
FEWEST = 8  # items
LOWEST, LOW = 30.0, 100.0  # effective sample sizes: refused below the first, warned of below the second
BEYOND = 0.05  # share of what a reward leads to that may lie where a term was clipped, on the side that is paid
TAU = 1.0  # the penalty's standard deviation of a weight, nats per standard deviation
PRIOR_ITEMS = 10.0  # how many items the model's own spread counts for, beside the spread of the items
NORMAL = 1.959964  # of a 95 % interval


class TooFarError(UserError):
    """The examples are unlike nearly all of the base, worth `ess` texts; `term` is the one of the largest weight."""

    def __init__(self, message: str, term: str, ess: float) -> None:
        super().__init__(message)
        self.term, self.ess = term, ess


@dataclass(frozen=True)
class Inference:
    """Weights of K terms, nats per standard deviation of the base, with how sure they are."""

    names: tuple[str, ...]
    mean: Values  # (K,)
    covariance: Values  # (K, K)
    sampling: Values  # (K, K): the part of it that a larger base would take away
    p_values: Values  # (K,) likelihood ratio: the chance of this much evidence if the term did not matter
    scale: Values  # (K,) the standard deviation of the clipped raw term in the base
    low: Values  # (K,) where the raw term was clipped
    high: Values  # (K,)
    shift: Values  # (K,) where the mean item lies, standard deviations from the base's mean
    dropped: Mapping[str, str]  # term -> why it has no weight
    items: int
    base: int
    ess: float  # how many base texts the weighted ones are worth
    kl: float  # nats from the base to the tilted one

    @property
    def halfwidth(self) -> Values:
        """(K,) half of each 95 % interval."""
        return NORMAL * np.sqrt(np.diag(self.covariance))

    @property
    def matters(self) -> NDArray[np.bool_]:
        """(K,) whether the likelihood ratio says so, at 5 %."""
        return self.p_values < 0.05


def infer(
    examples: Values,
    base: Values,
    names: Sequence[str],
    *,
    counts: Values | None = None,
    whole_base: bool = False,
    rare: float = RARE,
) -> Inference:
    """The weights under which the base, tilted, becomes the examples.

    `examples` (N, K) raw terms of each item, `base` (M, K) of each base text; `counts` (N,) how much an item counts
    (all the same); `whole_base`: the base is the list that they were chosen from, none of them twice; `rare`: the least
    share of base texts of which a term says something else than of most. Raises UserError where there is too little.
    """
    if whole_base and len(base) < 2 * HITS:  # of a shorter one nearly every term is too rare
        check_list(len(examples), len(base))
    kept, dropped = usable(examples, base, names, rare)
    names = tuple(names[k] for k in kept)
    examples, counts = _known(examples[:, kept], counts)
    base, same = _known(base[:, kept], None)
    check_count(len(examples))
    if whole_base:
        check_list(len(examples), len(base))
    ruler = _ruler(base, same)
    x, y = ruler(examples), ruler(base)
    share = len(x) / len(y) if whole_base else 0.0
    fit, covariance, sampling, p_values = _fitted(x, y, counts, same, share)
    led = fit if not share else tilted(fit.weights, y, same)  # what a run with these weights would lead to
    if not share:  # of a list there is no other sample, which might be nearer
        _check_size(led, names)
    return Inference(
        names, fit.weights, covariance, sampling, p_values,
        ruler.sd, ruler.low, ruler.high, counts @ x,
        dropped, len(examples), len(base), led.ess, led.kl(same),
    )  # fmt: skip


@dataclass(frozen=True)
class _Ruler:
    """By which raw terms (., K) are clipped and become standard deviations of the base: (K,) each."""

    low: Values
    high: Values
    mean: Values
    sd: Values

    def __call__(self, raw: Values) -> Values:
        return np.asarray((raw.clip(self.low, self.high) - self.mean) / self.sd)


def _ruler(base: Values, weights: Values) -> _Ruler:
    low, high = np.quantile(base, [CLIP, 1 - CLIP], axis=0)
    clipped = base.clip(low, high)
    mean = weights @ clipped
    return _Ruler(low, high, mean, np.sqrt(weights @ (clipped - mean) ** 2))


def _known(table: Values, weights: Values | None) -> tuple[Values, Values]:
    """The rows without a missing value, and their weights (None: all the same), made to sum to 1."""
    weights = np.ones(len(table)) if weights is None else weights
    known = np.isfinite(table).all(axis=1)
    return table[known], weights[known] / weights[known].sum()


def beyond(base: Values, weights: Values, low: Values, high: Values) -> NDArray[np.bool_]:
    """(K,) the terms that must be paid up to where they were clipped and no further.

    `base` (M, K) raw terms, `weights` (K,) a unit. The weights were fitted to terms that end at `low` and `high`; paid
    in a straight line, p exp(w . Phi) may put its mass where next to no text lay: then the weight would say what
    nobody has seen. A term is bounded where more than BEYOND of that mass lies past the end that its weight pays for.
    """
    base, _ = _known(base, None)
    outside = np.where(weights > 0, base > high, base < low) & (weights != 0)
    bounded = np.zeros(len(weights), bool)
    for _ in weights:
        paid = np.where(bounded, base.clip(low, high), base) @ weights
        over = np.exp(paid - logsumexp(paid)) @ outside * ~bounded
        if over.max(initial=0.0) <= BEYOND:
            break
        bounded[over.argmax()] = True
    return bounded


def _check_size(fit: Fit, names: Sequence[str]) -> None:
    if fit.ess < LOWEST:
        far = names[int(np.abs(fit.weights).argmax())]
        raise TooFarError(
            f"the examples are too far from what they are compared with: {len(fit.q):,} texts are worth "
            f"{fit.ess:.0f}, and {LOWEST:.0f} are needed (furthest: {far}); compare with nearer ones: those of a prior "
            "learnt from such items, or a list that has more of them",
            far,
            fit.ess,
        )


def _fitted(
    x: Values, y: Values, counts: Values, base_weights: Values, share: float
) -> tuple[Fit, Values, Values, Values]:
    """The fit; the covariance of the weights; its part that comes from the base; p-values. `share`: see `matched`."""
    n = float(1 / (counts**2).sum())
    mean, ridge = counts @ x, 1 / (n * TAU**2)
    fit = matched(mean, y, base_weights, ridge, share)
    away, spread = y - fit.q @ y, fit.spread(y)
    inverse = cho_solve(cho_factor(spread + ridge * np.eye(len(mean))), np.eye(len(mean)))
    if share:
        items, error = spread, np.zeros_like(spread)
    else:
        seen = ((x - mean) * counts[:, None]).T @ (x - mean) * n / (n - 1)
        items = (n * seen + PRIOR_ITEMS * spread) / (n + PRIOR_ITEMS)  # V, drawn towards the model's where they are few
        error = (away * fit.q[:, None] ** 2).T @ away
    noise = items / n + ridge / n * np.eye(len(mean))
    covariance, sampling = (inverse @ part @ inverse for part in (noise + error, error))
    inflation = np.diag(covariance / inverse) * n
    return fit, covariance, sampling, _p_values(fit, mean, y, base_weights, ridge, n, inflation, share)


def _p_values(
    fit: Fit, mean: Values, y: Values, base_weights: Values, ridge: float, n: float, inflation: Values, share: float
) -> Values:
    """Likelihood ratios against each weight being 0; as the intervals, they know of the base's error (Rao and Scott).

    `inflation` (K,): the variance of a weight over what it would be for independent items and an endless base.
    """
    ratios = np.zeros(len(mean))
    for k in range(len(mean)):
        others = np.arange(len(mean)) != k
        less = matched(mean[others], y[:, others], base_weights, ridge, share)
        ratios[k] = 2 * n * (fit.value - less.value) / inflation[k]
    return np.asarray(chdtrc(1, np.maximum(ratios, 0.0)))


def check_list(chosen: int, listed: int) -> None:
    """Raise UserError for a list that is too short, or of which all was chosen."""
    if listed < 2 * HITS:
        raise UserError(f"the list has {listed} items that can be used; at least {2 * HITS} are needed")
    if chosen >= listed:
        raise UserError(f"all of the {listed:,} items of the list were chosen: nothing tells them from the others")


def check_count(items: int) -> None:
    """Raise UserError for fewer items than anything can be told from."""
    if items < FEWEST:
        raise UserError(f"{items} items can be used; at least {FEWEST} are needed, and 50 show most rules")


def usable(
    examples: Values, base: Values, names: Sequence[str], rare: float = RARE
) -> tuple[list[int], dict[str, str]]:
    """The columns that can have a weight; and of the others, why not. Raises UserError where none can."""
    kept: list[int] = []
    dropped: dict[str, str] = {}
    for k, name in enumerate(names):
        reason = _silent(examples[:, k], base[:, k], rare) or _repeated(base, kept, k, names)
        if reason:
            dropped[name] = reason
        else:
            kept.append(k)
    if not kept:
        said = "; ".join(f"{name}: {reason}" for name, reason in dropped.items())
        raise UserError(f"no term tells one text from another ({said or 'the domain has none'})")
    return kept, dropped


def _silent(examples: Values, base: Values, rare: float) -> str:
    """Why a term says nothing; empty where it says something."""
    for values, whose in ((base, "base texts"), (examples, "examples")):
        unknown = 1 - float(np.isfinite(values).mean()) if len(values) else 0.0
        if unknown > UNKNOWN:
            return f"has no value for {unknown:.0%} of the {whose}"
    values, counts = np.unique(base[np.isfinite(base)], return_counts=True)
    hits = int(counts.sum() - counts.max())
    if not hits:
        return f"is {values[0]:g} for every base text"
    if hits < HITS or hits < rare * counts.sum():
        return f"is {values[counts.argmax()]:g} for all but {hits} of {counts.sum():,} base texts: too rare"
    return ""


def _repeated(base: Values, kept: Sequence[int], k: int, names: Sequence[str]) -> str:
    """Whether a term is a sum of multiples of those before it."""
    rows = np.isfinite(base[:, [*kept, k]]).all(axis=1)
    if rows.sum() < HITS:
        return "has no value where the terms before it have one"
    others, column = base[rows][:, list(kept)], base[rows, k]
    design = np.column_stack([others - others.mean(axis=0), np.ones(len(column))])
    away = column - column.mean()
    factors = np.linalg.norm(design, axis=0)
    fitted = np.linalg.lstsq(design / factors, away, rcond=None)[0]
    left = float(np.linalg.norm(away - design / factors @ fitted))
    if left > SAME * float(np.linalg.norm(away)):
        return ""
    used = [names[other] for other, part in zip(kept, fitted, strict=False) if abs(part) > SAME * abs(fitted).max()]
    return f"says the same as {' and '.join(used)}"


def correlated(found: Inference) -> list[tuple[str, str, float]]:
    """Pairs of terms whose weights cannot be told apart well: |correlation| of at least 0.7, strongest first.

    Near -1, the sum of two is known and neither of them.
    """
    sd = np.sqrt(np.diag(found.covariance))
    c = found.covariance / np.outer(sd, sd)
    pairs = [(found.names[i], found.names[j], float(c[i, j])) for i in range(len(c)) for j in range(i)]
    return sorted((pair for pair in pairs if abs(pair[2]) >= 0.7), key=lambda pair: -abs(pair[2]))
