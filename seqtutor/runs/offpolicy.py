"""`seqtutor evaluate RUN --log`: what old scored texts tell of a policy that did not write them, or a refusal."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtutor.arrays import Values
from seqtutor.errors import UserError
from seqtutor.objectives.optimum import NORMAL, Estimate, mixed
from seqtutor.priors.sampling import array_of, compared
from seqtutor.priors.script import script_of
from seqtutor.records import Record, read_record
from seqtutor.records.offline import batch_of, without_failures
from seqtutor.records.recorded import REFUSED, ROUGH, weighted
from seqtutor.records.replay import Batch, reward_of
from seqtutor.runs.drawing import Source, open_model, sequences_of

DRAWN = 500  # samples of the policy that its KL is estimated from: nobody scores them


@dataclass(frozen=True)
class RecordEstimate:
    """What a record tells of a policy."""

    reward: Estimate  # E_pi[R] over items
    effective: float  # samples of the policy that the lines are worth
    lines: int
    own: float  # mean R of the lines themselves
    kl: Estimate  # KL(pi || prior), nats a sequence

    @property
    def sentence(self) -> str:
        """For a person."""
        rough = "; rough: below 100" if self.effective < ROUGH else ""
        return (
            f"reward {self.reward.mean:.4g} ± {self.reward.halfwidth:.2g} by {self.lines:,} lines of the record "
            f"(effective sample size {self.effective:.0f}{rough}); their own mean is {self.own:.4g}; "
            f"KL(policy || prior) {self.kl.mean:z.2f} ± {self.kl.halfwidth:.2f} nats a sequence"
        )


def estimated_from(source: Source, paths: list[str], column: str, text: str, seed: int) -> RecordEstimate:
    """Estimate the reward of a model by self-normalised importance sampling over a record.

    R is that of the run where the record has its columns, or the column that is named, as it stands. Raises UserError
    where it is not known who wrote the lines, and where they are worth too few samples of this model.
    """
    if script_of(source.domain):
        raise UserError(
            "no estimate from a record is possible for items with a template, such as a scaffold: a record does not "
            "say in which spelling, and so with which probability, each was written into it"
        )
    paths = [str(Path(path) / "samples.csv") if (Path(path) / "samples.csv").is_file() else path for path in paths]
    record, batch, reward = _scored(source, paths, column, text)
    tokens = batch.tokens
    logp = array_of(compared(source.model, source.model, tokens)[0])
    found, worth = weighted(reward, logp - writer_logp(record, paths, batch))
    if worth < REFUSED:
        raise UserError(
            f"no estimate of {source.folder} is possible from {', '.join(paths)}: its {len(record.lines):,} lines are "
            f"worth {worth:.1f} samples of this policy, and {REFUSED:.0f} are needed; a nearer record, or "
            "a longer one, would do"
        )
    own, _ = sequences_of(source.model, source.domain, DRAWN, seed)
    each = array_of(compared(source.model, source.prior, tokens.new_tensor(own))[2])
    kl = Estimate(float(each.mean()), NORMAL * float(each.std(ddof=1)) / math.sqrt(len(each)))
    return RecordEstimate(found, worth, len(record.lines), float(reward.mean()), kl)


def _scored(source: Source, paths: list[str], column: str, text: str) -> tuple[Record, Batch, Values]:
    """The record, its lines as sequences, and R of each."""
    with closing(source.scorer()) as scorer:
        columns = {name: table.record for name, table in scorer.settings.items() if table.record}
        if column or not columns:
            columns = {"reward": column or "reward"}
            scorer.terms, scorer.recorded = [], {}
        record = read_record(source.domain, paths, columns, text)
        if not scorer.terms:
            values = np.array([line.values[0] for line in record.lines], np.float64)
            return record, batch_of(record, source.prior, scorer), values
        scorer.terms = [term for term in scorer.terms if term.counts]
        scorer.recorded.update(record.means())
        record, batch = without_failures(record, batch_of(record, source.prior, scorer), scorer)
        return record, batch, array_of(reward_of(scorer.reward, batch).sum(-1))


def writer_logp(record: Record, paths: list[str], batch: Batch) -> Values:
    """Log beta of every line (N,): its column `logp`, or, of a run's samples.csv, that of the run's two models.

    Those wrote as many rows each, but for what was no item: the writer is their mixture.
    """
    known = np.array([line.logp for line in record.lines])
    if np.isfinite(known).all():
        return known
    written = [one for one in map(Path, paths) if one.name == "samples.csv"]
    runs = [one for one in written if (one.parent / "policy.safetensors").is_file()]
    if runs and len(paths) > 1:
        raise UserError(
            f"no estimate is possible from {' and '.join(paths)} together: the writer of a run's samples.csv, as "
            f"{runs[0]} is, is known where that is the only file; give one --log at a time, or files with a column logp"
        )
    if np.isfinite(known).any():
        where = [line.where for line in record.lines if math.isnan(line.logp)]
        raise UserError(
            f"no estimate is possible from {', '.join(paths)}: its column logp has no log-probability (nats, 0 at "
            f"most) in {len(where):,} of {len(known):,} lines, the first {where[0]}"
        )
    if runs:
        run = open_model(runs[0].parent)
        if not run.summary:
            raise UserError(
                f"no estimate is possible from {runs[0]}: it was written by the policy from before the run went on; "
                f"write it anew: seqtutor train --resume {runs[0].parent}"
            )
        logp, prior_logp, _ = compared(run.model, run.prior, batch.tokens)
        return mixed(array_of(logp), array_of(prior_logp), 0.5)
    ledger = "; a ledger was written by as many policies as its run had updates, and the run has kept the last"
    ledger = f"{ledger}: use its samples.csv" if Path(paths[0]).name in ("ledger.csv", "scored.csv") else ""
    raise UserError(
        f"no estimate is possible from {', '.join(paths)}: nobody knows with which probability its writer wrote each "
        f"text; that needs a column logp (nats), or the samples.csv of a run in its folder{ledger}"
    )
