"""What a template bars leaves both models as they are given that: against every sequence of a world, by plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from exact import LENGTH, MOVES, VOCABULARY, loss_of, world
from letters import A, B, C, LettersDomain, new_model

from seqtutor import EOS, PAD, Template, UserError
from seqtutor.config import TrainConfig
from seqtutor.objectives.losses import credited
from seqtutor.priors.model import FORBIDDEN
from seqtutor.priors.sampling import compared, sample
from seqtutor.priors.script import Holes, barring, chosen, within
from seqtutor.rewards.distilled import Distilled
from seqtutor.training.tuner import Tuner
from seqtutor.vocabulary import BOS

# Chosen up to the c that no a has opened, and that c; a b that nobody chooses; chosen to the end, without b.
TEMPLATE = Template((None, "c", "b", None), "a", "c", frozenset("ab"), (frozenset(), frozenset("b")))
SCRIPT = Holes(TEMPLATE, VOCABULARY)


def allowed(prefix):
    """The tokens that may follow, and whether a model chooses among them."""
    hole, depth, length, forced = 1, 0, 0, False
    for a in prefix:
        if forced:
            forced = False
        elif hole == 1 and a == C and depth == 0:
            hole, length, forced = 2, 0, True
        else:
            depth += {A: 1, C: -1}.get(a, 0)
            length += 1
    if forced:
        return [B], False
    never = {EOS} if hole == 1 else {B, C} if depth == 0 else {B}
    never |= set() if length else {C, EOS}
    return [a for a in MOVES if a not in never], True


def every(prefix=()):
    """Every sequence that the template allows, finished or cut off."""
    if len(prefix) == LENGTH or prefix[-1:] == (EOS,):
        return [prefix]
    return [x for a in allowed(prefix)[0] for x in every((*prefix, a))]


def logp(row, prefix, a):
    """log p(a|prefix), nats, of a row (V,) of log-probabilities, given what is allowed; 0 of what nobody chooses."""
    options, free = allowed(prefix)
    return float(row[a] - np.logaddexp.reduce([row[b] for b in options])) if free else 0.0


def along(rows, x):
    return math.fsum(logp(rows(x[:t]), x[:t], a) for t, a in enumerate(x))


def padded(sequences):
    return torch.tensor([[*x, *[PAD] * (LENGTH - len(x))] for x in sequences])


def test_the_template_of_this_test_is_that_of_the_code():
    tokens = padded(every())
    barred, free = barring(SCRIPT, tokens), chosen(SCRIPT, tokens)
    assert len(tokens) > 15
    for i, x in enumerate(every()):
        for t in range(len(x)):
            options, chooses = allowed(x[:t])
            assert bool(free[i, t]) == chooses
            assert not chooses or [a for a in MOVES if not barred[i, t, a]] == options
            assert chooses or not barred[i, t].any()


def test_both_models_are_compared_given_what_the_template_bars():
    policy, prior = new_model(seed=3).double(), new_model(seed=4).double()
    sequences = every()
    tokens = padded(sequences)
    with torch.no_grad():
        rows = {model: model(tokens).numpy() for model in (policy, prior)}
    totals = []
    for model in (policy, prior):
        totals.append(
            [math.fsum(logp(rows[model][i, t], x[:t], a) for t, a in enumerate(x)) for i, x in enumerate(sequences)]
        )
    log_policy, log_prior, kl = (part.numpy() for part in compared(policy, prior, tokens, SCRIPT))
    np.testing.assert_allclose(log_policy, totals[0], atol=1e-9)
    np.testing.assert_allclose(log_prior, totals[1], atol=1e-9)
    assert np.exp(log_policy).sum() == pytest.approx(1.0)
    assert np.exp(log_prior).sum() == pytest.approx(1.0)
    expected = float((np.exp(log_policy) * (log_policy - log_prior)).sum())
    assert float((np.exp(log_policy) * kl).sum()) == pytest.approx(expected, rel=1e-9)


def test_a_sample_is_told_with_what_it_is_compared_with():
    policy, prior = new_model(seed=3), new_model(seed=4)
    rollout = sample(policy, prior, 300, LENGTH, torch.Generator().manual_seed(0), SCRIPT)
    log_policy, log_prior, kl = compared(policy, prior, rollout.tokens, SCRIPT)
    torch.testing.assert_close(rollout.logp.sum(1), log_policy, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rollout.prior_logp.sum(1), log_prior, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rollout.kl.sum(1), kl, atol=1e-4, rtol=1e-4)
    same = sample(prior, prior, 300, LENGTH, torch.Generator().manual_seed(0), SCRIPT)
    assert same.kl.abs().max() < 1e-5  # the prior itself has no distance from the prior


def exact(w):
    """pi* over `every()`, and a table (prefixes, V) of V(s) + log pi*(.|s) that also likes what is barred."""
    sequences = every()
    net = {
        x: along(w.prior.__getitem__, x) + math.fsum(w.reward[x[:t]][a] for t, a in enumerate(x)) / w.temperature
        for x in sequences
    }
    log_z = np.logaddexp.reduce(list(net.values()))
    rng, rows = np.random.default_rng(7), []
    for prefix in w.prefixes:
        options = allowed(prefix)[0]
        row = rng.normal(size=len(VOCABULARY)) + 1.0
        row[[PAD, BOS]] = FORBIDDEN
        after = {a: [net[x] for x in sequences if x[: len(prefix) + 1] == (*prefix, a)] for a in options}
        if all(after.values()):  # a prefix that the template allows
            behind = along(w.prior.__getitem__, prefix) if prefix else 0.0
            behind += math.fsum(w.reward[prefix[:t]][a] for t, a in enumerate(prefix)) / w.temperature
            row[options] = [np.logaddexp.reduce(after[a]) for a in options]
            value = np.logaddexp.reduce(row[options])
            row[options] -= value
            row += value - behind - np.logaddexp.reduce(row)
        rows.append(row)
    return np.exp(np.array(list(net.values())) - log_z), torch.from_numpy(np.array(rows)), log_z


@pytest.mark.parametrize("kind", ["psi", "tb", "vargrad", "ipo"])
def test_the_loss_is_zero_where_the_policy_given_what_is_barred_is_the_optimum(kind):
    w = world(1, only_at_end=kind == "tb")
    optimum, table, log_z = exact(w)
    tokens, sequences = padded(every()), every()
    index = {prefix: i for i, prefix in enumerate(w.prefixes)}
    prefix = torch.tensor([[index[x[: min(t, len(x) - 1)]] for t in range(LENGTH)] for x in sequences])
    reward = torch.zeros(tokens.shape, dtype=torch.float64)
    for i, x in enumerate(sequences):
        reward[i, : len(x)] = torch.tensor([w.reward[x[:t]][a] for t, a in enumerate(x)])
    mask, barred = chosen(SCRIPT, tokens), barring(SCRIPT, tokens)
    rows = within(table[prefix], barred)
    prior = within(w.rows(w.prior)[prefix], barred).gather(-1, tokens[..., None])[..., 0] * mask
    numbers = {"span": 3} if kind == "psi" else {}
    parts = (prior, tokens, credited(reward, mask), mask)
    loss = loss_of(kind, rows, rows, *parts, temperature=w.temperature, **numbers)
    assert loss.max() < 1e-18
    own = (rows.log_softmax(-1).gather(-1, tokens[..., None])[..., 0] * mask).sum(-1).exp()
    np.testing.assert_allclose(own.numpy(), optimum, rtol=1e-9)
    assert rows[0, 0].logsumexp(-1).item() == pytest.approx(log_z)
    unbarred = loss_of(kind, table[prefix], table[prefix], *parts, temperature=w.temperature, **numbers)
    assert unbarred.max() > 1e-3


class Told(LettersDomain):
    """Words with a template."""

    def template(self):
        return TEMPLATE


@pytest.mark.parametrize("objective", ["tb", "g", "ppo"])
def test_a_run_learns_the_policy_and_the_prior_given_what_is_barred(objective):
    tuner = Tuner(Told(), TrainConfig(domain="letters", objective=objective, rollouts=16), new_model(seed=5))
    seen = []

    class Seen:
        def __getattr__(self, name):
            return getattr(inner, name)

        def __call__(self, steps, **numbers):
            seen.append(steps)
            return inner(steps, **numbers)

    inner, tuner.objective = tuner.objective, Seen()
    tuner.step()
    tuner.step()
    values, target, prior_logp, tokens, _, mask, _ = seen[0]
    barred = barring(SCRIPT, tokens)
    wanted = (within(tuner.prior(tokens), barred).gather(-1, tokens[..., None])[..., 0] * mask).detach()
    torch.testing.assert_close(prior_logp, wanted, atol=1e-4, rtol=1e-4)
    for rows in (values, target):
        assert (rows.log_softmax(-1)[barred] < -1e6).all()


def test_a_run_with_a_template_is_no_term_of_another(monkeypatch, tmp_path):
    """What it paid was log pi - log p of all tokens, those that it was given among them."""
    monkeypatch.setattr("seqtutor.runs.folder.open_run", lambda folder: (TrainConfig(domain="letters"), Told()))
    with pytest.raises(UserError, match="was tuned with a template, such as a scaffold: what it learnt is said of"):
        Distilled(tmp_path, LettersDomain()).open()
