"""A finished run as a reward: log pi - log p of each token, in nats.

At the optimum of that run, pi = p exp(R/c) / Z, the sum of it is R/c - log Z: its reward, but for a constant, at the
price of reading the sequence twice. A slow oracle is distilled so; the sum of two such terms at temperature 1 leads to
the product of both runs, p (pi_1/p) (pi_2/p) / Z.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtutor.arrays import Ids, Values
from seqtutor.domain import Domain, RewardTerm
from seqtutor.errors import UserError
from seqtutor.rewards.surrogate import Surrogate
from seqtutor.rewards.taste import Tasted
from seqtutor.vocabulary import PAD

if TYPE_CHECKING:
    from seqtutor.rewards.reward import Scores

SAMPLES, QUANTILE = 1000, 0.99  # of the run's own policy: beyond what nearly all of them have nothing was learnt
TOLERANCE = 1e-4  # nats


@dataclass
class Distilled:
    """The values of a term `[terms.NAME] run = "FOLDER"`: ids (B, T) -> (B, T). The models are read when first used."""

    folder: Path
    domain: Domain
    digest: str = ""  # of its policy's weights, where a run was tuned by them
    cap: float = np.inf  # nats: the most that a whole sequence is paid
    steps: Callable[[Ids], Values] | None = field(default=None, repr=False)

    def open(self) -> None:
        """Read both models and find the cap. Raises UserError where there is no such run, or it speaks other tokens."""
        import torch

        from seqtutor.priors.files import check_fit, load_model, weights_digest
        from seqtutor.priors.sampling import array_of, draw, logp_of
        from seqtutor.priors.script import script_of
        from seqtutor.runs.drawing import Source
        from seqtutor.runs.folder import open_run

        config, its = open_run(self.folder)
        if config.domain != self.domain.name:
            raise UserError(f"the run {self.folder} is of domain '{config.domain}', not of '{self.domain.name}'")
        if script_of(its):  # log pi / p of such a run is known of what its policy chose, beside what it was given
            raise UserError(
                f"the run {self.folder} was tuned with a template, such as a scaffold: what it learnt is said of items "
                "that keep it, and of others nothing; only a run without one can be a term"
            )
        if self.digest and weights_digest(self.folder) != self.digest:
            raise UserError(
                f"the run {self.folder} has gone on since this run began, and pays otherwise now: "
                "put its policy back as it was, or start another run with it"
            )
        policy = load_model(self.folder, "policy")
        check_fit(policy, self.domain, str(self.folder))
        prior = Source(policy, self.domain, config, self.folder, tuned=True).prior

        def steps(ids: Ids) -> Values:
            tokens = torch.from_numpy(np.ascontiguousarray(ids))
            return array_of(logp_of(policy, tokens) - logp_of(prior, tokens))

        tokens, _ = draw(policy, self.domain, SAMPLES, torch.Generator().manual_seed(0))
        self.cap = float(np.quantile(steps(tokens).sum(-1), QUANTILE))
        self.steps = steps

    def __call__(self, ids: Ids) -> Values:
        """Log pi - log p of each token, the total of a sequence at most `cap`."""
        if self.steps is None:
            self.open()
        return clip(self.steps(ids), np.asarray(ids) != PAD, self.cap) if self.steps else np.zeros(ids.shape)


def pinned_run(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table `[terms.NAME]` with what a repetition needs: the digest of the policy."""
    from seqtutor.priors.files import weights_digest

    folder = table["run"]
    if not isinstance(folder, str) or not (Path(folder) / "policy.safetensors").is_file():
        return dict(table)  # whoever opens it says what is wrong with it
    return {"digest": weights_digest(Path(folder)), **table}


def open_runs(terms: Sequence[RewardTerm]) -> None:
    """Read what every term stands on that is a run, a taste or a surrogate: what is wrong is told before the rest."""
    for term in terms:
        if isinstance(term.values, Distilled | Tasted | Surrogate):
            term.values.open()


def clip(steps: Values, real: Values, cap: float) -> Values:
    """`steps` (B, T) with what a sequence has beyond `cap` taken from its last real step."""
    steps = steps.copy()
    last = np.maximum(real.sum(-1) - 1, 0)
    steps[np.arange(len(steps)), last] -= np.maximum(steps.sum(-1) - cap, 0.0)
    return steps


def clipped(terms: Sequence[RewardTerm], scores: Scores) -> dict[str, float]:
    """`clipped.<name>`, for each term that is a run: the share of a batch that was paid no more than its cap."""
    runs = {term.name: term.values for term in terms if isinstance(term.values, Distilled)}
    return {
        f"clipped.{name}": float((scores.terms[name] >= values.cap - TOLERANCE).mean()) for name, values in runs.items()
    }
