"""The objectives: each a function of tensors that can be laid beside its equation; same arguments, same order.

s = the tokens so far, a = the token taken, p = the prior, r = the reward of that step, c = its temperature; a minus
marks the target network. After the end the next value is 0. Shapes: B sequences, T steps, V tokens.

    values     (B, T, V)  what the network says of every next token: Q, Psi or G
    target     (B, T, V)  the same from the target network; carries no gradient
    log_prior  (B, T, V)  log p(.|s), nats; carries no gradient
    tokens     (B, T)     the token taken
    reward     (B, T)     the reward of each step
    mask       (B, T)     True up to and including the last real token

Every one returns the mean over real steps of the squared gap between the two sides of its equation (see `gap`).

All three are soft or hard dynamic programming over `span` steps. With delta = u + gamma * V-(s') - X-(s,a), the error
of a single step under the target network (X is Q, Psi or G; u its immediate gain), the n-step target is

    y_t = u_t + gamma * V-(s_{t+1}) + sum_{k=1}^{n-1} gamma^k * delta_{t+k}

At the fixed point every delta is 0 whatever the tokens were, so the data need not come from the policy. n = 1 is the
paper's rule (Jaques et al., ICML 2017, eq. 6, 8, 9); a larger n brings a reward at the end to the first token in one
update (path consistency, Nachum et al., 2017).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
) -> Tensor:
    """Q-learning with the prior as a reward: Q(s,a) <- log p(a|s) + r/c + gamma * max_a' Q-(s',a')."""
    gain = taken(log_prior, tokens) + reward / temperature
    goal = n_step(gain, target.amax(-1), taken(target, tokens), mask, gamma, span)
    return gap(taken(values, tokens), goal, mask)


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
) -> Tensor:
    """Psi-learning: Psi(s,a) <- log p(a|s) + r/c + gamma * logsumexp_a' Psi-(s',a')."""
    gain = taken(log_prior, tokens) + reward / temperature
    goal = n_step(gain, target.logsumexp(-1), taken(target, tokens), mask, gamma, span)
    return gap(taken(values, tokens), goal, mask)


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
) -> Tensor:
    """G-learning: G(s,a) <- r/c + gamma * logsumexp_a' [ log p(a'|s') + G-(s',a') ]."""
    gain = reward / temperature
    goal = n_step(gain, (log_prior + target).logsumexp(-1), taken(target, tokens), mask, gamma, span)
    return gap(taken(values, tokens), goal, mask)


FAR = 2.0  # nats
OBJECTIVES = {"q": q, "psi": psi, "g": g}


def taken(rows: Tensor, tokens: Tensor) -> Tensor:
    """The entries (B, T) of `rows` (B, T, V) that belong to `tokens` (B, T)."""
    return rows.gather(-1, tokens[..., None])[..., 0]


def n_step(gain: Tensor, state_value: Tensor, taken_value: Tensor, mask: Tensor, gamma: float, span: int) -> Tensor:
    """The n-step target y (B, T) of the module's docstring; without gradient. All arguments (B, T)."""
    following = F.pad((state_value * mask)[:, 1:], (0, 1))  # V-(s'), 0 after the end
    single = (gain + gamma * following).detach()
    delta = (single - taken_value.detach()) * mask
    goal = single.clone()
    for k in range(1, min(span, mask.shape[1])):
        goal[:, :-k] += gamma**k * delta[:, k:]
    return goal


def gap(values: Tensor, goal: Tensor, mask: Tensor) -> Tensor:
    """Mean over real steps of (values - goal)^2, a straight line beyond FAR; scalar.

    The line (Huber, 1964) keeps one disaster, an invalid molecule 20 nats below the others, from drowning what its
    batch has to say. It moves no fixed point: there every gap is zero, on every path.
    """
    return (2 * F.huber_loss(values, goal, reduction="none", delta=FAR) * mask).sum() / mask.sum()
