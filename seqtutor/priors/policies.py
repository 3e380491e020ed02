"""Policies: what is tuned, and what it is compared with, made from a prior; the prior tilted by another model."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqtutor.priors.lookback import State
from seqtutor.priors.model import LstmModel, Model
from seqtutor.priors.stepping import Step


class TiltedModel(Model):
    """The G-learner's policy: pi = prior * exp(G), normalised; the prior is frozen and G starts at zero."""

    def __init__(self, prior: LstmModel, tilt: LstmModel | None = None) -> None:
        """`tilt`: the network whose logits are G; by default one with the prior's body and a head of zeros."""
        super().__init__()
        self.vocabulary, self.fixed_length, self.shape = prior.vocabulary, prior.fixed_length, prior.shape
        self.prior = frozen(prior)
        self.tilt = copy.deepcopy(prior).requires_grad_(True) if tilt is None else tilt
        if tilt is None:
            for layer in (self.tilt.head, self.tilt.pull, *self.tilt.pulls):
                for parameter in layer.parameters() if layer else ():
                    nn.init.zeros_(parameter)

    def hidden(self, tokens: Tensor) -> Tensor:
        """As Model.hidden: the prior's states and the tilt's, side by side."""
        return torch.cat([self.prior.hidden(tokens), self.tilt.hidden(tokens)], -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """As Model.logits: log p plus what each token adds to it."""
        of_prior, of_tilt = hidden.chunk(2, -1)
        logits: Tensor = self.prior.logits(of_prior).log_softmax(-1) + self.tilt.scores(of_tilt)
        return logits

    def value(self, hidden: Tensor) -> Tensor:
        """As Model.value: what the state's own value adds to G."""
        return self.tilt.value(hidden.chunk(2, -1)[1])

    def head_parameters(self) -> Iterable[nn.Parameter]:
        """The tilt's last layer."""
        return self.tilt.head_parameters()

    def value_parameters(self) -> Iterable[nn.Parameter]:
        """The tilt's value head."""
        return self.tilt.value_parameters()

    def valued(self, hidden: Tensor) -> Tensor:
        """Psi = log p + G: G is what each token adds, and the state's own value."""
        return self.logits(hidden) + self.value(hidden)

    def start(self, batch: int, length: int) -> State:
        """As Model.start: the prior's, then the tilt's."""
        return *self.prior.start(batch, length), *self.tilt.start(batch, length)

    def stepper(self) -> Step:
        """As Model.stepper: the prior's step, tilted."""
        step, advance, cut = self.prior.stepper(), self.tilt.cells(), len(self.prior.start(0, 0))

        def tilted(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            log_prior, prior_state = step(tokens, state[:cut])
            hidden, tilt_state = advance(tokens, state[cut:])
            return (log_prior + self.tilt.scores(hidden)).log_softmax(-1), (*prior_state, *tilt_state)

        return tilted


def frozen(model: LstmModel) -> LstmModel:
    """A copy that learns nothing: no gradient, no dropout."""
    return copy.deepcopy(model).requires_grad_(False).eval()


def starting_policy(prior: LstmModel, *, tilt: bool) -> Model:
    """A policy that is the prior, exactly, without dropout; `tilt`: as the prior times exp(G), else as a copy of it."""
    policy = TiltedModel(prior) if tilt else copy.deepcopy(prior)
    for module in policy.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    policy.train().requires_grad_(True)
    if isinstance(policy, TiltedModel):
        policy.prior.requires_grad_(False)
    return policy


@torch.no_grad()
def follow(target: Model, policy: Model, rate: float) -> None:
    """Move `target` the share `rate` of the way to `policy` (Polyak average)."""
    for theirs, ours in zip(target.parameters(), policy.parameters(), strict=True):
        theirs.lerp_(ours, rate)
