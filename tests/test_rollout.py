"""Sampling and the KL estimators, against probabilities of an enumerated world."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from letters import A, B, C, every, log_probabilities, new_model

from seqtutor import BOS, EOS, PAD
from seqtutor.hardware import learns_narrow
from seqtutor.objectives.optimum import best_of_n_kl
from seqtutor.priors import sampling
from seqtutor.priors.policies import TiltedModel
from seqtutor.priors.sampling import exact_kl, sample, sample_tokens
from seqtutor.priors.script import Fixed

LENGTH, MANY = 4, 20_000
PRIOR = new_model(seed=0)
POLICIES = {
    "sequence": new_model(seed=1),
    "tilted": TiltedModel(PRIOR, new_model(seed=2, spread=1.5)),
    "deep": new_model(seed=3, layers=2),
    "fixed": new_model(seed=4, fixed_length=True),
}
KINDS = pytest.mark.parametrize("kind", POLICIES)


in_narrow = pytest.mark.skipif(not learns_narrow("cpu"), reason="this processor has no LSTM in bfloat16")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def counts(tokens, sequences):
    """How often each of `sequences` occurs among the rows of `tokens`."""
    wide = torch.nn.functional.pad(tokens, (0, sequences.shape[1] - tokens.shape[1]), value=PAD)
    index = {tuple(row): i for i, row in enumerate(sequences.tolist())}
    return np.bincount([index[tuple(row)] for row in wide.tolist()], minlength=len(index))


def assert_drawn_from(observed, probabilities):
    """Pearson's chi-square; cells of an expectation under 5 are taken together."""
    expected = observed.sum() * probabilities
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    known = expected > 0
    assert not observed[~known].any()
    statistic = ((observed[known] - expected[known]) ** 2 / expected[known]).sum()
    freedom = known.sum() - 1
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


@KINDS
def test_a_sequence_is_letters_then_one_end_then_padding(kind):
    fixed = kind == "fixed"
    rollout = sample(POLICIES[kind], PRIOR, 500, LENGTH, seeded())
    endings = set()
    for tokens, mask, truncated in zip(rollout.tokens.tolist(), rollout.mask.tolist(), rollout.truncated, strict=True):
        length = tokens.index(EOS) + 1 if EOS in tokens else len(tokens)
        assert set(tokens[: length - 1]) <= {A, B, C}
        assert tokens[length:] == [PAD] * (len(tokens) - length)
        assert mask == [True] * length + [False] * (len(tokens) - length)
        assert bool(truncated) == (EOS not in tokens and not fixed)
        assert fixed <= (EOS not in tokens and length == LENGTH)
        endings.add(tokens[length - 1] == EOS)
    assert endings == ({False} if fixed else {True, False})


def test_the_batch_is_as_long_as_its_longest_sequence():
    model = new_model(seed=1)
    with torch.no_grad():
        model.head.bias[EOS] += 20  # ends at once
    rollout = sample(model, PRIOR, 50, 30, seeded())
    assert rollout.tokens.shape == (50, 1)
    assert rollout.prior_logp.shape == (50, 1)
    assert not rollout.truncated.any()


@KINDS
def test_log_probabilities_are_those_of_a_forward_pass_over_the_sampled_tokens(kind):
    policy = POLICIES[kind]
    rollout = sample(policy, PRIOR, 300, LENGTH, seeded())
    with torch.no_grad():
        ours, priors = (
            model(rollout.tokens).gather(-1, rollout.tokens[..., None])[..., 0] for model in (policy, PRIOR)
        )
    torch.testing.assert_close(rollout.logp, ours * rollout.mask, rtol=0, atol=1e-5)
    torch.testing.assert_close(rollout.prior_logp, priors * rollout.mask, rtol=0, atol=1e-5)
    assert (rollout.logp <= 0).all()
    assert (rollout.logp[~rollout.mask] == 0).all()
    assert (rollout.prior_logp[~rollout.mask] == 0).all()
    assert (rollout.kl[~rollout.mask] == 0).all()


