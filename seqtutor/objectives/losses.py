"""The losses: each a function of tensors that can be laid beside its equation; same arguments, same order.

s = the tokens so far, a = the token taken, p = the prior, pi = the policy, r = the reward of that step, c = its
temperature; a minus marks the target network. After the end the next value is 0. B sequences, T steps, V tokens:

    values      (B, T, V)  what the policy says of every next token: V(s) + log pi(.|s), called Q or Psi
    target      (B, T, V)  the same from what it is compared with; carries no gradient
    prior_logp  (B, T)     log p(a|s), nats; carries no gradient
    tokens      (B, T)     the token taken
    reward      (B, T)     the reward of each step
    mask        (B, T)     True at the steps that the policy chose: not at given ones, nor after the end

Every one returns the loss of each sequence (B,). All of them move pi towards the one maximum of

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

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtutor.objectives import HUBER


def q(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
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
    gain = prior_logp + reward / temperature
    goal = n_step(gain, target.amax(-1), taken(target, tokens), mask, gamma, span, trace)
    return step_gaps(taken(values, tokens) - goal, mask, huber)


def psi(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
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
    """Psi(s,a) <- log p(a|s) + r/c + gamma * logsumexp_a' Psi-(s',a'): Jaques et al., ICML 2017, eq. 8.

    With Psi = log p + G it is their eq. 9, G(s,a) <- r/c + gamma * logsumexp_a' [log p(a'|s') + G-(s',a')].
    """
    gain = prior_logp + reward / temperature
    goal = n_step(gain, target.logsumexp(-1), taken(target, tokens), mask, gamma, span, trace)
    return step_gaps(taken(values, tokens) - goal, mask, huber)


def tb(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    huber: float = HUBER,
) -> Tensor:
    """(log Z - sum d)^2, log Z = V(s_0) learnt: trajectory balance relative to a prior, Malkin et al., NeurIPS 2022."""
    log_z = first(values, mask).logsumexp(-1)
    net = net_reward(values, prior_logp, tokens, reward, mask, temperature)
    return square(log_z - net.sum(-1), huber)


def vargrad(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """(mean_batch[sum d] - sum d)^2 * B/(B-1), the variance of sum d: Richter et al., NeurIPS 2020."""
    net = net_reward(values, prior_logp, tokens, reward, mask, temperature).sum(-1)
    return (net.mean() - net).square() * len(net) / max(1, len(net) - 1)


def dpg(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """(log mean_batch[exp sum d] - sum d), whose gradient is -(w - 1) grad log pi: Korbak et al., NeurIPS 2022."""
    net = net_reward(values, prior_logp, tokens, reward, mask, temperature).sum(-1)
    return net.logsumexp(0) - math.log(len(net)) - net


def dpo(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """KL( sigmoid(D) || sigmoid(h) ) of each pair of neighbours: Rafailov et al., NeurIPS 2023, with soft labels.

    h is how much more log pi - log p the first has than the second, D how much more R/c: the log-odds of Bradley and
    Terry that it is preferred. Votes of which the answer is sure are D = inf, -log sigmoid(h), and have no optimum.
    """
    miss = paired(net_reward(values, prior_logp, tokens, reward, mask, temperature).sum(-1))  # D - h
    odds = paired((reward * mask).sum(-1)) / temperature  # D
    return F.softplus(odds - miss) - F.softplus(odds) + odds.sigmoid() * miss


def ipo(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """(D - h)^2 of each pair of neighbours, twice `vargrad` of the two: Azar et al., AISTATS 2024, of margin D."""
    return paired(net_reward(values, prior_logp, tokens, reward, mask, temperature).sum(-1)).square()


def reinvent(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """(0 - sum d)^2, the augmented likelihood with sigma = 1/c: Olivecrona et al., J. Cheminformatics 2017."""
    net = net_reward(values, prior_logp, tokens, reward, mask, temperature)
    return net.sum(-1).square()


def reinforce(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
    tokens: Tensor,
    reward: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    gamma: float = 1.0,
) -> Tensor:
    """-sum_t log pi(a_t|s_t) * (sum_{k>=t} gamma^(k-t) d_k - the other sequences' mean of it): Kool et al., 2019."""
    net = net_reward(values, prior_logp, tokens, reward, mask, temperature).detach()
    to_go = discounted(net, gamma)
    others = (to_go.sum(0) - to_go) / max(1, len(to_go) - 1)
    return -(taken(values.log_softmax(-1), tokens) * (to_go - others) * mask).sum(-1)


def ppo(
    values: Tensor,
    target: Tensor,
    prior_logp: Tensor,
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
    gain = prior_logp + reward / temperature
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
    values: Tensor, prior_logp: Tensor, tokens: Tensor, reward: Tensor, mask: Tensor, temperature: float
) -> Tensor:
    """The d (B, T) of the module's docstring, nats: log p + r/c - log pi of a chosen token; 0 elsewhere."""
    log_ratio = prior_logp - taken(values.log_softmax(-1), tokens)
    return torch.where(mask, log_ratio + reward / temperature, 0.0)


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
    single = (gain + gamma * following(state_value, mask)).detach()
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
    """The squared gaps (B, T), summed over chosen steps and divided by the batch's mean number of them."""
    return (square(gap, huber) * mask).sum(-1) / mask.sum(-1).to(gap).mean()
