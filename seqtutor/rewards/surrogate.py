"""What a table of measured texts foresees of a new one, as a term: a surrogate of the measurement.

The value is mean - caution * sd of a Gaussian process (`seqtutor.inference.process`) on the figures of a lens, the
domain's own terms and measures and directions of the prior's hidden state, and on the runs of tokens. Far from all that
was measured the mean is that of the table and the sd its own, so that nothing is won there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtutor.arrays import Flags, Ids, Values
from seqtutor.domain import Domain, RewardTerm
from seqtutor.errors import UserError
from seqtutor.files import digest
from seqtutor.objectives.optimum import UNKNOWN, Estimate

if TYPE_CHECKING:
    from seqtutor.inference.process import Process, Rows
    from seqtutor.people.lens import Lens
    from seqtutor.records import Record

LEAST = 20  # different texts below which nothing is foreseen
MOST = 2000  # lines that are learnt from, evenly from all: the work is the cube of that
FORMAT = 3  # of figures and model: a change makes other answers


@dataclass
class Surrogate:
    """The values of a term `[terms.NAME] surrogate = "assay.csv"`: texts -> (B,). The table is read when first used."""

    path: Path
    column: str
    domain: Domain
    prior: str  # whose texts the figures are standardised by, and whose hidden states they are of
    caution: float = 1.0  # below 0 where less is better: what is not known is then worth more
    digest: str = ""  # of the table, where a run was tuned by it
    without: Sequence[str] = ()  # names of figures that it must not read
    lens: Lens | None = field(default=None, repr=False)
    process: Process | None = field(default=None, repr=False)
    evidence: Estimate = UNKNOWN  # share of the variance of held-out groups that is foreseen; unknown of one or two
    sentence: str = ""  # what was read and what it is worth, for a person

    def open(self) -> None:
        """Read table and prior, and fit. Raises UserError where one cannot be read or tells too little."""
        from seqtutor.inference.process import fit, foreseen
        from seqtutor.records.offline import share_explained

        record = read_table(self.path, self.column, self.domain, self.digest)
        texts, values, groups = lines_of(record)
        rows, known = self.rows(texts)
        rows, values, groups = rows[known], values[known], groups[known]
        self.process = fit(rows, values)
        if len(np.unique(groups)) > 1:  # else there is nothing to learn from when one is held out
            self.evidence = share_explained(values, foreseen(rows, values, groups), groups.astype(float))
        self.sentence = told(record, len(values), self.evidence)

    def rows(self, texts: Sequence[str]) -> tuple[Rows, Flags]:
        """What the process reads of texts, and which (B,) the prior can read."""
        from seqtutor.inference.process import Rows
        from seqtutor.inference.spectrum import spectra
        from seqtutor.people.lens import lens_of

        self.lens = lens = self.lens or lens_of(self.domain, self.prior)
        kept = [i for i, name in enumerate(lens.names) if name not in self.without]
        figures = lens(texts)[:, [*kept, *range(len(lens.names), lens.width)]]
        known: Flags = np.asarray(np.isfinite(figures).all(1))
        return Rows(figures, len(kept), spectra(self.domain, texts)), known

    def foresee(self, texts: Sequence[str]) -> tuple[Values, Values]:
        """Mean and sd (B,) of what would be measured; NaN where the prior cannot read a text."""
        if self.process is None:
            self.open()
        rows, known = self.rows(texts)
        mean, sd = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        if self.process is not None and known.any():
            mean[known], sd[known] = self.process(rows[known])
        return mean, sd

    def __call__(self, texts: Sequence[str]) -> Values:
        """Mean - caution * sd of each."""
        mean, sd = self.foresee(texts)
        return np.asarray((mean - self.caution * sd).round(6))

    def figures(self, texts: Sequence[str]) -> dict[str, float]:
        """Of a batch: the mean sd of what is foreseen."""
        sd = self.foresee(texts)[1]
        return {"sd": round(float(np.nanmean(sd)), 6) if np.isfinite(sd).any() else float("nan")}

    def version(self) -> str:
        """It changes with the table, the caution, the prior's weights and the domain's options."""
        from seqtutor.priors.files import weights_digest

        check_table(self.path, self.column, self.digest)
        left = f" without {', '.join(self.without)}" if self.without else ""
        table = f"{table_digest(self.path, self.column)} {self.column} {self.caution:g}{left}"
        return f"surrogate {FORMAT} {table} {weights_digest(self.prior)} {self.domain.options}"


def check_table(path: Path, column: str, sealed: str) -> None:
    """Raise UserError where there is no such table, or where it is not the `sealed` one."""
    if not path.exists():
        raise UserError(
            f"there is no table {path} to learn '{column}' from, looked for in {Path.cwd()}: "
            "name a CSV, TSV or JSONL file, or a folder of these"
        )
    if sealed and table_digest(path, column) != sealed:
        raise UserError(
            f"the table {path} has changed since this run began: put it back as it was, or start another run with it"
        )


def table_digest(path: Path, column: str) -> str:
    """What tells a table, or all of a folder, from any others: the digest of the file, or those of several joined."""
    from seqtutor.records import files_of

    return "-".join(digest(file) for file in files_of(path, {column: column}))


def read_table(path: Path, column: str, domain: Domain, sealed: str = "") -> Record:
    """The lines of a table. Raises UserError where it tells too little, or is not the `sealed` one."""
    from seqtutor.records import read_record

    check_table(path, column, sealed)
    record = read_record(domain, [str(path)], {column: column})
    if len(record.texts) < LEAST:
        raise UserError(
            f"the table {path} has {len(record.texts)} different texts with a {column} (the first line left out: "
            f"{record.problems[0].problem if record.problems else 'none'}); a surrogate needs {LEAST}, better 200"
        )
    return record


def lines_of(record: Record) -> tuple[list[str], Values, Ids]:
    """Texts, values (N,) and numbers of groups (N,) of its lines, MOST of them at the most."""
    lines = record.lines[:: -(-len(record.lines) // MOST)]
    groups = np.unique([line.group for line in lines], return_inverse=True)[1]
    return [line.text for line in lines], np.array([line.values[0] for line in lines]), groups


def told(record: Record, used: int, evidence: Estimate) -> str:
    """What was read and what it is worth: a sentence or two."""
    some = "" if used == len(record.lines) else f", {used:,} of them used"
    left = f", {len(record.problems):,} more could not be read" if record.problems else ""
    line = f"{record.sentence}{some}{left}"
    if math.isnan(evidence.mean):
        return f"{line}; of too few families to hold some out and see what it foresees"
    line += f"; of the variance of groups held out it foresees {evidence.mean:.0%} ± {evidence.halfwidth:.0%}"
    return line if evidence.mean > evidence.halfwidth else f"{line}: that is no evidence that it foresees anything"


def sentences(terms: Sequence[RewardTerm]) -> list[str]:
    """What stands behind each term that is a surrogate, for a person."""
    return [f"{term.name}: {term.values.sentence}" for term in terms if isinstance(term.values, Surrogate)]


def pinned_table(
    table: Mapping[str, Any], name: str, domain: Domain, prior: str, weights: Mapping[str, float]
) -> dict[str, Any]:
    """A table `[terms.NAME]` with what a repetition needs: prior, column, the digest of the file, the score of no item.

    Where neither a transform nor `invalid` says it, what is no item is worth less than anything that can be foreseen:
    the worst that was measured, less what is taken off for doubt and a standard deviation, since a mean may lie beyond.
    """
    full = {"prior": prior, "column": name, "digest": "", **table}
    known = all(isinstance(full[key], str) for key in ("surrogate", "column", "digest"))
    if not known or not all(isinstance(full.get(key, 1.0), int | float) for key in ("weight", "caution")):
        return dict(table)  # whoever reads the settings says what is wrong with it
    path = Path(full["surrogate"])
    record = read_table(path, full["column"], domain, full["digest"])
    scores = [-line.values[0] if full.get("better") == "lower" else line.values[0] for line in record.lines]
    doubt = (1 + full.get("caution", 1.0)) * float(np.std(scores))
    worst = max(scores) + doubt if weights.get(name, full.get("weight", 1.0)) < 0 else min(scores) - doubt
    usual = {} if "transform" in table else {"invalid": float(worst)}
    return {**usual, **full, "digest": table_digest(path, full["column"])}