@KINDS
def test_sequences_come_as_often_as_their_probability_says(kind):
    """Rows that end leave the batch while others go on: a state given to the wrong row would show here."""
    sequences = every(LENGTH, fixed_length=kind == "fixed")
    probabilities = log_probabilities(POLICIES[kind], sequences).exp().numpy()
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    tokens = sample_tokens(POLICIES[kind], MANY, LENGTH, seeded())
    assert_drawn_from(counts(tokens, sequences), probabilities)


def test_sampling_temperature_is_that_of_the_softmax():
    policy = POLICIES["sequence"]
    tokens = sample_tokens(policy, MANY, 1, seeded(), temperature=0.5)
    logp = policy(torch.full((1, 1), A))[0, 0].detach().double()
    assert_drawn_from(np.bincount(tokens[:, 0], minlength=6), (2 * logp).softmax(-1).numpy())


def test_the_seed_decides_what_is_sampled():
    one, same, other = (sample_tokens(POLICIES["sequence"], 50, LENGTH, seeded(s)) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_global_randomness_is_neither_used_nor_changed():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one = sample_tokens(POLICIES["sequence"], 50, LENGTH, seeded())
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(one, sample_tokens(POLICIES["sequence"], 50, LENGTH, seeded()))


def test_looking_for_ends_rarely_changes_nothing(monkeypatch):
    """What a GPU does, where looking means waiting: ended rows stay for some steps, and write padding."""
    rarely = []
    for ahead in (1, 3):
        monkeypatch.setattr(sampling, "looks", lambda device, ahead=ahead: ahead)
        rarely.append(sample(POLICIES["sequence"], PRIOR, MANY, LENGTH, seeded()))
    sequences = every(LENGTH)
    probabilities = log_probabilities(POLICIES["sequence"], sequences).exp().numpy()
    for rollout in rarely:
        assert_drawn_from(counts(rollout.tokens, sequences), probabilities)
        assert (rollout.logp[~rollout.mask] == 0).all()


def test_a_primer_is_nobodys_choice():
    rollout = sample(POLICIES["sequence"], PRIOR, 50, LENGTH, seeded(), Fixed(torch.tensor([A, B])))
    assert (rollout.tokens[:, :2] == torch.tensor([A, B])).all()
    assert not rollout.mask[:, :2].any()
    assert rollout.mask[:, 2].all()
    assert (rollout.kl[:, :2] == 0).all()
    assert (rollout.logp[:, :2] == 0).all()


def test_a_rollout_cannot_be_changed():
    rollout = sample(POLICIES["sequence"], PRIOR, 2, LENGTH, seeded())
    with pytest.raises(dataclasses.FrozenInstanceError):
        rollout.tokens = rollout.tokens[:1]


def distributions(kind):
    """Log-probabilities of all sequences under the policy and the prior, float64."""
    sequences = every(LENGTH)
    return log_probabilities(POLICIES[kind], sequences), log_probabilities(PRIOR, sequences)


@pytest.mark.parametrize("kind", ["sequence", "tilted"])
def test_the_kl_estimate_has_the_enumerated_kl_as_its_mean(kind):
    ours, priors = distributions(kind)
    exact = float((ours.exp() * (ours - priors)).sum())
    assert exact > 0.3
    rollout = sample(POLICIES[kind], PRIOR, MANY, LENGTH, seeded())
    log_ratio, values = (rollout.logp - rollout.prior_logp).double().sum(-1), rollout.kl.double().sum(-1)
    error = float(values.std()) / math.sqrt(MANY)
    assert error < 0.1 * exact
    assert abs(float(values.mean()) - exact) < 4 * error
    assert values.std() < 0.7 * log_ratio.std()


def test_the_exact_kl_of_a_step_is_the_sum_over_its_tokens():
    policy = POLICIES["sequence"]
    rollout = sample(policy, PRIOR, 20, LENGTH, seeded())
    ours, priors = (model(rollout.tokens).detach().double().numpy() for model in (policy, PRIOR))
    for i, t in zip(*np.nonzero(rollout.mask.numpy()), strict=True):
        terms = [math.exp(ours[i, t, a]) * (ours[i, t, a] - priors[i, t, a]) for a in (EOS, A, B, C)]
        assert float(rollout.kl[i, t]) == pytest.approx(math.fsum(terms), abs=1e-5)


def test_kl_is_of_the_policy_from_the_prior_and_not_the_other_way_round():
    p, q = torch.tensor([0.9, 0.1]).double().log(), torch.tensor([0.5, 0.5]).double().log()
    assert exact_kl(p, q).item() == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
    assert exact_kl(q, p).item() == pytest.approx(0.5 * math.log(5 / 9) + 0.5 * math.log(5))


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_best_of_n_is_never_further_from_its_source_than_the_bound(n):
    """Best of n over all sequences, ranked: P(rank i is the best) = F(i)^n - F(i-1)^n."""
    _, priors = distributions("sequence")
    p = priors.exp().numpy()[np.random.default_rng(0).permutation(len(priors))]  # ranked by an unrelated reward
    cumulative = np.append(0, p.cumsum()) / p.sum()
    best = np.diff(cumulative**n)
    kl = float((best * np.log(best / np.diff(cumulative))).sum())
    assert kl <= best_of_n_kl(n) + 1e-12
    fine = np.linspace(0, 1, 100_001)
    limit = np.diff(fine**n)
    known = limit > 0
    assert float((limit[known] * np.log(limit[known] * 100_000)).sum()) == pytest.approx(best_of_n_kl(n), abs=1e-3)


def test_the_first_token_is_drawn_after_bos():
    """What a step sees first is BOS: the frequencies of first tokens are those of the forward pass at t = 0."""
    policy = POLICIES["deep"]
    after_bos, _ = policy.stepper()(torch.tensor([BOS]), policy.start(1, 4))
    rollout = sample(policy, PRIOR, 3, LENGTH, seeded())
    wanted = after_bos.detach()[0, rollout.tokens[:, 0]]
    torch.testing.assert_close(rollout.logp[:, 0], wanted, rtol=0, atol=1e-5)
    assert len(rollout) == 3


def test_of_sequences_that_are_compared_little_padding_is_read(monkeypatch):
    """Those of like length are read together, up to the longest of them; each gets its own figures all the same."""
    monkeypatch.setattr(sampling, "READ", 4)
    policy, prior = new_model(seed=1), new_model(seed=2)
    words = every(4)
    tokens = torch.cat([words, torch.zeros(len(words), 6, dtype=torch.int64)], 1)  # as `draw` pads
    tokens = tokens[torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0))]
    widths = []
    monkeypatch.setattr(policy, "hidden", lambda some, read=policy.hidden: widths.append(some.shape) or read(some))
    found = sampling.compared(policy, prior, tokens)
    assert max(width for _, width in widths) == 4
    assert min(width for _, width in widths) == 2
    for row, figures in zip(tokens, zip(*found, strict=True), strict=True):
        alone = sampling.compared(policy, prior, row[None])
        torch.testing.assert_close(torch.stack(figures), torch.cat(alone), rtol=1e-5, atol=1e-5)


