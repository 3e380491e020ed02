"""`seqtutor verify`: every installed objective on a world so small that all its sequences can be listed.

Words over three letters, a prior that is a small random LSTM, a reward that is a random table. Listing the words gives
the optimum pi*(x) = p(x) exp(R(x)/c) / Z, its values and grad J without any of the mathematics that is being checked.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from seqtutor.config import TrainConfig
from seqtutor.domain import Domain, TokenTerm
from seqtutor.objectives import Objective, load_objective
from seqtutor.objectives.losses import Steps, taken
from seqtutor.priors.model import FORBIDDEN, LstmModel, Model
from seqtutor.priors.policies import frozen
from seqtutor.priors.sampling import sequence_mask
from seqtutor.testing.trial import asked
from seqtutor.training.tuner import Tuner
from seqtutor.vocabulary import EOS, PAD, Vocabulary

LENGTH = 3
TEMPERATURE = 1.0
ENOUGH = 0.01  # nats: the largest KL(pi || pi*) after training that passes
ZERO = 1e-10
UPDATES, ROLLOUTS, RATE = 200, 512, 0.02


@final
class Words(Domain):
    """Words over a, b, c of at most three letters; the reward of a step is a random table's entry."""

    name, summary = "words", "every word of at most three letters"
    vocabulary, max_length = Vocabulary("abc"), LENGTH

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.table = np.random.default_rng(seed).normal(size=(len(self.vocabulary),) * LENGTH)

    def rewards(self, tokens: Any) -> Any:
        """(B, T) -> (B, T): what a step earns depends on all letters so far."""
        steps = np.zeros(tokens.shape)
        for t in range(tokens.shape[1]):
            so_far = np.zeros((LENGTH, len(tokens)), np.int64)
            so_far[: t + 1] = tokens[:, : t + 1].T
            steps[:, t] = self.table[tuple(so_far)]
        return steps

    def terms(self) -> list[TokenTerm]:
        """The table."""
        return [TokenTerm("table", 1.0, "a random reward for each step", "", self.rewards)]

    def decode(self, tokens: Sequence[str]) -> str:
        """The letters joined; here the empty word is one too."""
        return "".join(tokens)


class World:
    """All N words of a domain under a prior, in float64, and what listing them gives. T steps, V tokens."""

    temperature = TEMPERATURE

    def __init__(self, domain: Words, prior: LstmModel) -> None:
        self.domain, self.prior = domain, prior
        letters = range(EOS + 1, len(domain.vocabulary))
        ended = [(*word, EOS) for n in range(LENGTH) for word in itertools.product(letters, repeat=n)]
        words = [*ended, *itertools.product(letters, repeat=LENGTH)]  # those that end, then those cut at the length
        self.tokens = torch.tensor([word + (PAD,) * (LENGTH - len(word)) for word in words])  # (N, T)
        self.mask = sequence_mask(self.tokens)  # (N, T)
        with torch.no_grad():  # (N, T, V) log p of every next token; 0 after the end
            self.log_prior = copy.deepcopy(prior).double()(self.tokens) * self.mask[..., None]
        self.prior_logp = taken(self.log_prior, self.tokens)  # (N, T) of the letters taken
        self.reward = torch.from_numpy(domain.rewards(self.tokens.numpy())) * self.mask  # (N, T)
        # (N, T) log p + r/c of every step: summed over a word, the log of pi* but for log Z
        self.step_weight = (self.prior_logp + self.reward / self.temperature) * self.mask
        self.log_optimum = self.step_weight.sum(-1).log_softmax(0)  # (N,) log pi*(x)
        self.psi = self._psi()  # (N, T, V)

    def _psi(self) -> Tensor:
        """The optimal Psi(s, a): log of the summed weights of all words that go on with a, less s's own."""
        equal = self.tokens[:, None] == self.tokens[None]  # two words have the same first t letters: (N, N, T)
        same_start = torch.nn.functional.pad(equal.cumprod(-1)[..., :-1], (1, 0), value=1).bool()
        token = torch.nn.functional.one_hot(self.tokens, len(self.domain.vocabulary)).bool()
        through = same_start[..., None] & token[None]  # word i's start, word j goes on with a
        mass = torch.where(through, self.step_weight.sum(-1)[None, :, None, None], -torch.inf).logsumexp(1)
        before = self.step_weight.cumsum(-1) - self.step_weight
        return (mass - before[..., None]).clamp(min=FORBIDDEN)

    def loss(
        self, objective: Objective, values: Tensor, words: Tensor | slice = slice(None), *, squared: bool = False
    ) -> Tensor:
        """The objective's loss (n,) on some of the words, as shipped; its target is the policy.

        `squared`: with no gap too large to be squared.
        """
        listed = (values, values.detach(), self.prior_logp, self.tokens, self.reward, self.mask)
        values, target, prior_logp, tokens, reward, mask = (tensor[words] for tensor in listed)
        steps = Steps(values, target, prior_logp, tokens, reward, mask, self.temperature)
        numbers = objective.numbers(objective.Settings())
        if squared and "huber" in numbers:
            numbers["huber"] = math.inf
        return objective(steps, **numbers)

    def gap(self, model: Model) -> float:
        """KL(pi || pi*), nats, of a policy."""
        with torch.no_grad():
            log_policy = (taken(model(self.tokens), self.tokens).double() * self.mask).sum(-1)
        return float((log_policy.exp() * (log_policy - self.log_optimum)).sum())


