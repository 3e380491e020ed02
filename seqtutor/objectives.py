"""The objectives: each a function of tensors that can be laid beside its equation; same arguments, same order.

s = the tokens so far, a = the token taken, p = the prior, pi = the policy, r = the reward of that step, c = its
temperature; a minus marks the target network. After the end the next value is 0. B sequences, T steps, V tokens:

    values     (B, T, V)  what the network says of every next token: V(s) + log pi(.|s), called Q or Psi; or G
    target     (B, T, V)  the same from the target network; carries no gradient
    log_prior  (B, T, V)  log p(.|s), nats; carries no gradient
    tokens     (B, T)     the token taken
    reward     (B, T)     the reward of each step
    mask       (B, T)     True up to and including the last real token

Every one returns the loss of each sequence (B,). All of them move pi towards the one maximum of

    J(pi) = E_pi[ R ] - c * KL(pi || p)        pi* = p * exp(R/c) / Z

and all of them are one equation. A step's net reward, in nats, is what it earns less what it pays for leaving p:

    d = log p + r/c - log pi        consistency:  V(s_t) = sum_{k<n} gamma^k d_{t+k} + gamma^n V-(s_{t+n})

Psi- and G-learning ask it of n = 1 step or of `span` steps; trajectory balance of whole sequences, where V(s_0) is
log Z; VarGrad and DPG estimate log Z instead of learning it; REINVENT takes it to be 0; REINFORCE and PPO climb J
itself, which is the expected net reward of a sequence, times c. docs/objectives.md says which to use.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtutor.errors import UserError
from seqtutor.plugins import find


@dataclass(frozen=True)
class Objective:
    """A loss, and what it must be given.

    `target`: 'average' (a Polyak average of the policy), 'sampler' (the policy as it was when it sampled), or 'none'
    (the argument is the policy's own values). `fresh`: it may learn only from what the policy as it is has sampled.
    `tilt`: its values are G, and the policy is p * exp(G), normalised. `exact`: it claims to lead to pi*.
    """

    loss: Callable[..., Tensor]
    target: Literal["average", "sampler", "none"]
    fresh: bool
    tilt: bool
    exact: bool

    def __call__(self, *tensors: Tensor, **options: float) -> Tensor:
        """The loss of each sequence (B,)."""
        return self.loss(*tensors, **options)

    @property
    def keywords(self) -> frozenset[str]:
        """The names of its own numbers, such as gamma; the temperature, which all have, is not among them."""
        parameters = inspect.signature(self.loss).parameters.values()
        return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY) - {"temperature"}

    @property
    def options(self) -> frozenset[str]:
        """The settings of a run that mean something to it, beside those that all objectives have."""
        own = set(self.keywords)
        own |= {"target_rate"} if self.target == "average" else set()
        own |= {"learning_steps"} if not self.fresh or self.target == "sampler" else set()
        return frozenset(own if self.fresh else own | {"batch", "replay", "priority", "vary", "rewrite"})


def objective(
    *,
    target: Literal["average", "sampler", "none"] = "none",
    fresh: bool = False,
    tilt: bool = False,
    exact: bool = True,
) -> Callable[[Callable[..., Tensor]], Objective]:
    """Make a function an Objective, stating what it must be given."""
    return lambda loss: Objective(loss, target, fresh, tilt, exact)


def load_objective(name: str) -> Objective:
    """An installed objective. Raises UserError with the nearest name."""
    found = find("objective", name)
    if not isinstance(found, Objective):
        raise UserError(f"the entry point of objective '{name}' is {found!r}; decorate it with seqtutor.objective()")
    return found


HUBER = 2.0  # nats: of a gap that is squared, the largest


@objective(target="average", exact=False)
def q(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    gamma: float = 1.0,
    span: int = 1,
    trace: float = 1.0,
    huber: float = HUBER,
) -> Tensor:
    """Q(s,a) <- log p(a|s) + r/c + gamma * max_a' Q-(s',a'): Jaques et al., ICML 2017, eq. 6."""
    gain = taken(log_prior, tokens) + reward / temperature
    goal = n_step(gain, target.amax(-1), taken(target, tokens), mask, gamma, span, trace)
    return step_gaps(taken(values, tokens) - goal, mask, huber)


@objective(target="average")
def psi(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    gamma: float = 1.0,
    span: int = 1,
    trace: float = 1.0,
    huber: float = HUBER,
) -> Tensor:
    """Psi(s,a) <- log p(a|s) + r/c + gamma * logsumexp_a' Psi-(s',a'): Jaques et al., ICML 2017, eq. 8."""
    gain = taken(log_prior, tokens) + reward / temperature
    goal = n_step(gain, target.logsumexp(-1), taken(target, tokens), mask, gamma, span, trace)
    return step_gaps(taken(values, tokens) - goal, mask, huber)


@objective(target="average", tilt=True)
def g(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    gamma: float = 1.0,
    span: int = 1,
    trace: float = 1.0,
    huber: float = HUBER,
) -> Tensor:
    """G(s,a) <- r/c + gamma * logsumexp_a' [log p(a'|s') + G-(s',a')]: Jaques et al., ICML 2017, eq. 9."""
    gain = reward / temperature
    goal = n_step(gain, (log_prior + target).logsumexp(-1), taken(target, tokens), mask, gamma, span, trace)
    return step_gaps(taken(values, tokens) - goal, mask, huber)


@objective()
def tb(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    huber: float = HUBER,
) -> Tensor:
    """(log Z - sum d)^2, log Z = V(s_0) learnt: trajectory balance relative to a prior, Malkin et al., NeurIPS 2022."""
    log_z = values[:, 0].logsumexp(-1)
    net = net_reward(values, log_prior, tokens, reward, mask, temperature)
    return square(log_z - net.sum(-1), huber)


@objective()
def vargrad(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """(mean_batch[sum d] - sum d)^2 * B/(B-1), the variance of sum d: Richter et al., NeurIPS 2020."""
    net = net_reward(values, log_prior, tokens, reward, mask, temperature).sum(-1)
    return (net.mean() - net).square() * len(net) / max(1, len(net) - 1)


@objective()
def dpg(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """(log mean_batch[exp sum d] - sum d), whose gradient is -(w - 1) grad log pi: Korbak et al., NeurIPS 2022."""
    net = net_reward(values, log_prior, tokens, reward, mask, temperature).sum(-1)
    return net.logsumexp(0) - math.log(len(net)) - net


@objective(fresh=True)
def reinvent(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """(0 - sum d)^2, the augmented likelihood with sigma = 1/c: Olivecrona et al., J. Cheminformatics 2017."""
    net = net_reward(values, log_prior, tokens, reward, mask, temperature)
    return net.sum(-1).square()


@objective(fresh=True)
def reinforce(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    gamma: float = 1.0,
) -> Tensor:
    """-sum_t log pi(a_t|s_t) * (sum_{k>=t} gamma^(k-t) d_k - the other sequences' mean of it): Kool et al., 2019."""
    net = net_reward(values, log_prior, tokens, reward, mask, temperature).detach()
    to_go = discounted(net, gamma)
    others = (to_go.sum(0) - to_go) / max(1, len(to_go) - 1)
    return -(taken(values.log_softmax(-1), tokens) * (to_go - others) * mask).sum(-1)


@objective(fresh=True, target="sampler")
def ppo(
    values: Tensor,
    target: Tensor,
    log_prior: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    gamma: float = 1.0,
    trace: float = 1.0,
    clip: float = 0.2,
) -> Tensor:
    """-sum_t min(w A, clip(w) A) + (V - V- - A)^2 / 2, w = pi/pi-, A the trace's average: Schulman et al., 2017."""
    gain = taken(log_prior, tokens) + reward / temperature
    old = taken(target, tokens)  # V-(s) + log pi-(a|s)
    advantage = (n_step(gain, target.logsumexp(-1), old, mask, gamma, tokens.shape[1], trace) - old) * mask
    weight = (taken(values.log_softmax(-1), tokens) - taken(target.log_softmax(-1), tokens)).exp()
    climb = torch.minimum(weight * advantage, weight.clamp(1 - clip, 1 + clip) * advantage)
    miss = values.logsumexp(-1) - target.logsumexp(-1) - advantage
    return ((miss.square() / 2 - climb) * mask).sum(-1)


def taken(rows: Tensor, tokens: Tensor) -> Tensor:
    """The entries (B, T) of `rows` (B, T, V) that belong to `tokens` (B, T)."""
    return rows.gather(-1, tokens[..., None])[..., 0]


def net_reward(
    values: Tensor, log_prior: Tensor, tokens: Tensor, reward: Tensor, mask: Tensor, temperature: float
) -> Tensor:
    """The d (B, T) of the module's docstring, nats: log p + r/c - log pi of the token taken; 0 after the end."""
    log_ratio = taken(log_prior - values.log_softmax(-1), tokens)
    return torch.where(mask, log_ratio + reward / temperature, 0.0)


def discounted(steps: Tensor, gamma: float) -> Tensor:
    """(B, T) -> (B, T): each step plus gamma times the sum that stands at the next."""
    total, sums = torch.zeros_like(steps[:, 0]), []
    for step in steps.flip(1).unbind(1):
        total = step + gamma * total
        sums.append(total)
    return torch.stack(sums, 1).flip(1)


def n_step(
    gain: Tensor, state_value: Tensor, taken_value: Tensor, mask: Tensor, gamma: float, span: int, trace: float
) -> Tensor:
    """The average, with weights of trace^n, of the 1- to `span`-step targets; without gradient. All tensors (B, T).

    With delta = gain + gamma * V-(s') - X-(s,a), a step's error under the target network (X is Q, Psi or G),

        y_t = gain_t + gamma * V-(s_{t+1}) + sum_{k=1}^{span-1} (gamma * trace)^k * delta_{t+k}

    At the fixed point every delta is 0 whatever the tokens were, so the data need not come from the policy. Span 1 is
    the paper's rule; a larger one brings a reward at the end to the first token in one update (path consistency,
    Nachum et al., 2017); trace = 1 keeps the longest target alone, 0 the shortest (Sutton, 1988).
    """
    following = F.pad((state_value * mask)[:, 1:], (0, 1))  # V-(s'), 0 after the end
    single = (gain + gamma * following).detach()
    delta = (single - taken_value.detach()) * mask
    goal = single.clone()
    for k in range(1, min(span, mask.shape[1])):
        goal[:, :-k] += (gamma * trace) ** k * delta[:, k:]
    return goal


def square(gap: Tensor, huber: float) -> Tensor:
    """gap^2, and beyond `huber` nats the straight line that goes on from there (Huber, 1964); infinite: never.

    It keeps a disaster, an invalid molecule 80 nats below the others, from drowning what its batch has to say: a gap
    pulls no harder than one of `huber` nats does. It moves no fixed point, where every gap is zero on every path.
    """
    return 2 * F.huber_loss(gap, torch.zeros_like(gap), reduction="none", delta=huber)


def step_gaps(gap: Tensor, mask: Tensor, huber: float) -> Tensor:
    """The squared gaps (B, T), summed over real steps and divided by the batch's mean length."""
    return (square(gap, huber) * mask).sum(-1) / mask.sum(-1).to(gap).mean()
