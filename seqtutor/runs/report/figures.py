"""What the figures say: which changed for the better, which for the worse, and numbers as people write them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqtutor import measure
from seqtutor.objectives.optimum import Estimate
from seqtutor.runs.report.reading import Figure, Summary

UNKNOWN = "–"
WORDS = {
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "changed": ("◆", "changed"),
    "same": ("=", "no clear change"),
    "unknown": ("?", "not known"),
}
NEAR = {"better": "nearer to real", "worse": "further from real"}  # what these two mean where near is better


def verdict(figure: Figure) -> str:
    """A key of WORDS. A change counts when the 95 % interval of the difference leaves zero out."""
    before, after = figure.prior, figure.after
    pairs = (before.mean, before.halfwidth), (after.mean, after.halfwidth)
    return measure.verdict(figure.better, *pairs, figure.reference)


def words(figure: Figure) -> tuple[str, str]:
    """The sign and the word of its verdict."""
    kind = verdict(figure)
    sign, word = WORDS[kind]
    return sign, NEAR.get(kind, word) if figure.better == "near" else word


def effect(figure: Figure) -> float:
    """The change in units of the half-width of its interval: what ranks figures of different units."""
    before, after = figure.prior, figure.after
    noise = math.hypot(before.halfwidth, after.halfwidth)
    new, old = (measure.judged(figure.better, m, figure.reference) for m in (after.mean, before.mean))
    return abs(new - old) / noise if noise > 0 else math.inf


@dataclass(frozen=True)
class Verdicts:
    """The figures that changed, the largest standardised change first."""

    better: tuple[Figure, ...]
    worse: tuple[Figure, ...]
    judged: int  # figures that have a better side and could be measured


def judge(figures: Iterable[Figure]) -> Verdicts:
    """Which figures got better and which got worse."""
    known = (f for f in figures if f.better != "neither" and verdict(f) != "unknown")
    # What shall be near to something takes a reader a second thought: it comes after the others.
    ranked = sorted(known, key=lambda figure: (figure.better != "near", effect(figure)), reverse=True)
    return Verdicts(
        better=tuple(f for f in ranked if verdict(f) == "better"),
        worse=tuple(f for f in ranked if verdict(f) == "worse"),
        judged=len(ranked),
    )


def headline(verdicts: Verdicts) -> str:
    """The page's first line.

    >>> headline(Verdicts((), (), 0))
    'This run has no measure to judge it by'
    """
    better, worse, judged = len(verdicts.better), len(verdicts.worse), verdicts.judged
    if judged == 0:
        return "This run has no measure to judge it by"
    tail = f"{worse} got worse" if worse else "none got worse"
    return f"{better or 'None'} of {judged} measures got better, {tail}"


def astray(figures: Sequence[Figure]) -> str:
    """The figures that went further from what real items have, first those of what is kept; empty where none did.

    Then those of the policy itself: its interval is the narrower one, and it is what more is drawn from.
    """
    worse = [*judge(figures).worse, *judge([figure.of_policy for figure in figures]).worse]
    return ", ".join(dict.fromkeys(figure.name for figure in worse if figure.better == "near"))


def behind(summary: Summary) -> str:
    """Why choosing among the prior's draws earns more at no more KL; empty where it does not, or nobody can say."""
    reward, most = summary.reward, number(summary.best_of_kl, 2)
    before, after = reward.best_of_n, reward.after
    less = before.mean - after.mean > math.hypot(before.halfwidth, after.halfwidth)
    if summary.record or not less or summary.best_of_kl > (summary.kept.kl if summary.kept else summary.kl_sequence):
        return ""
    share = summary.optimum.share if summary.optimum else math.nan
    spent, loser = number(summary.kl_sequence, 2), "what is kept" if summary.kept else "the tuned model"
    found = (
        f"has found {percentage(share)} of the reward that its {spent} nats can buy"
        if math.isfinite(share)
        else f"went {spent} nats, further than its samples can judge, and has learnt only a part of what these can buy"
    )
    return (
        f"Best of {summary.best_of} draws from the prior has more reward than {loser}, {number(before.mean)} for "
        f"{number(after.mean)}, at no more than {most} nats: the tuned model {found}."
    )


def number(value: float, digits: int = 3) -> str:
    """A number for a reader: `digits` significant ones, whole thousands grouped, a real minus sign.

    >>> number(0.31415), number(-2.5), number(12345.6), number(0.0000123), number(float("nan"))
    ('0.314', '−2.5', '12,346', '1.23e−05', '–')
    """
    if not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= 999.5:
        return _minus(f"{value:,.0f}")
    return _minus(f"{value:.{digits}g}")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def estimate(value: Estimate, percent: bool) -> tuple[str, str]:
    """Mean and half-width as text, with as many decimals as the interval can carry; ('–', '') where there is none.

    >>> estimate(Estimate(0.84123, 0.0071), percent=True), estimate(Estimate(2.71828, 0.0132), percent=False)
    (('84.12 %', '0.71'), ('2.718', '0.013'))
    """
    scale, unit = (100.0, " %") if percent else (1.0, "")
    mean, halfwidth = value.mean * scale, value.halfwidth * scale
    if not math.isfinite(mean):
        return UNKNOWN, ""
    if not math.isfinite(halfwidth):
        return number(mean) + unit, ""
    if halfwidth == 0:
        return number(mean, 4) + unit, "0"
    decimals = min(max(1 - math.floor(math.log10(halfwidth)), 0), 6)
    return _minus(f"{mean:,.{decimals}f}") + unit, f"{halfwidth:.{decimals}f}"


def real(figure: Figure) -> tuple[str, str]:
    """What real items have, as text, and half of its interval, where that is known; empty where nobody says it."""
    if figure.reference is None:
        return "", ""
    return estimate(Estimate(figure.reference, figure.reference_halfwidth), figure.percent)


def before_after(figure: Figure) -> tuple[str, str]:
    """Both means for a headline, with just enough digits that a change shows.

    >>> before_after(Figure("in key", "higher", Estimate(0.012, 0), Estimate(0, 0), Estimate(0.8412, 0), percent=True))
    ('1.2 %', '84 %')
    """
    before, after = figure.prior.mean, figure.after.mean
    show = percentage if figure.percent else lambda value, extra: number(value, 3 + extra)
    extra = 0
    while show(before, extra) == show(after, extra) and before != after and extra < 4:
        extra += 1
    return show(before, extra), show(after, extra)


def percentage(share: float, extra: int = 0) -> str:
    """A share in percent, with more decimals towards 0 and 100, where they matter.

    >>> percentage(0.843), percentage(0.0123), percentage(0.9971), percentage(1), percentage(0.0004)
    ('84 %', '1.2 %', '99.71 %', '100 %', '0.04 %')
    """
    if not math.isfinite(share):
        return UNKNOWN
    edge = min(abs(share), abs(1 - share))
    decimals = 0 if edge == 0 or edge >= 0.1 else 1 if edge >= 0.01 else 2
    return _minus(f"{share * 100:.{decimals + extra}f}") + " %"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(7.2), duration(184), duration(7300)
    ('7 s', '3 min 4 s', '2 h 1 min')
    """
    if not math.isfinite(seconds):
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
