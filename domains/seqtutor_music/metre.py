"""Metres: how many sixteenths a bar has, where its beats lie, and what is read as it.

A melody has one metre, and so has a prior: what it writes stands against the bar from the first event on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from seqtutor import UserError

SIXTEENTHS = 16  # of a whole note


@dataclass(frozen=True)
class Limits:
    """What at least four in five real phrases of a metre keep to: `python benchmarks/guards.py METRE`."""

    notes: tuple[float, float] = (3.4, 9.0)  # in a bar
    usual_notes: float = 6.0
    entropy: tuple[float, float] = (0.2, 1.75)  # bits, of the times from note to note
    pitches: int = 3  # of two bars, at the least
    repeated: float = 0.5  # share of the parts of bars that are earlier ones, note for note
    correlation: tuple[tuple[float, float], ...] = ((0.05, 0.82), (-0.1, 0.65), (-0.27, 0.5))  # 1, 2, 3 notes apart
    steps: tuple[float, float] = (0.25, 0.66)  # share of the moves


@dataclass(frozen=True)
class Metre:
    """A metre; `bar`, `beat` and `strong` are in sixteenths."""

    name: str  # as it is typed, and written in files
    bar: int
    beat: int  # a quarter; in 6/8 a dotted one
    strong: int  # from one strong beat to the next: half a bar, or in three the whole of it
    reads: tuple[str, ...]  # what is read as this metre: the values of 2/4 and 3/8 are doubled, those of 6/4 halved
    limits: Limits = Limits()
    triplets: bool = False  # whether its beats may be divided in three: see `triplets`

    @property
    def counts(self) -> tuple[int, int]:
        """Numerator and denominator.

        >>> COMMON.counts, METRES["6/8"].counts
        ((4, 4), (6, 8))
        """
        beats, value = self.name.split("/")
        return int(beats), int(value)

    @property
    def part(self) -> str:
        """What a bar is told in, from one strong beat to the next.

        >>> COMMON.part, METRES["3/4"].part
        ('half bar', 'bar')
        """
        return "bar" if self.strong == self.bar else "half bar"

    @property
    def kind(self) -> str:
        """Behind the names of what is shipped for it: priors, known stretches, figures; empty for 4/4.

        >>> COMMON.kind, METRES["6/8"].kind
        ('', '-6-8')
        """
        name = "" if self.name == COMMON.name else "-" + self.name.replace("/", "-")
        return name + "-triplets" * self.triplets

    @property
    def copy(self) -> int:
        """How many events in a row make a copy: two bars."""
        return 2 * self.bar

    @property
    def lookback(self) -> tuple[int, ...]:
        """At which distances, in sixteenths, a form returns: half a bar (in 3/4 a beat), one, two and four bars."""
        return self.strong if self.strong < self.bar else self.beat, self.bar, 2 * self.bar, 4 * self.bar

    def place(self, step: int | Fraction) -> str:
        """Bar and beat of a step, as a musician counts them: in quarters, or in the eighths of 6/8.

        >>> COMMON.place(22), METRES["6/8"].place(22)
        ('2:2.5', '2:6')
        """
        return f"{step // self.bar + 1}:{float(step % self.bar * self.counts[1] / SIXTEENTHS + 1):.3g}"

    def quarters(self, stated: Sequence[str]) -> Fraction:
        """Quarters in a bar of the one metre that a file states. Raises UserError where it is read as another, or none.

        >>> str(COMMON.quarters(["2/4"])), str(METRES["3/4"].quarters(["3/8"]))
        ('2', '3/2')
        >>> COMMON.quarters(["6/8"])
        Traceback (most recent call last):
        seqtutor.errors.UserError: its metre is 6/8: --metre 6/8
        """
        known = set(stated)
        if len(known) != 1:
            raise UserError("it changes its metre" if known else "it states no metre")
        (name,) = known
        if name in self.reads:
            return 4 * Fraction(name)
        if other := next((one.name for one in METRES.values() if name in one.reads), None):
            raise UserError(f"its metre is {name}: --metre {other}")
        raise UserError(
            f"its metre is {name}; melodies are in {', '.join(n for m in METRES.values() for n in m.reads)}"
        )


COMMON = Metre("4/4", bar=16, beat=4, strong=8, reads=("4/4", "2/2", "2/4"))
WALTZ = Limits(
    (2.4, 7.0), 4.0, (0.2, 2.2), 2, 0.25, ((0.05, 0.83), (-0.25, 0.65), (-0.4, 0.5)), (0.25, 0.72)
)  # fewer and longer notes
JIG = Limits((3.2, 7.5), 5.0, (0.0, 1.75), steps=(0.25, 0.72))  # one jig in ten has nothing but eighths
METRES = {
    one.name: one
    for one in (
        COMMON,
        Metre("3/4", bar=12, beat=4, strong=12, reads=("3/4", "3/8"), limits=WALTZ),
        Metre("6/8", bar=12, beat=6, strong=6, reads=("6/8", "6/4"), limits=JIG),
    )
}
