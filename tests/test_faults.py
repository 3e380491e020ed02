"""The faults that reading RL Tuner found (ANCHORS.md, section 1), as far as they are the core's: one test each."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from letters import EOS, VOCABULARY, A, B, LettersDomain, every, ids, log_probabilities, new_model, rises, variety

from seqtutor import PAD, UserError, load
from seqtutor.config import TrainConfig, build
from seqtutor.objectives import load_objective
from seqtutor.plugin.installed import installed
from seqtutor.priors.policies import TiltedModel
from seqtutor.priors.sampling import draw, logp_of, sample_tokens
from seqtutor.priors.script import Fixed
from seqtutor.records.replay import Batch
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import weighted_terms
from seqtutor.runs.evaluation import evaluate
from seqtutor.training.tuner import Tuner

DOMAIN = LettersDomain()


def tuner_of(objective="psi", **settings):
    small = {"domain": "letters", "rollouts": 32, "learning_rate": 3e-3}
    stored = {} if load_objective(objective).on_policy else {"batch": 32, "replay": 64}
    return Tuner(DOMAIN, TrainConfig(**{**small, **stored, "objective": objective, **settings}), new_model(spread=1.0))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_token_that_was_sampled_is_stored_with_its_own_reward():
    """RL Tuner's Boltzmann exploration stores the argmax action beside the sampled action's reward."""
    tuner = tuner_of()
    for _ in range(3):
        tuner.step()
    assert len(tuner.replay) == 64
    greedy = tuner.prior(tuner.replay.tokens.long()).argmax(-1)
    assert (greedy != tuner.replay.tokens)[tuner.replay.tokens != PAD].float().mean() > 0.2
    stored = tuner.replay.batch(torch.arange(64))
    rewards = tuner.reward(stored)
    for tokens, reward, prior_logp in zip(stored.tokens, rewards, stored.prior_logp, strict=True):
        row = tokens[None].numpy()
        wanted = Scorer(DOMAIN, weighted_terms(DOMAIN, {})).score(row, np.array([EOS not in row]))
        np.testing.assert_allclose(reward.numpy(), wanted.reward[0], atol=1e-6)
        real = tokens != PAD
        torch.testing.assert_close(prior_logp, logp_of(tuner.prior, tokens[None])[0], rtol=0, atol=1e-5)
        assert (prior_logp[real] < 0).all()


@pytest.mark.parametrize("objective", sorted(installed("objective")))
def test_no_gradient_reaches_a_prior(objective):
    """RL Tuner's G-learning trains its 'frozen' prior through the target."""
    tuner = tuner_of(objective)
    for network in (tuner.prior, tuner.target, *([tuner.policy.prior] if objective == "g" else [])):
        network.requires_grad_(True)
    tuner.step()
    assert all(parameter.grad is None for parameter in (*tuner.prior.parameters(), *tuner.target.parameters()))
    learnt = {id(p) for group in tuner.optimiser.param_groups for p in group["params"]}
    assert learnt
    assert not learnt & {id(p) for p in tuner.prior.parameters()}
    if isinstance(tuner.policy, TiltedModel):
        assert not learnt & {id(p) for p in tuner.policy.prior.parameters()}
        assert all(p.grad is None for p in tuner.policy.prior.parameters())


@pytest.mark.parametrize("objective", sorted(installed("objective")))
def test_what_lies_behind_the_end_is_not_learnt_from(objective):
    """RL Tuner has no terminal mask. The same sequences with more padding, and noise on it, are the same lesson."""
    tokens = torch.from_numpy(ids("ab", "a", "abc"))

    def lesson(wider, noise):
        options = {"span": 4} if hasattr(load_objective(objective).Settings(), "span") else {}
        tuner = tuner_of(objective, **options)
        wide = torch.nn.functional.pad(tokens, (0, wider), value=PAD)
        mask = wide != PAD
        generator = seeded()
        terms = torch.where(mask[..., None], 1.0, noise * torch.randn(*wide.shape, 2, generator=generator))
        prior_logp = torch.where(mask, logp_of(tuner.prior, wide), noise * torch.randn(wide.shape, generator=generator))
        tuner.baseline = torch.zeros(wide.shape[1])
        some = torch.ones(len(wide), dtype=torch.bool)
        return tuner.descend(Batch(wide, mask, prior_logp, terms, some, some))

    assert lesson(3, 5.0) == pytest.approx(lesson(0, 0.0), rel=1e-5)


