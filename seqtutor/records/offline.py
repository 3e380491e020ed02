"""Learning from a record alone: the reward that is completed off it, the batches, and what held-out texts say.

Nobody has scored the texts that are not in the record, so that the one thing that can be asked for is the optimum of
a completed reward: R where the record says it, r0 elsewhere.

    pi~ = p exp(R~/c) / Z~        Z~ = sum over the record of p(x) exp(R(x)/c) + p(the rest) exp(r0/c)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqtutor.arrays import Values
from seqtutor.config import TrainConfig
from seqtutor.domain import DataLine, Domain
from seqtutor.errors import UserError
from seqtutor.files import found_from
from seqtutor.objectives.optimum import NORMAL, Estimate, log_mean
from seqtutor.priors.encoding import padded
from seqtutor.priors.model import Model
from seqtutor.priors.sampling import array_of, logp_of, sequence_mask
from seqtutor.records import FEWEST, Record, check_digests, read_record
from seqtutor.records.replay import STORED, Batch, Replay, reward_of
from seqtutor.rewards.reward import Reward, Scores
from seqtutor.rewards.scorer import Scorer

FEWEST_GROUPS = 3  # of one or two the interval is too short, by any quantile
QUICK = 200  # held-out lines that are looked at in an update: to read them must cost less than to learn


@dataclass
class Offline:
    """What a run has instead of an oracle."""

    record: Record
    digests: Mapping[str, str]  # of its files
    reward: Reward  # R~: completed
    batch: Batch  # every line
    held: Batch  # the lines of the groups that are held out
    groups: Values  # (held lines,) the number of each one's group
    learnt: Replay  # the others
    share: float  # of a batch that is the policy's own

    def batches(
        self, own: Replay, steps: int, size: int, generator: torch.Generator, by_length: bool
    ) -> Iterator[Batch]:
        """`steps` batches of `size` lines of the record, `share` of them the policy's own sequences, with their r0."""
        mine = min(round(self.share * size), size - 1) if len(own) else 0
        for batch in self.learnt.batches(steps, size - mine, generator, by_length=by_length):
            more = next(own.batches(1, mine, generator)) if mine else None
            both = joined(batch, more) if more else batch
            if more and not by_length:  # a loss of neighbours must see those of both kinds
                both = both.select(torch.randperm(len(both), generator=generator, device=generator.device))
            yield replace(both, slots=None)

    def explained(self, policy: Model, temperature: float, most: int = 0) -> Estimate:
        """The share of the variance of R over held-out lines that c log(pi/p) explains, with its interval over groups.

        At the optimum R - c log(pi/p) is one number, c log Z, and the share is 1; the prior has 0, and a policy that
        knows by heart what it has learnt, and nothing else, less. NaN: nothing is held out, or all of it is alike.
        `most`: lines at most, evenly from all; 0: all.
        """
        if not len(self.held):
            return Estimate(math.nan, math.nan)
        rows = np.arange(0, len(self.held), max(1, math.ceil(len(self.held) / most)) if most else 1)
        held = self.held.select(torch.from_numpy(rows))
        rewards, ratio = (
            array_of(steps.sum(-1)) for steps in (self.worth(held), logp_of(policy, held.tokens) - held.prior_logp)
        )
        return share_explained(rewards, temperature * ratio, self.groups[rows])

    def evidence(self, policy: Model, temperature: float) -> tuple[float, float]:
        """What some held-out lines say for a policy: `explained`, and one standard error below it (docs/records.md).

        Of few groups it is more than one: see `share_explained`.
        """
        found = self.explained(policy, temperature, QUICK)
        return found.mean, found.mean - found.halfwidth / NORMAL

    def figures(self, policy: Model, scores: Scores, temperature: float) -> dict[str, float]:
        """The figures of an update that a record changes or adds: nobody knows the reward of new texts."""
        explained, low = self.evidence(policy, temperature)
        return {
            "reward": math.nan,
            "gap": math.nan,
            "paid": math.nan,
            "in_record": self.share_of(scores.texts),
            "explained": explained,
            "explained_low": low,
        }

    def share_of(self, texts: Sequence[str | None]) -> float:
        """The share of the items among `texts` that stand in the record."""
        known, items = set(self.record.texts), [text for text in texts if text is not None]
        return sum(text in known for text in items) / max(1, len(items))

    def worth(self, batch: Batch) -> Tensor:
        """R~ of each step (B, T)."""
        return reward_of(self.reward, batch)

    def constants(self) -> tuple[float, float]:
        """R~ of an item that nobody has scored, and of a sequence that is no item."""
        values = np.full((2, 1, len(self.reward.terms)), np.nan)
        found = self.reward(values, np.ones((2, 1), bool), np.array([True, False])).sum(-1)
        return float(found[0]), float(found[1])

    def log_z(self, temperature: float, valid: float) -> float:
        """Log Z~, nats, where the share `valid` of the prior's sequences are items.

        A text counts in the one spelling that the record has it in; in others it counts as unseen, which has a lower
        R~ wherever a certificate is given.
        """
        unseen, invalid = self.constants()
        rewards, logp = self.of_texts()
        known = float(np.exp(logp).sum())
        parts = [*(logp + rewards / temperature)]
        for chance, worth in ((valid - known, unseen), (1 - valid, invalid)):
            parts += [math.log(chance) + worth / temperature] if chance > 0 else []
        return log_mean(np.array(parts)) + math.log(len(parts))

    def of_texts(self) -> tuple[Values, Values]:
        """Of each different text: the mean of its R, and log p of the spelling that it has in the record."""
        place = np.unique([line.text for line in self.record.lines], return_inverse=True)[1]
        rewards, logp = (array_of(steps.sum(-1)) for steps in (self.worth(self.batch), self.batch.prior_logp))
        count = np.bincount(place)
        return np.bincount(place, rewards) / count, np.bincount(place, logp) / count


