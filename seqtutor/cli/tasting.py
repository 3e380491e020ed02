"""What votes say of a person, in words: `seqtutor explain MODEL --taste votes.jsonl`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqtutor.cli.console import console, new_table, say

if TYPE_CHECKING:
    from seqtutor.people.telling import Rater, Share, TasteReport
    from seqtutor.runs.drawing import Source

SHOWN = 12  # figures of the table
POOL = 400  # items of the prior that the worth of more answers is told by
PROBLEMS = 3  # lines of the file that were passed over


def explain_taste(source: Source, path: Path, items: Sequence[str]) -> None:
    """Print what the votes of a file tell, and what the model of them says of `items`."""
    from seqtutor.people.lens import different_items, new_lens, wrong
    from seqtutor.people.telling import tell
    from seqtutor.people.votes import read
    from seqtutor.rewards.taste import learnt

    votes = read(path, source.domain.name)
    with console.status("reading the votes, and what the prior writes"):
        lens = new_lens(source.domain, source.prior)
        taste, left = learnt(votes, lens)
        pool = different_items(source.prior, source.domain, POOL, 1)
        rows = [vote for vote in votes.rows if not (wrong(source.domain, vote.a) or wrong(source.domain, vote.b))]
        told = tell(rows, taste.data, lens, lens(pool))
    say_passed_over([*votes.problems, *left])
    table = new_table("what the votes say is liked", "nats per sd", "95 % interval", last="")
    for one in told.likings[:SHOWN]:
        word = ("liked" if one.mean > 0 else "disliked") if one.shown else "not shown"
        table.add_row(one.name, f"{one.mean:+.2f}", f"{one.low:+.2f} .. {one.high:+.2f}", word)
    console.print(table)
    for line in sentences(told, len(rows)):
        say(line)
    for text in items:
        (mean,), (sd,) = taste.predict(lens([text]))
        reason = wrong(source.domain, text)
        say(f"not judged, {reason}: {text}" if reason else f"{mean:+.2f} ± {1.96 * sd:.2f} nats: {text}")


def say_passed_over(problems: Sequence[str]) -> None:
    """Print the first votes of a file that were passed over, and how many there are."""
    for problem in problems[:PROBLEMS]:
        say(problem)
    if len(problems) > PROBLEMS:
        console.print(f"{len(problems):,} votes were passed over in all")


def sentences(told: TasteReport, votes: int) -> list[str]:
    """The rest, a line each."""
    from seqtutor.people.telling import BY_HAND, MORE

    by_chance = 0.05 * len(told.likings)
    (now, now_sd), (then, then_sd) = told.now, told.then
    lines = [
        f"of {len(told.likings)} figures some {by_chance:.0f} would be shown by chance; {told.unnamed:.0%} of what the "
        "votes tell has no name: it is what the prior's hidden state knows",
        *[_of_rater(rater) for rater in told.raters],
        f"of answers left out in turn {_share(told.left_out)} were predicted right",
        f"the model orders {now:.0%} (± {1.96 * now_sd:.0%}) of the prior's pairs as you would; {MORE} answers more "
        f"would make it {then:.0%} (± {1.96 * then_sd:.0%}), if it is right about you so far",
    ]
    if votes <= BY_HAND:
        lines.append(f"with up to {BY_HAND} answers, picking the best by hand from what you saw is as good as tuning")
    return lines


def _of_rater(rater: Rater) -> str:
    alike = f"alike in {_share(rater.alike)} of the pairs that came back" if rater.alike.of else "no pair came back yet"
    return (
        f"{rater.name}: {rater.votes} votes, {alike}; takes the first of two equals in {_ends(rater.first)}, "
        f"answers without looking in {_ends(rater.careless)}"
    )


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.count} of {share.of} ({low:.0%} .. {high:.0%})"


def _ends(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.0%} .. {ends[1]:.0%}"