def test_an_evaluation_counts_the_reward_of_every_step():
    """RL Tuner's evaluation keeps only the last step's reward."""
    scorer = Scorer(DOMAIN, weighted_terms(DOMAIN, {}))
    found = evaluate(new_model(seed=1), DOMAIN, scorer, 300, seeded())
    tokens, truncated = draw(new_model(seed=1), DOMAIN, 300, seeded())
    by_hand = []
    for row, cut, text in zip(tokens.tolist(), truncated, found.scores.texts, strict=True):
        pairs = sum(after == before + 1 and before >= A for before, after in pairwise(row))
        by_hand.append(pairs + 0.5 * (-1 if text is None or cut else len(set(text))))
    assert found.reward.mean == pytest.approx(np.mean(by_hand))
    assert abs(found.reward.mean - np.mean(found.scores.reward[:, -1])) > 0.1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_primer_is_kept_whole_and_what_follows_has_read_all_of_it(length):
    """RL Tuner's primer is off by one."""
    model, primer, many = new_model(seed=3), torch.tensor([A, B, A])[:length], 4000
    tokens = sample_tokens(model, many, 4, seeded(), script=Fixed(primer))
    assert (tokens[:, :length] == primer).all()
    with torch.no_grad():
        known = model(torch.cat([primer, torch.tensor([A])])[None])[0]
    following = np.bincount(tokens[:, length], minlength=6) / many
    wanted = known[length].exp().numpy()
    assert np.abs(following - wanted).max() < 4 * math.sqrt(0.25 / many)
    shorter = model(primer[None])[0, length - 1].exp().detach().numpy()
    assert np.abs(following - shorter).max() > 0.1  # what a primer off by one would give


def test_unknown_options_are_refused(installed):
    """RL Tuner falls back silently."""
    for attempt in (
        lambda: TrainConfig(objective="a3c"),
        lambda: build(TrainConfig, {"exploration": "boltzman"}),
        lambda: load("letters", {"exploration": "boltzman"}),
        lambda: weighted_terms(DOMAIN, {"boltzman": 1.0}),
    ):
        with pytest.raises(UserError, match="unknown"):
            attempt()


def test_rewards_have_the_values_that_are_counted_by_hand():
    """RL Tuner has no test of any reward value."""
    np.testing.assert_array_equal(rises(ids("abc", "ca", "aab")), [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(variety(["abc", "aa", "bcb"]), [3, 1, 2])


def test_a_seed_decides_everything():
    """RL Tuner has no seed."""

    def rows(seed):
        tuner = tuner_of(seed=seed)
        return [str({**tuner.step(), "seconds": 0}) for _ in range(3)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_a_vocabulary_decodes_what_it_encodes():
    """RL Tuner's melodies come out two semitones high: ids and tokens must be each other's inverse, without offset."""
    for row in every(3, fixed_length=True).tolist():
        assert VOCABULARY.encode(VOCABULARY.decode(row)) == row
    assert [DOMAIN.decode(VOCABULARY.decode(row)) for row in ids("ab", "cab").tolist()] == ["ab", "cab"]


def test_the_prior_keeps_its_say_however_long_the_training():
    """What the KL is for: with a reward of 0 for every word, training moves nothing away from the prior."""
    tuner = tuner_of(temperature=1e6)
    before = log_probabilities(tuner.prior, every(4))
    for _ in range(10):
        tuner.step()
    after = log_probabilities(tuner.policy, every(4))
    assert float((after.exp() * (after - before)).sum()) < 1e-3