def new_world(seed: int = 0) -> World:
    """A world with a random prior and random rewards."""
    domain = Words(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        prior = LstmModel(domain.vocabulary, embedding=8, hidden=32)
        torch.nn.init.normal_(prior.head.weight, std=1.0)
    return World(domain, frozen(prior))


def loss_at_optimum(world: World, objective: Objective) -> tuple[float, float]:
    """The largest loss of a word at pi*, and the mean loss beside it, where one value is moved by .1."""
    moved = world.psi.clone()
    moved[:, 0, EOS + 1] += 0.1
    return float(world.loss(objective, world.psi).abs().max()), float(world.loss(objective, moved).mean())


def gradient_of_j(world: World, objective: Objective, *, squared: bool = False) -> tuple[float, float]:
    """The expected gradient of the loss on pairs of the policy's own words, as `multiple` times grad J.

    Returns the multiple, in units of 1/c, and what is left over as a share of the gradient. The policy is a random
    table; every pair of words is listed and weighted by its probability. Values are V(s) + log pi, V random too.
    """
    generator = torch.Generator().manual_seed(0)
    earlier = torch.ones(LENGTH, LENGTH, dtype=torch.int64).tril(-1)
    _, prefix = torch.unique((world.tokens[:, None] * earlier).flatten(0, 1), dim=0, return_inverse=True)
    prefix, never = prefix.view(world.tokens.shape), world.log_prior <= FORBIDDEN / 2
    size = (int(prefix.max()) + 1, len(world.domain.vocabulary))
    logits = torch.randn(size, dtype=torch.float64, generator=generator).requires_grad_()
    state_value = torch.randn(size[0], 1, dtype=torch.float64, generator=generator)
    log_policy = logits[prefix].masked_fill(never, FORBIDDEN).log_softmax(-1)
    logp = (taken(log_policy, world.tokens) * world.mask).sum(-1)
    net = world.step_weight.sum(-1) - logp
    (climb,) = torch.autograd.grad((logp.exp() * net).sum(), logits, retain_graph=True)
    probability = logp.detach().exp()
    values = state_value[prefix] + log_policy
    pairs = torch.cartesian_prod(torch.arange(len(logp)), torch.arange(len(logp)))
    loss_of = torch.func.vmap(lambda pair: world.loss(objective, values, pair, squared=squared).mean(), chunk_size=400)
    total = (probability[pairs].prod(-1) * loss_of(pairs)).sum()
    (found,) = torch.autograd.grad(total, logits)
    multiple = float((found * climb).sum() / climb.square().sum())
    return multiple, float((found - multiple * climb).norm() / found.norm())


def train(world: World, name: str) -> tuple[float, float]:
    """KL(pi || pi*), nats, before and after a tuning run of `name`, with the LSTM, sampling and replay of any run."""
    objective = load_objective(name)
    numbers = {f.name for f in dataclasses.fields(objective.Settings)}
    wanted = {"span": LENGTH, "target_rate": 0.1, "learning_steps": 3, "batch": 64, "replay": 1024}
    config = TrainConfig(
        domain=world.domain.name,
        objective=name,
        temperature=world.temperature,
        rollouts=ROLLOUTS if objective.on_policy else ROLLOUTS // 4,
        learning_rate=RATE,
        learning_rate_end=RATE / 100,
        updates=UPDATES,
        **{key: value for key, value in wanted.items() if key in numbers},
    )
    tuner = Tuner(world.domain, config, world.prior)
    before = world.gap(tuner.policy)
    for _ in range(UPDATES):
        tuner.step()
    return before, world.gap(tuner.policy)


@dataclass(frozen=True)
class Proof:
    """What was found of one objective."""

    name: str
    exact: bool  # what it claims
    at_optimum: float  # largest loss of a word at pi*
    beside: float  # mean loss a little beside pi*
    multiple: float  # of grad J in its expected gradient, in units of 1/c, with all gaps squared
    residue: float  # share of that gradient which is not along grad J
    shipped: float  # the same share with the numbers that it ships with
    before: float  # KL(pi || pi*), nats, of the prior
    after: float  # and of the policy tuned from it
    seconds: float

    @property
    def zero(self) -> bool:
        """Its loss is zero at pi*, and not beside it."""
        return self.at_optimum < ZERO and self.beside > 1e-6

    @property
    def climbs(self) -> bool:
        """Its expected gradient on the policy's own samples points down J."""
        return self.residue < 1e-8 and self.multiple < 0

    @property
    def holds(self) -> bool:
        """It does what it claims."""
        return not self.exact or ((self.zero or self.climbs) and self.after < ENOUGH)


def prove(world: World, name: str) -> Proof:
    """Check one installed objective. Raises UserError where its loss raises anything."""
    began, objective = time.monotonic(), load_objective(name)
    with asked(name, objective):
        at_optimum, beside = loss_at_optimum(world, objective)
        multiple, residue = gradient_of_j(world, objective, squared=True)
        _, shipped = gradient_of_j(world, objective)
        before, after = train(world, name)
    seconds = time.monotonic() - began
    return Proof(name, objective.exact, at_optimum, beside, multiple, residue, shipped, before, after, seconds)
