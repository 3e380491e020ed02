"""What is remembered comes back as it was: whole, with its own reward, the oldest forgotten first."""

from __future__ import annotations

import pytest
import torch
from letters import A, B, C, ids

from seqtutor import EOS, PAD
from seqtutor.priors.sampling import sequence_mask
from seqtutor.records.replay import Batch, Replay

LENGTH = 5


def batch_of(tokens):
    """A batch whose log-probabilities can be told from its tokens and places."""
    mask = tokens != PAD
    prior_logp = -(tokens * 100 + torch.arange(tokens.shape[1]) * 10).float()
    some = torch.ones(len(tokens), dtype=torch.bool)
    return Batch(tokens, mask, prior_logp * mask, terms_of(tokens), tokens[:, 0] != A, some)


def terms_of(tokens):
    """Two terms: the reward, and its half."""
    return torch.stack([reward_of(tokens), reward_of(tokens) / 2], -1)


def worth(batch):
    return batch.terms[..., 0].sum(-1)


def replay_of(capacity, priority="uniform"):
    return Replay(capacity, LENGTH, 2, worth, priority)


def reward_of(tokens):
    return (tokens * 10 + torch.arange(tokens.shape[1])).float() * (tokens != PAD)


def word(i):
    """The i-th of 81 words of four letters, each its own."""
    return torch.tensor([[3 + i // 27 % 3, 3 + i // 9 % 3, 3 + i // 3 % 3, 3 + i % 3, EOS]])


def add(replay, tokens):
    replay.add(batch_of(tokens))


def held(replay):
    return {tuple(row) for row in replay.tokens[: len(replay)].tolist()}


def words(numbers):
    return torch.cat([word(i) for i in numbers])


def test_the_oldest_are_overwritten_first():
    replay = replay_of(10)
    for start in range(0, 28, 4):
        add(replay, words(range(start, start + 4)))
        newest = range(max(0, start + 4 - 10), start + 4)
        assert held(replay) == {tuple(row) for row in words(newest).tolist()}
        assert len(replay) == len(newest)


def test_of_more_than_fit_the_last_are_kept():
    replay = replay_of(10)
    add(replay, words(range(3)))
    add(replay, words(range(20, 45)))
    assert held(replay) == {tuple(row) for row in words(range(35, 45)).tolist()}


def test_nothing_of_a_longer_sequence_stays_behind_a_shorter_one():
    replay = replay_of(1)
    add(replay, words([5]))
    add(replay, torch.tensor([[A, EOS]]))
    assert replay.tokens.tolist() == [[A, EOS, PAD, PAD, PAD]]
    assert replay.terms[0, 2:].abs().sum() == 0
    assert replay.prior_logp[0, 2:].abs().sum() == 0


def test_a_batch_holds_sequences_with_their_own_rewards_and_log_probabilities():
    """RL Tuner's Boltzmann exploration stored one action with the reward of another."""
    replay = replay_of(50)
    stored = torch.from_numpy(ids("a", "ab", "abc", "cab", "b", "ca", "bab", "c", "", "bca"))
    add(replay, stored)
    seen = set()
    for batch in replay.batches(20, 4, torch.Generator().manual_seed(0)):
        wanted = batch_of(batch.tokens)
        assert torch.equal(batch.terms, wanted.terms)
        assert torch.equal(batch.prior_logp, wanted.prior_logp)
        assert torch.equal(batch.valid, wanted.valid)
        assert batch.paid.all()
        assert torch.equal(batch.mask, batch.tokens != PAD)
        assert batch.mask.any(0).all()  # no column of padding alone
        seen |= {tuple(i for i in row if i != PAD) for row in batch.tokens.tolist()}
    assert seen == {tuple(i for i in row if i != PAD) for row in stored.tolist()}


def test_a_batch_holds_sequences_of_nearly_one_length():
    replay = replay_of(100)
    add(replay, torch.cat([words(range(50)), torch.tensor([[B, EOS, PAD, PAD, PAD]] * 50)]))
    batches = list(replay.batches(8, 16, torch.Generator().manual_seed(0)))
    assert len(batches) == 8
    assert all(len(batch.tokens) == 16 for batch in batches)
    assert sum(not batch.mask.all() for batch in batches) <= 1
    widths = [batch.tokens.shape[1] for batch in batches]
    assert sorted(set(widths)) == [2, 5]
    assert widths not in (sorted(widths), sorted(widths, reverse=True))  # the short ones do not always come first


def test_every_sequence_is_drawn_as_often_as_any_other():
    replay = replay_of(4)
    add(replay, torch.from_numpy(ids("a", "ab", "abc", "c")))
    tokens = [row for b in replay.batches(500, 8, torch.Generator().manual_seed(0)) for row in b.tokens.tolist()]
    lengths = [len([i for i in row if i != PAD]) + (C in row and A not in row) * 10 for row in tokens]
    for kind in (2, 3, 4, 12):
        assert lengths.count(kind) / 4000 == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)


def test_what_a_state_restores_goes_on_the_same():
    replay, other = replay_of(10), replay_of(10)
    add(replay, words(range(13)))
    other.load_state_dict({key: value.clone() for key, value in replay.state_dict().items()})
    for some in (replay, other):
        add(some, words([70, 71]))
    for one, same in zip(*(r.batches(3, 5, torch.Generator().manual_seed(0)) for r in (replay, other)), strict=True):
        assert torch.equal(one.tokens, same.tokens)
        assert torch.equal(one.terms, same.terms)
        assert torch.equal(one.prior_logp, same.prior_logp)
    assert held(other) == {tuple(row) for row in words([*range(5, 13), 70, 71]).tolist()}


def test_the_mask_reaches_up_to_and_including_the_end():
    assert sequence_mask(torch.tensor([[A, EOS, PAD], [A, B, C]])).tolist() == [[True, True, False], [True] * 3]


def test_by_reward_the_best_are_drawn_most_and_the_worst_make_room():
    replay = replay_of(20, "reward")
    add(replay, words(range(30, 50)))
    total = replay.earned.clone()
    drawn = replay.draw(4000, torch.Generator().manual_seed(0)).bincount(minlength=20)
    best, worst = int(total.argmax()), int(total.argmin())
    assert drawn[best] > 10 * max(1, int(drawn[worst]))
    better = words([80, 79])
    assert reward_of(better).sum(-1).min() > total.sort().values[1]
    add(replay, better)
    assert len(replay) == 20
    kept = sorted(replay.earned.tolist())
    assert kept == sorted([*total.sort().values[2:].tolist(), *reward_of(better).sum(-1).tolist()])


def test_by_reward_half_of_what_is_drawn_is_of_the_newest(monkeypatch):
    """Learning from the best alone, a policy was never told of the nonsense that it had come to write."""
    monkeypatch.setattr("seqtutor.records.replay.NEWEST", 4)
    replay = replay_of(100, "reward")
    order = sorted(range(60), key=lambda i: -float(reward_of(words([i])).sum()))
    add(replay, words(order[:50]))
    add(replay, words(order[-4:]))  # worth least
    drawn = replay.draw(4000, torch.Generator().manual_seed(0)).bincount(minlength=54)
    assert 2000 <= drawn[50:].sum() < 2200
    assert drawn[50:].min() == pytest.approx(500, abs=4 * (500 * 0.75) ** 0.5 + 50)
    assert drawn[0] > drawn[49] * 5


def test_by_reward_ten_of_thousands_are_drawn_as_of_a_thousand():
    """Of 10,000 the hundred best were drawn alike, and their variations scored less than what the policy wrote."""
    replay = replay_of(1, "reward")
    drawn = replay._by_rank(-torch.arange(4000.0), 40_000, torch.Generator().manual_seed(0)).bincount(minlength=4000)
    ranks = 1 / (10 + torch.arange(4000.0))
    for part in (slice(10), slice(10, 100), slice(100, None)):
        assert drawn[part].sum() / 40_000 == pytest.approx(float(ranks[part].sum() / ranks.sum()), abs=0.01)
    assert drawn[:10].sum() > 0.1 * 40_000


def test_what_comes_after_a_resume_is_newest_in_a_replay_of_any_size(monkeypatch):
    monkeypatch.setattr("seqtutor.records.replay.NEWEST", 1)
    old, new = replay_of(10, "reward"), replay_of(6, "reward")
    for number in range(30):
        add(old, words([number]))
    new.load_state_dict(old.state_dict())
    add(new, words([70]))
    assert torch.equal(new.tokens[int(new.born.argmax())].long(), replay_row(words([70])))


def replay_row(tokens):
    """One sequence as wide as a replay keeps it."""
    return torch.nn.functional.pad(tokens, (0, LENGTH - tokens.shape[1]))[0]


def test_by_error_new_ones_come_first_then_those_with_the_largest_loss():
    replay = replay_of(10, "error")
    add(replay, words(range(6)))
    replay.note(torch.arange(6), torch.tensor([0.0, 5.0, 1.0, 2.0, 3.0, 4.0]))
    add(replay, words([7]))
    drawn = replay.draw(4000, torch.Generator().manual_seed(0)).bincount(minlength=7)
    assert drawn.argsort(descending=True).tolist()[:2] == [6, 1]
    assert drawn[0] < drawn[1] / 2


@pytest.mark.parametrize("priority", ["uniform", "reward", "error"])
def test_priorities_survive_a_checkpoint(priority):
    replay, other = replay_of(10, priority), replay_of(10, priority)
    add(replay, words(range(8)))
    replay.note(torch.arange(4), torch.arange(4.0))
    other.load_state_dict(replay.state_dict())
    one, same = (r.draw(50, torch.Generator().manual_seed(3)) for r in (replay, other))
    assert torch.equal(one, same)


@pytest.mark.parametrize("priority", ["uniform", "reward", "error"])
@pytest.mark.parametrize(("capacity", "stored"), [(2, 10), (4, 13), (4, 40)])
def test_a_smaller_replay_keeps_the_newest_of_what_was_stored(priority, capacity, stored):
    """By reward it kept what lay in the last slots, which are in no order of age."""
    old, new = replay_of(10, priority), replay_of(capacity, priority)
    order = torch.randperm(81, generator=torch.Generator().manual_seed(1))[:stored]
    for number in order.tolist():
        add(old, word(number))
    new.load_state_dict(old.state_dict())
    newest = old.tokens[old.born.argsort()[-capacity:]]
    assert held(new) == {tuple(row) for row in newest.tolist()}


@pytest.mark.parametrize(("capacity", "stored"), [(4, 6), (4, 10), (4, 13), (20, 13), (10, 7), (13, 10)])
def test_a_replay_of_another_size_keeps_the_newest_in_their_order(capacity, stored):
    """A run resumed with a smaller --replay broke off; with a larger one it forgot the wrong ones."""
    old, new = replay_of(10), replay_of(capacity)
    add(old, words(range(stored)))
    new.load_state_dict(old.state_dict())
    newest = range(max(0, stored - min(10, capacity)), stored)
    assert held(new) == {tuple(row) for row in words(newest).tolist()}
    add(new, words([70]))
    kept = [*newest, 70][-capacity:]
    assert held(new) == {tuple(row) for row in words(kept).tolist()}


def test_what_is_stored_is_worth_what_the_weights_say_now():
    old, new = replay_of(10), Replay(10, LENGTH, 1, lambda batch: -batch.terms[..., 0].sum(-1), "reward")
    add(old, words(range(6)))
    new.columns = [1]  # of the two stored terms, the reward needs the second
    new.load_state_dict(old.state_dict())
    torch.testing.assert_close(new.earned[:6], -old.earned[:6] / 2)
    assert (new.earned[6:] == -torch.inf).all()


def test_by_reward_empty_slots_are_taken_before_the_worst():
    replay = replay_of(4, "reward")
    add(replay, words([80]))
    add(replay, words([0]))
    add(replay, words([40]))
    assert held(replay) == {tuple(row) for row in words([80, 0, 40]).tolist()}


def test_new_rows_have_the_largest_error_even_in_the_slots_of_old_ones():
    replay = replay_of(2, "error")
    add(replay, words([1, 2]))
    replay.note(torch.arange(2), torch.zeros(2))
    add(replay, words([3]))
    assert replay.error.tolist() == [float("inf"), 0.0]


def test_sorting_by_length_is_left_where_sequences_are_compared():
    replay = replay_of(100)
    add(replay, torch.cat([words(range(50)), torch.tensor([[B, EOS, PAD, PAD, PAD]] * 50)]))
    mixed = list(replay.batches(8, 16, torch.Generator().manual_seed(0), by_length=False))
    lengths = [batch.mask.sum(-1).float() for batch in mixed]
    assert all(length.std() > 0.5 for length in lengths)
