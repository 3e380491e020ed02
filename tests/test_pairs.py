"""Objectives on pairs: over all pairs of the enumerated world their one optimum is pi* of the true utility."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from exact import MOVES, kl, world
from test_objectives import of_words, table_policy

from seqtutor.objectives.losses import Steps, dpo, paired


def every_pair(w):
    """All pairs of the sequences of a world, side by side."""
    return [i for pair in combinations(range(len(w.sequences)), 2) for i in pair]


@pytest.mark.parametrize("name", ["dpo", "ipo"])
def test_the_optimum_over_all_pairs_is_that_of_the_utility(name, monkeypatch):
    monkeypatch.setattr("exact.LENGTH", 3)
    w = world(4)
    rows, b = every_pair(w), w.batch()
    logits = w.rows(w.prior).clone().requires_grad_()
    optimiser = torch.optim.LBFGS([logits], max_iter=2000, tolerance_grad=1e-13, tolerance_change=0,
                                  history_size=50, line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        optimiser.zero_grad()
        total = of_words(name, w, logits.log_softmax(-1), rows, b).mean()
        total.backward()
        return total

    optimiser.step(closure)
    log_rows = logits.detach().log_softmax(-1).numpy()
    found = w.probabilities(dict(zip(w.prefixes, log_rows, strict=True)))
    assert kl(found, w.optimum()) < 1e-8
    assert abs(found - w.optimum()).max() < 1e-6


@pytest.mark.parametrize("name", ["dpo", "ipo"])
def test_over_all_pairs_the_loss_is_zero_at_the_optimum_and_only_there(name):
    w = world(2)
    rows, exact = every_pair(w), w.rows(w.values("psi"))
    assert of_words(name, w, exact, rows).abs().max() < 1e-10
    for prefix in range(0, len(w.prefixes), 7):
        moved = exact.clone()
        moved[prefix, MOVES[0]] += 0.1
        assert of_words(name, w, moved, rows).mean() > 1e-6


def test_dpo_is_the_cross_entropy_of_the_votes_that_the_utility_gives_less_their_entropy():
    w = world(3)
    logits, values, logp = table_policy(w)
    rows, b = [5, 50, 7, 70], w.batch()
    odds = logp - (b["prior_logp"] * b["mask"]).sum(-1)
    utility = (b["reward"] * b["mask"]).sum(-1) / w.temperature
    losses = of_words("dpo", w, values, rows, b)
    for row, (i, j) in enumerate([(5, 50), (7, 70)]):
        p, h = (utility[i] - utility[j]).sigmoid(), odds[i] - odds[j]
        cross = -p * torch.nn.functional.logsigmoid(h) - (1 - p) * torch.nn.functional.logsigmoid(-h)
        entropy = -p * p.log() - (1 - p) * (1 - p).log()
        torch.testing.assert_close(losses[2 * row], cross - entropy, rtol=0, atol=1e-12)
        torch.testing.assert_close(losses[2 * row], losses[2 * row + 1])
    sure = {**b, "reward": b["reward"].clone()}
    sure["reward"][5, 0] += 50.0  # the first wins for certain: the loss of the paper, -log sigmoid(h)
    (first, *_) = of_words("dpo", w, values, rows, sure)
    wanted = -torch.nn.functional.logsigmoid(odds[5] - odds[50])
    torch.testing.assert_close(first, wanted, rtol=0, atol=1e-8)
    assert logits.requires_grad


def test_ipo_is_twice_vargrad_of_two():
    w = world(6)
    _, values, _ = table_policy(w)
    for rows in ([3, 30], [8, 80]):
        ipo, vargrad = (of_words(name, w, values, rows).mean() for name in ("ipo", "vargrad"))
        torch.testing.assert_close(ipo, 2 * vargrad)


def test_one_left_over_has_no_pair_and_no_loss():
    assert paired(torch.tensor([5.0, 2.0, 9.0])).tolist() == [3.0, 3.0, 0.0]
    assert paired(torch.tensor([5.0])).tolist() == [0.0]
    one = torch.zeros(1, 2, 6)
    parts = one, one, torch.zeros(1, 2), torch.full((1, 2), 3), torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool)
    assert dpo(Steps(*parts, temperature=1.0)).tolist() == [0.0]
    assert math.isfinite(dpo(Steps(*parts, temperature=1e-9)).item())