@in_narrow
@KINDS
def test_under_autocast_the_policy_that_samples_is_the_one_that_is_recorded(kind):
    """Rounded products are another policy by a hundredth of a nat, and that one's probabilities are what is stored."""
    policy, narrow = POLICIES[kind], torch.autocast("cpu", torch.bfloat16)
    rollout = sample(policy, PRIOR, 256, LENGTH, seeded(), None, narrow)
    exact = [sampling.logp_of(model, rollout.tokens) for model in (policy, PRIOR)]
    for found, wanted in zip((rollout.logp, rollout.prior_logp), exact, strict=True):
        assert found.dtype == torch.float32
        off = (found - wanted).abs()
        assert 0 < off.max() < 0.1
        assert (found - wanted)[rollout.mask].mean().abs() < 0.01
    wide = sample(policy, PRIOR, 256, LENGTH, seeded())
    torch.testing.assert_close(wide.logp, sampling.logp_of(policy, wide.tokens), rtol=0, atol=1e-5)


@in_narrow
def test_a_policy_that_is_the_prior_stays_it_under_autocast():
    rollout = sample(PRIOR, PRIOR, 512, LENGTH, seeded(), None, torch.autocast("cpu", torch.bfloat16))
    assert 0 <= rollout.kl.sum(-1).mean() < 1e-3
    assert abs(float((rollout.logp - rollout.prior_logp).sum(-1).mean())) < 1e-2