def share_explained(reward: Values, fitted: Values, groups: Values) -> Estimate:
    """1 - var(reward - fitted) / var(reward) of N lines, and its interval by the jackknife over G whole groups.

    Student's t with G - 1 degrees of freedom: by a normal quantile few groups would seem to be sure of it. Of groups
    of unequal sizes "95 %" holds in 83 to 85 % for 3 to 5, in 90 % for 15, in 93 % for 100. NaN of fewer than three.

    >>> share_explained(np.array([0.0, 1.0, 2.0]), np.array([5.0, 6.0, 7.0]), np.arange(3.0)).mean
    1.0
    """
    known, place = np.unique(groups, return_inverse=True)
    if len(known) < FEWEST_GROUPS:
        return Estimate(math.nan, math.nan)
    centred = [x - x.mean() for x in (reward, reward - fitted)]
    count, *sums = (np.bincount(place, x) for x in (np.ones(len(reward)), *(x**k for x in centred for k in (1, 2))))

    def of(n: Values, r: Values, rr: Values, d: Values, dd: Values) -> Values:
        spread, rest = rr - r**2 / n, dd - d**2 / n
        return 1 - np.divide(rest, spread, out=np.full_like(spread, math.nan), where=spread > 0)

    whole = float(of(*(np.array([x.sum()]) for x in (count, *sums)))[0])
    others = of(*(x.sum() - x for x in (count, *sums)))
    error = math.sqrt((len(known) - 1) * float(others.var()))
    return Estimate(whole, float(stdtrit(len(known) - 1, 0.975)) * error)


def joined(one: Batch, other: Batch) -> Batch:
    """The sequences of both."""
    rows = {name: [*getattr(one, name), *getattr(other, name)] for name in STORED}  # PAD is 0 too
    return Batch(**{n: pad_sequence(part, True) if part[0].ndim else torch.stack(part) for n, part in rows.items()})


def open_record(domain: Domain, config: TrainConfig, prior: Model, scorer: Scorer, run: Path | None) -> Offline:
    """Read the record of a run, tell `scorer` what it says, and divide it. `run`: the folder of one that goes on.

    Raises UserError where it cannot be learnt from.
    """
    check_offline(config)
    columns = {name: table.record for name, table in scorer.settings.items() if table.record}
    now = check_digests(config.log, columns, config.log_digests, run)
    record = read_record(domain, [found_from(path, run) for path in config.log], columns, config.log_text)
    scorer.recorded.update(record.means())
    batch = batch_of(record, prior, scorer).to(config.device)
    record, batch = without_failures(record, batch, scorer)
    scorer.recorded.update(record.means())
    reward = completed(config.unseen, scorer, batch, columns)
    held_out = record.held_out(config.seed)
    kept, held = (torch.from_numpy(np.flatnonzero(which)) for which in (~held_out, held_out))
    replay = Replay(
        len(kept),
        domain.max_length,
        len(scorer.terms),
        lambda some: reward_of(reward, some).sum(-1),
        config.settings.priority,
        config.device,
    )
    replay.add(batch.select(kept))
    groups = np.unique([line.group for line in record.lines], return_inverse=True)[1][held_out].astype(np.float64)
    return Offline(record, now, reward, batch, batch.select(held), groups, replay, config.unseen_share)


