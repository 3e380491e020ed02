"""What an offline learner must reach, on a world that is enumerated: notes beside each test."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from exact import LENGTH, MOVES, VOCABULARY, kl, loss_of, world

from seqtutor import EOS

OFF_POLICY = ("tb", "vargrad", "dpg", "psi")


def fit(objective, w, seen, reward, steps=300):
    """Pi over all words that an objective finds in a table, from the words that are `seen`."""
    b, rows = w.batch(), w.rows(w.prior)
    table = rows.log_softmax(-1).clone().requires_grad_(True)
    state = torch.zeros(len(rows), 1, dtype=torch.float64, requires_grad=True)
    weight = seen.double()
    if objective in ("vargrad", "dpg"):
        keep = weight > 0
        b, weight, reward = {k: v[keep] for k, v in b.items()}, weight[keep], reward[keep]

    def closure():
        optimiser.zero_grad()
        values = state[b["prefix"]] + table.log_softmax(-1)[b["prefix"]]
        target = anchor[b["prefix"]]
        numbers = {"temperature": w.temperature, **({"huber": math.inf} if objective in ("tb", "psi") else {})}
        parts = (values, target, b["prior_logp"], b["tokens"], reward, b["mask"])
        loss = (loss_of(objective, *parts, **numbers) * weight).mean()
        loss.backward()
        return loss

    for _ in range(LENGTH + 1 if objective == "psi" else 1):
        anchor = (state + table.log_softmax(-1)).detach()
        optimiser = torch.optim.LBFGS(
            [table, state], max_iter=steps, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
        )
        optimiser.step(closure)
    return np.exp(w.score_all(table.log_softmax(-1).detach()))


@pytest.fixture
def at_the_end():
    """A world whose reward is that of the finished word, and the reward (words, T) less the mean of those seen."""
    w = world(3, only_at_end=True)
    type(w).score_all = lambda self, rows: [
        self.score(dict(zip(self.prefixes, rows.numpy(), strict=True)), x) for x in self.sequences
    ]
    return w


@pytest.mark.parametrize("objective", OFF_POLICY)
def test_with_every_word_in_the_record_each_objective_reaches_the_optimum(objective, at_the_end):
    w = at_the_end
    found = fit(objective, w, torch.ones(len(w.sequences), dtype=torch.bool), w.batch()["reward"])
    assert kl(found, w.optimum()) < 1e-6


def psi_table(w, reward, seen, target_of):
    """A table of Psi whose seen entries are set to their one-step target until nothing moves; from log p on."""
    table = {prefix: row.copy() for prefix, row in w.prior.items()}
    for _ in range(LENGTH + 1):
        for x, r, known in zip(w.sequences, reward, seen, strict=True):
            for t, a in enumerate(x):
                if known:
                    table[x[:t]][a] = target_of(table, x, t, r if t + 1 == len(x) else 0.0)
    return table


def after(table, x, t):
    if t + 1 == len(x):
        return 0.0
    return float(np.logaddexp.reduce(table[x[: t + 1]][list(MOVES)]))


def policy_of(w, table):
    logs = {prefix: row - np.logaddexp.reduce(row[list(MOVES)]) for prefix, row in table.items()}
    return w.probabilities(logs)


def part_seen(w, share=0.3):
    rng = np.random.default_rng(1)
    seen = rng.random(len(w.sequences)) < share
    totals = np.array([w.score(w.reward, x) for x in w.sequences])
    return seen, totals


def test_one_step_psi_from_the_prior_is_the_optimum_with_unseen_words_at_the_centre(at_the_end):
    w = at_the_end
    seen, totals = part_seen(w)
    centre = totals[seen].mean()
    table = psi_table(
        w, totals - centre, seen, lambda q, x, t, r: w.prior[x[:t]][x[t]] + r / w.temperature + after(q, x, t)
    )
    logits = np.array([w.score(w.prior, x) for x in w.sequences]) + np.where(seen, totals, centre) / w.temperature
    wanted = np.exp(logits - np.logaddexp.reduce(logits))
    np.testing.assert_allclose(policy_of(w, table), wanted, rtol=1e-8)


def test_the_released_target_of_way_off_policy_raises_the_prior_to_c_over_1_plus_c_and_ours_does_not():
    """neural_chat, `--psi_learning --kl_control`: r + c (log p - log softmax Psi) + logsumexp Psi-: entropy twice."""
    w = world(3, only_at_end=True, temperature=0.5)
    c, totals = w.temperature, np.array([w.score(w.reward, x) for x in w.sequences])
    seen = np.ones(len(totals), bool)

    def theirs(q, x, t, r):
        log_pi = q[x[:t]] - np.logaddexp.reduce(q[x[:t]][list(MOVES)])
        return r + c * (w.prior[x[:t]][x[t]] - log_pi[x[t]]) + after(q, x, t)

    table = {prefix: row.copy() for prefix, row in w.prior.items()}
    for _ in range(200):  # damped: their target moves with the policy
        aims = {(x[:t], x[t]): theirs(table, x, t, r if t + 1 == len(x) else 0.0)
                for x, r in zip(w.sequences, totals, strict=True) for t in range(len(x))}  # fmt: skip
        for (prefix, a), aim in aims.items():
            table[prefix][a] += 0.7 * (aim - table[prefix][a])
    logs, values = {}, {}
    for prefix in reversed(w.prefixes):  # pi ~ p^(c/(1+c)) exp((r + V')/(1+c)), by backward recursion
        row = np.full(len(VOCABULARY), -np.inf)
        for a in MOVES:
            x = (*prefix, a)
            ends = a == EOS or len(x) == LENGTH
            gain = w.reward[prefix][a] if ends else values[x]
            row[a] = (c * w.prior[prefix][a] + gain) / (1 + c)
        logs[prefix] = row - np.logaddexp.reduce(row[list(MOVES)])
        values[prefix] = (1 + c) * np.logaddexp.reduce(row[list(MOVES)])
    np.testing.assert_allclose(policy_of(w, table), w.probabilities(logs), rtol=1e-6)
    ours = psi_table(w, totals, seen, lambda q, x, t, r: w.prior[x[:t]][x[t]] + r / c + after(q, x, t))
    assert kl(policy_of(w, ours), w.optimum()) < 1e-12
    assert kl(policy_of(w, table), w.optimum()) > 0.05


def test_the_certificate_holds_in_a_hundred_worlds():
    for seed in range(100):
        w = world(seed)
        seen, totals = part_seen(w, 0.2)
        least = totals.min()
        logits = np.array([w.score(w.prior, x) for x in w.sequences])
        tilted = logits + np.where(seen, totals, least) / w.temperature
        log_z = np.logaddexp.reduce(tilted)
        pi = np.exp(tilted - log_z)
        j = pi @ totals - w.temperature * kl(pi, np.exp(logits))
        assert j >= w.temperature * log_z - 1e-12


def test_where_another_speaker_answers_one_step_psi_is_right_and_tb_is_not():
    """I say a, the other says u by chance, I say b: no policy makes every path consistent, and tb fits all of them."""
    rng, c = np.random.default_rng(8), 0.5
    log_prior = torch.from_numpy(rng.normal(size=(5, 2))).log_softmax(-1)  # before a; before b, after each (a, u)
    answer, reward = np.array([[0.5, 0.5], [0.99, 0.01]]), rng.normal(size=(2, 2, 2)) * 1.5
    paths = list(product(range(2), repeat=3))
    place = torch.tensor([[0, 0, 1 + 2 * a + u] for a, u, _ in paths])
    tokens, mask = torch.tensor(paths), torch.tensor([[True, False, True]] * 8)
    prior_logp = log_prior[place].gather(-1, tokens[..., None])[..., 0] * mask
    pay = torch.zeros(8, 3, dtype=torch.float64)
    pay[:, 2] = torch.tensor([reward[path] for path in paths])
    weight = torch.tensor([answer[a, u] for a, u, _ in paths]) * prior_logp.sum(-1).exp()

    value_b = np.logaddexp.reduce(log_prior[1:].numpy() + reward.reshape(4, 2) / c, axis=-1).reshape(2, 2)
    exact = log_prior[0].numpy() + (answer * value_b).sum(-1)  # the mean over answers of the value behind each
    exact = np.exp(exact - np.logaddexp.reduce(exact))

    def found(objective):
        table = log_prior.clone().requires_grad_(True)
        for _ in range(3):
            target = table.detach().clone()
            optimiser = torch.optim.LBFGS([table], max_iter=500, tolerance_grad=1e-14, line_search_fn="strong_wolfe")

            def loss(optimiser=optimiser, target=target):
                optimiser.zero_grad()
                parts = (table[place], target[place], prior_logp, tokens, pay, mask)
                out = (loss_of(objective, *parts, temperature=c, huber=math.inf) * weight).sum()
                out.backward()
                return out

            optimiser.step(loss)
        return table.detach()[0].softmax(-1).numpy()

    assert kl(exact, found("psi")) < 1e-10
    assert kl(exact, found("tb")) > 0.01


def test_our_psi_on_a_free_table_finds_the_same_and_keeps_the_prior_where_nothing_was_seen(at_the_end):
    """The loss itself, on the words seen alone: `psi_table` above is only what it should come to."""
    w = at_the_end
    seen, totals = part_seen(w)
    centre, b = totals[seen].mean(), w.batch()
    b = {key: part[torch.from_numpy(seen)] for key, part in b.items()}
    real = b["mask"]
    last = real & ~torch.nn.functional.pad(real[:, 1:], (0, 1))
    reward = b["reward"] - centre * last
    table = w.rows(w.prior).clone().requires_grad_(True)
    for _ in range(LENGTH + 1):
        target = table.detach().clone()
        optimiser = torch.optim.LBFGS([table], max_iter=300, tolerance_grad=1e-14, line_search_fn="strong_wolfe")

        def loss(optimiser=optimiser, target=target):
            optimiser.zero_grad()
            parts = (table[b["prefix"]], target[b["prefix"]], b["prior_logp"], b["tokens"], reward, real)
            out = loss_of("psi", *parts, temperature=w.temperature, huber=math.inf).sum()
            out.backward()
            return out

        optimiser.step(loss)
    rows = dict(zip(w.prefixes, table.detach().log_softmax(-1).numpy(), strict=True))
    logits = np.array([w.score(w.prior, x) for x in w.sequences]) + np.where(seen, totals, centre) / w.temperature
    wanted = np.exp(logits - np.logaddexp.reduce(logits))
    assert kl(w.probabilities(rows), wanted) < 1e-8
