"""The losses: each a function of the steps of a batch, beside its equation.

s = the tokens so far, a = the token taken, p = the prior, pi = the policy, r = the reward of that step, c = its
temperature; a minus marks the target network. After the end the next value is 0. Every loss is that of each sequence
(B,), and all of them move pi towards the one maximum of

    J(pi) = E_pi[ R ] - c * KL(pi || p)        pi* = p * exp(R/c) / Z

and all of them are one equation. A step's net reward, in nats, is what it earns less what it pays for leaving p:

    d = log p + r/c - log pi        consistency:  V(s_t) = sum_{k<n} gamma^k d_{t+k} + gamma^n V-(s_{t+n})

Psi-learning asks it of n = 1 step or of `span` steps; G-learning is the same loss on Psi = log p + G; trajectory
balance asks it of whole sequences, where V(s_0) is log Z; VarGrad and DPG estimate log Z instead of learning it;
REINVENT takes it to be 0; REINFORCE and PPO climb J itself, which is the expected net reward of a sequence, times c.
docs/objectives.md says which to use.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtutor.objectives import HUBER


class Steps(NamedTuple):
    """What a loss is given of B sequences, T steps, V tokens. Only `values` carries a gradient."""

    values: Tensor  # (B, T, V) what the policy says of every next token: V(s) + log pi(.|s), called Q or Psi
    target: Tensor  # (B, T, V) the same from what it is compared with
    prior_logp: Tensor  # (B, T) log p(a|s), nats
    tokens: Tensor  # (B, T) the token taken
    reward: Tensor  # (B, T) the reward of each step
    mask: Tensor  # (B, T) True at the steps that the policy chose: not at given ones, nor after the end
    temperature: float

    @property
    def logp(self) -> Tensor:
        """Log pi of the token taken (B, T), nats."""
        return taken(self.values.log_softmax(-1), self.tokens)

    @property
    def gain(self) -> Tensor:
        """Log p + r/c (B, T), nats."""
        return self.prior_logp + self.reward / self.temperature

    @property
    def net(self) -> Tensor:
        """The d (B, T) of the module's docstring, nats: log p + r/c - log pi of a chosen token; 0 elsewhere."""
        return torch.where(self.mask, self.prior_logp - self.logp + self.reward / self.temperature, 0.0)


def q(s: Steps, *, gamma: float = 1.0, span: int = 1, trace: float = 1.0, huber: float = HUBER) -> Tensor:
    """Q(s,a) <- log p(a|s) + r/c + gamma * max_a' Q-(s',a'): Jaques et al., ICML 2017, eq. 6."""
    goal = n_step(s, s.target.amax(-1), gamma, span, trace)
    return step_gaps(taken(s.values, s.tokens) - goal, s.mask, huber)


def psi(s: Steps, *, gamma: float = 1.0, span: int = 1, trace: float = 1.0, huber: float = HUBER) -> Tensor:
    """Psi(s,a) <- log p(a|s) + r/c + gamma * logsumexp_a' Psi-(s',a'): Jaques et al., ICML 2017, eq. 8.

    With Psi = log p + G it is their eq. 9, G(s,a) <- r/c + gamma * logsumexp_a' [log p(a'|s') + G-(s',a')].
    """
    goal = n_step(s, s.target.logsumexp(-1), gamma, span, trace)
    return step_gaps(taken(s.values, s.tokens) - goal, s.mask, huber)


def tb(s: Steps, *, huber: float = HUBER) -> Tensor:
    """(log Z - sum d)^2, log Z = V(s_0) learnt: trajectory balance relative to a prior, Malkin et al., NeurIPS 2022."""
    return square(first(s.values, s.mask).logsumexp(-1) - s.net.sum(-1), huber)


def vargrad(s: Steps) -> Tensor:
    """(mean_batch[sum d] - sum d)^2 * B/(B-1), the variance of sum d: Richter et al., NeurIPS 2020."""
    net = s.net.sum(-1)
    return (net.mean() - net).square() * len(net) / max(1, len(net) - 1)


def dpg(s: Steps) -> Tensor:
    """(log mean_batch[exp sum d] - sum d), whose gradient is -(w - 1) grad log pi: Korbak et al., NeurIPS 2022."""
    net = s.net.sum(-1)
    return net.logsumexp(0) - math.log(len(net)) - net


def dpo(s: Steps) -> Tensor:
    """KL( sigmoid(D) || sigmoid(h) ) of each pair of neighbours: Rafailov et al., NeurIPS 2023, with soft labels.

    h is how much more log pi - log p the first has than the second, D how much more R/c: the log-odds of Bradley and
    Terry that it is preferred. Votes of which the answer is sure are D = inf, -log sigmoid(h), and have no optimum.
    """
    miss = paired(s.net.sum(-1))  # D - h
    odds = paired((s.reward * s.mask).sum(-1)) / s.temperature  # D
    return F.softplus(odds - miss) - F.softplus(odds) + odds.sigmoid() * miss


def ipo(s: Steps) -> Tensor:
    """(D - h)^2 of each pair of neighbours, twice `vargrad` of the two: Azar et al., AISTATS 2024, of margin D."""
    return paired(s.net.sum(-1)).square()


def reinvent(s: Steps) -> Tensor:
    """(0 - sum d)^2, the augmented likelihood with sigma = 1/c: Olivecrona et al., J. Cheminformatics 2017."""
    return s.net.sum(-1).square()