def batch_of(record: Record, prior: Model, scorer: Scorer) -> Batch:
    """Every line as a sequence with what its terms said; terms that no record says are computed."""
    ids = padded([line.ids for line in record.lines])
    of_texts = scorer.of_texts([line.text for line in record.lines], ids).values.sum(1)
    for k, term in enumerate(scorer.terms):
        if term.name in scorer.recorded:
            own = record.names.index(term.name)
            of_texts[:, k] = [line.values[own] for line in record.lines]
    terms = torch.from_numpy(scorer.respelt(ids, of_texts))
    tokens, full = torch.from_numpy(ids), torch.ones(len(ids))
    prior_logp = logp_of(prior, tokens.to(prior.device)).cpu()
    return Batch(tokens, sequence_mask(tokens), prior_logp, terms, full.bool(), full)


def without_failures(record: Record, batch: Batch, scorer: Scorer) -> tuple[Record, Batch]:
    """A record and its lines as sequences, but for those that have no reward: a term that is computed failed on them.

    Raises UserError where too few are left.
    """
    values, real, valid = (part.cpu().numpy() for part in (batch.terms, sequence_mask(batch.tokens), batch.valid))
    known = scorer.reward.scored(values, real, valid)
    if known.all():
        return record, batch
    scores = {term.name: scorer.reward.score(k, values, valid) for k, term in enumerate(scorer.terms) if term.counts}
    lost = [
        DataLine(line.where, line.text, f"term '{next(n for n, s in scores.items() if not np.isfinite(s[i]))}' failed")
        for i, line in enumerate(record.lines)
        if not known[i]
    ]
    kept = [line for line, fine in zip(record.lines, known, strict=True) if fine]
    record = replace(record, lines=kept, problems=[*record.problems, *lost])
    if len(record.texts) < FEWEST:
        raise UserError(
            f"of the record {len(record.texts)} different texts have a reward, and {FEWEST} are needed: "
            f"{lost[0].where}: {lost[0].problem}"
        )
    return record, batch.select(torch.from_numpy(np.flatnonzero(known)))


def completed(unseen: str, scorer: Scorer, batch: Batch, columns: Mapping[str, str]) -> Reward:
    """R~: the run's reward with a score for what no record says, `unseen`: 'mean', 'min' or a number.

    Where no transform and no setting says it, a sequence that is no item scores the least of the record.
    """
    values, valid = array_of(batch.terms), batch.valid.cpu().numpy()
    settings, scores = dict(scorer.settings), {}
    for k, term in enumerate(scorer.terms):
        if term.name in columns:
            known = scorer.reward.score(k, values, valid)
            table = settings[term.name]
            if table.transform is None and math.isnan(table.invalid):
                settings[term.name] = replace(table, invalid=float(known.min()))
            usual = {"mean": known.mean(), "min": known.min()}
            scores[term.name] = float(usual.get(unseen, unseen))
    return replace(scorer.reward, settings=settings, unseen=scores)


def check_offline(config: TrainConfig) -> None:
    """Raise UserError for settings that need an oracle, and for what is no score of an unseen text."""
    unseen = config.unseen
    try:
        usable = unseen in ("mean", "min") or math.isfinite(float(unseen))
    except ValueError:
        usable = False
    if not usable:
        raise UserError(f"unseen must be mean, min or a number, the score of a text that nobody scored, not '{unseen}'")
    if not hasattr(config.settings, "replay"):
        raise UserError(
            f"objective '{config.objective}' learns from its own samples only, and a record holds others: "
            "use tb, vargrad, dpg, dpo, ipo, psi, g or q"
        )
    asked = {"vary": getattr(config.settings, "vary", 0.0), "family_size": config.family_size}
    for name, value in asked.items():
        if value:
            raise UserError(f"{name} is {value}; it needs rewards of new texts, which no record has: leave it out")
    if config.repeats != "paid" or config.settings.priority == "error":
        name = "repeats" if config.repeats != "paid" else "priority"
        raise UserError(f"{name} is not for a run that learns from a record: leave it out")