def reinforce(s: Steps, *, gamma: float = 1.0) -> Tensor:
    """-sum_t log pi(a_t|s_t) * (sum_{k>=t} gamma^(k-t) d_k - the other sequences' mean of it): Kool et al., 2019."""
    to_go = discounted(s.net.detach(), gamma)
    others = (to_go.sum(0) - to_go) / max(1, len(to_go) - 1)
    return -(s.logp * (to_go - others) * s.mask).sum(-1)


def ppo(s: Steps, *, gamma: float = 1.0, trace: float = 1.0, clip: float = 0.2) -> Tensor:
    """-sum_t min(w A, clip(w) A) + (V - V- - A)^2 / 2, w = pi/pi-, A the trace's average: Schulman et al., 2017."""
    value, old = s.target.logsumexp(-1), taken(s.target, s.tokens)  # V-(s), V-(s) + log pi-(a|s)
    advantage = (n_step(s, value, gamma, s.tokens.shape[1], trace) - old) * s.mask
    weight = (s.logp - taken(s.target.log_softmax(-1), s.tokens)).exp()
    climb = torch.minimum(weight * advantage, weight.clamp(1 - clip, 1 + clip) * advantage)
    miss = s.values.logsumexp(-1) - value - advantage
    return ((miss.square() / 2 - climb) * s.mask).sum(-1)


def taken(rows: Tensor, tokens: Tensor) -> Tensor:
    """The entries (B, T) of `rows` (B, T, V) that belong to `tokens` (B, T)."""
    return rows.gather(-1, tokens[..., None])[..., 0]


def paired(totals: Tensor) -> Tensor:
    """(B,) -> (B,): of neighbours 0 and 1, 2 and 3, ... the first's less the second's, for both; 0 of one left over."""
    half = len(totals) // 2
    gaps = totals[: 2 * half : 2] - totals[1 : 2 * half : 2]
    return F.pad(gaps.repeat_interleave(2), (0, len(totals) - 2 * half))


def first(rows: Tensor, mask: Tensor) -> Tensor:
    """The entries (B, V) of `rows` (B, T, V) at each sequence's first chosen step."""
    return rows[torch.arange(len(rows), device=rows.device), mask.int().argmax(-1)]


def following(state_value: Tensor, mask: Tensor) -> Tensor:
    """(B, T) -> (B, T): the value of the next chosen step behind each step; 0 where none follows."""
    steps = mask.shape[1]
    place = torch.where(mask, torch.arange(steps, device=mask.device), steps)
    after = F.pad(place.flip(1).cummin(1).values.flip(1)[:, 1:], (0, 1), value=steps)
    return F.pad(state_value * mask, (0, 1)).gather(1, after)


def credited(reward: Tensor, mask: Tensor) -> Tensor:
    """(B, T) -> (B, T): what a step earned that the policy did not choose goes to the last one before that it did.

    Rewards before the first chosen step are the same whatever the policy does, and are left out.
    """
    place = torch.where(mask, torch.arange(mask.shape[1], device=mask.device), -1).cummax(1).values
    return torch.zeros_like(reward).scatter_add_(1, place.clamp(min=0), reward * (place >= 0))


def discounted(steps: Tensor, gamma: float) -> Tensor:
    """(B, T) -> (B, T): each step plus gamma times the sum that stands at the next."""
    total, sums = torch.zeros_like(steps[:, 0]), []
    for step in steps.flip(1).unbind(1):
        total = step + gamma * total
        sums.append(total)
    return torch.stack(sums, 1).flip(1)


def n_step(s: Steps, state_value: Tensor, gamma: float, span: int, trace: float) -> Tensor:
    """The average, with weights of trace^n, of the 1- to `span`-step targets (B, T), from V-(s); without gradient.

    With delta = gain + gamma * V-(s') - X-(s,a), a step's error under the target network (X is Q, Psi or G),

        y_t = gain_t + gamma * V-(s_{t+1}) + sum_{k=1}^{span-1} (gamma * trace)^k * delta_{t+k}

    At the fixed point every delta is 0 whatever the tokens were, so the data need not come from the policy. Span 1 is
    the paper's rule; a larger one brings a reward at the end to the first token in one update (path consistency,
    Nachum et al., 2017); trace = 1 keeps the longest target alone, 0 the shortest (Sutton, 1988).
    """
    single = (s.gain + gamma * following(state_value, s.mask)).detach()
    delta = (single - taken(s.target, s.tokens).detach()) * s.mask
    goal = single.clone()
    for k in range(1, min(span, s.mask.shape[1])):
        goal[:, :-k] += (gamma * trace) ** k * delta[:, k:]
    return goal


def square(gap: Tensor, huber: float) -> Tensor:
    """gap^2, and beyond `huber` nats the straight line that goes on from there (Huber, 1964); infinite: never.

    It keeps a disaster, an invalid molecule 80 nats below the others, from drowning what its batch has to say: a gap
    pulls no harder than one of `huber` nats does. It moves no fixed point, where every gap is zero on every path.
    """
    return 2 * F.huber_loss(gap, torch.zeros_like(gap), reduction="none", delta=huber)


def step_gaps(gap: Tensor, mask: Tensor, huber: float) -> Tensor:
    """The squared gaps (B, T), summed over chosen steps and divided by the batch's mean number of them."""
    return (square(gap, huber) * mask).sum(-1) / mask.sum(-1).to(gap).mean()
