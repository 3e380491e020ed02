"""The models: one token at a time as a whole sequence at once, what is never produced, where a policy starts."""

from __future__ import annotations

import pytest
import torch
from letters import HEIGHTS, VOCABULARY, LettersDomain, every, new_model

from seqtutor import BOS, EOS, PAD, Vocabulary
from seqtutor.config import TrainConfig
from seqtutor.objectives import load_objective
from seqtutor.priors.files import grown
from seqtutor.priors.lookback import STREAK, looked_back, moved_on, table_of_moves
from seqtutor.priors.model import LstmModel, Model, forbidden
from seqtutor.priors.policies import TiltedModel, frozen, starting_policy
from seqtutor.priors.sampling import logp_of, sample
from seqtutor.training.tuner import Tuner


def build(kind, **shape):
    """A model in float64; a tilted one with a tilt that is not zero. A clock and looks back, which start at zero, are
    drawn.
    """
    model = new_model(**shape)
    if kind == "tilted":
        model = TiltedModel(model, new_model(seed=1, spread=0.5, **shape))
    for part in model.modules():
        if isinstance(part, LstmModel):
            for table in (part.clock, *part.there, *part.again, *part.pulls):
                if table is not None:
                    torch.nn.init.normal_(table.weight)
    return model.double().eval()


SEQUENCES = every(4)
KINDS = pytest.mark.parametrize("kind", ["sequence", "tilted"])


@pytest.mark.parametrize("layers", [1, 3])
@KINDS
@torch.no_grad()
def test_one_token_at_a_time_is_the_whole_sequence_at_once(kind, layers):
    assert_stepwise(build(kind, layers=layers), SEQUENCES)


def assert_stepwise(model, words):
    """One token at a time the model says what it says of whole `words` (N, T)."""
    whole, step, state = model(words), model.stepper(), model.start(len(words), words.shape[1])
    last = torch.full((len(words),), BOS)
    for t in range(words.shape[1]):
        row, state = step(last, state)
        torch.testing.assert_close(row, whole[:, t], rtol=0, atol=1e-10)
        last = words[:, t]


FIXED = every(4, fixed_length=True)


@pytest.mark.parametrize("clock", [1, 3, 4, 9])
@pytest.mark.parametrize("layers", [1, 2])
@KINDS
@torch.no_grad()
def test_with_a_clock_too_one_token_at_a_time_is_the_whole_sequence_at_once(kind, layers, clock):
    model = build(kind, layers=layers, fixed_length=True, clock=clock)
    whole, values, step = model(FIXED), model.action_values(FIXED), model.stepper()
    state, last = model.start(len(FIXED), FIXED.shape[1]), torch.full((len(FIXED),), BOS)
    for t in range(FIXED.shape[1]):
        row, state = step(last, state)
        torch.testing.assert_close(row, whole[:, t], rtol=0, atol=1e-10)
        torch.testing.assert_close(row, values[:, t].log_softmax(-1), rtol=0, atol=1e-10)
        last = FIXED[:, t]
    assert (state[2 * layers] == 0).all()  # nothing is left


@KINDS
@torch.no_grad()
def test_a_clock_counts_down_to_the_end_and_goes_round(kind):
    """The same tokens mean something else nearer to the end; a clock of 4 shows 5 and 1 as the same."""
    model, word = build(kind, fixed_length=True, clock=4), FIXED[5:6]
    longer = torch.cat([word, word], 1)
    assert (model(longer[:, :6])[:, :4] - model(word)).abs().amax() > 1e-3
    torch.testing.assert_close(model(longer)[:, :4], model(word), rtol=0, atol=1e-12)
    padded = torch.nn.functional.pad(word, (0, 3), value=PAD)
    torch.testing.assert_close(model(padded)[:, :4], model(word), rtol=0, atol=1e-12)


@KINDS
def test_sampling_counts_down_from_the_length_that_is_asked_for(kind):
    model = build(kind, fixed_length=True, clock=8).float()
    rollout = sample(model, model, 50, 6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(rollout.logp, logp_of(model, rollout.tokens), rtol=0, atol=1e-5)
    assert rollout.kl.abs().max() < 1e-5


def test_a_clock_wants_items_of_a_fixed_length():
    with pytest.raises(ValueError, match="a clock of 4 steps"):
        new_model(clock=4)


@pytest.mark.parametrize("lookback", [(1,), (2,), (2, 3), (9,)])
@pytest.mark.parametrize(
    "shape",
    [{}, {"layers": 2}, {"fixed_length": True, "clock": 3}, {"heights": HEIGHTS}, {"heights": [-1, -1, -1, 1, -1, 0]}],
)
@KINDS
@torch.no_grad()
def test_with_looks_back_too_one_token_at_a_time_is_the_whole_sequence_at_once(kind, shape, lookback):
    assert_stepwise(build(kind, **shape, lookback=lookback), FIXED if shape.get("fixed_length") else SEQUENCES)


@torch.no_grad()
def test_a_look_back_reads_what_stood_there_and_how_many_in_a_row_repeat_their_own():
    """A model whose cells see nothing else: the third token's chances depend on the first, at a distance of 2."""
    model = build("sequence", fixed_length=True, lookback=(2,))
    a, b, c = (VOCABULARY.encode(letter)[0] for letter in "abc")
    for name in ("embedding.weight", "lstm.weight_hh_l0", "lstm.bias_hh_l0", "lstm.bias_ih_l0"):
        model.get_parameter(name).zero_()
    gates = model.lstm.bias_ih_l0.view(4, -1)
    gates[1] = -30.0  # it forgets at once, so that only what it reads now counts
    words = torch.tensor([[a, b, c, c], [b, b, c, c], [a, c, c, c], [a, b, a, c]])
    said = model(words)
    assert (said[0, 2] - said[1, 2]).abs().max() > 1e-3  # another first token
    torch.testing.assert_close(said[0, 2], said[2, 2], rtol=0, atol=1e-9)  # another second one is not seen
    assert (said[0, 3] - said[3, 3]).abs().max() > 1e-3  # the third repeats the first, or does not
    for table in (*model.again, *model.pulls):
        table.weight.zero_()
    said = model(words)
    torch.testing.assert_close(said[0, 3], said[3, 3], rtol=0, atol=1e-9)


def test_what_stands_at_a_distance_and_how_many_in_a_row_repeated_theirs():
    before = torch.tensor([[BOS, 3, 4, 3, 4, 4, 4, 3]])
    places, streaks = looked_back(before, (1, 2))
    assert places[0, :, 0].tolist() == [BOS, 3, 4, 3, 4, 4, 4, 3]  # of the token that follows: the last one
    assert places[0, :, 1].tolist() == [PAD, BOS, 3, 4, 3, 4, 4, 4]
    assert streaks[0, :, 0].tolist() == [0, 0, 0, 0, 0, 1, 2, 0]
    assert streaks[0, :, 1].tolist() == [0, 0, 0, 1, 2, 0, 1, 0]
    assert looked_back(torch.full((1, 40), 3), (1,))[1].max() == STREAK
    assert looked_back(before, ())[0].shape == (1, 8, 0)


def test_a_token_moves_to_the_first_of_its_new_height_and_what_has_no_height_stays():
    moved = table_of_moves([-1, -1, -1, 0, 0, 1, 3, -1])  # two of height 0, none of 2
    assert moved[:, 3].tolist() == list(range(8))  # by nothing: each stays itself, the second of its height too
    assert moved[:, 4].tolist() == [0, 1, 2, 5, 5, PAD, PAD, 7]
    assert moved[:, 2].tolist() == [0, 1, 2, PAD, PAD, 3, PAD, 7]
    assert moved[:, 6].tolist() == [0, 1, 2, 6, 6, PAD, PAD, 7]


def test_what_stood_at_a_distance_is_expected_as_far_away_as_the_latest_has_moved():
    hold, notes = 3, range(4, 10)
    heights = torch.tensor([-1, -1, -1, -1, *range(len(notes))])
    low, high = [4, hold, 6, 5], [6, hold, 8, 7]  # two steps higher
    before = torch.tensor([[BOS, *low, *high, 6]])
    places, _ = looked_back(before, (4,))
    expected, streaks = moved_on(before, places, (4,), heights, table_of_moves(heights.tolist()))
    # Once the first note of the second four is two steps higher, all others are expected so.
    assert expected[0, :, 0].tolist() == [PAD, PAD, PAD, BOS, 4, hold, 8, 7, 8, hold]
    assert streaks[0, :, 0].tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 3, 0]
    unmoved, _ = moved_on(before, places, (4,), torch.full_like(heights, -1), table_of_moves([-1] * 10))
    torch.testing.assert_close(unmoved, places)


@torch.no_grad()
def test_the_second_pull_is_towards_the_token_moved():
    model = build("sequence", fixed_length=True, lookback=(2,), heights=HEIGHTS)
    words = torch.tensor([VOCABULARY.encode("abbc")])
    before = model.logits(model.hidden(words))
    model.pull.bias += torch.tensor([0.0, 3.0])
    gained = model.logits(model.hidden(words)) - before
    a, b, c = words[0, 0], words[0, 1], words[0, 3]
    assert gained[0, 3, c] == pytest.approx(3.0)  # b stood there, and the b before it is a step over the a before that
    assert gained[0, 2, a] == pytest.approx(3.0)  # nothing has moved yet
    assert gained[0, 3, [a, b]].abs().max() < 1e-9


@pytest.mark.parametrize(
    "heights", [[0, 1], [*HEIGHTS[:5], -2], [*HEIGHTS[:5], 1.0], [*HEIGHTS[:5], 10**6], 6 * [True]]
)
def test_heights_are_one_for_each_token(heights):
    with pytest.raises(ValueError, match="are too many to be moved"):
        LstmModel(Vocabulary(map(str, range(1200))), lookback=(1,), heights=[1000] * 1203)
    with pytest.raises(ValueError, match="heights must be a whole number from -1 to 1000 for each token"):
        new_model(lookback=(1,), heights=heights)
    with pytest.raises(ValueError, match="need a lookback"):
        new_model(heights=HEIGHTS)


@torch.no_grad()
def test_a_pull_raises_the_logit_of_the_token_that_stands_at_its_distance_and_no_other():
    model = build("sequence", fixed_length=True, lookback=(2, 3))
    words = torch.tensor([VOCABULARY.encode("abca")])
    before = model.logits(model.hidden(words))
    model.pull.bias += torch.tensor([5.0, 0.5])
    gained = model.logits(model.hidden(words)) - before
    wanted = torch.zeros_like(gained)
    wanted[0, 2, words[0, 0]] += 5.0
    wanted[0, 3, words[0, 1]] += 5.0
    wanted[0, 3, words[0, 0]] += 0.5
    torch.testing.assert_close(gained[..., 3:], wanted[..., 3:], rtol=0, atol=1e-9)
    assert (model(words)[..., [PAD, BOS]] < -1e6).all()  # never, although both stand before the beginning
    repeating = torch.tensor([VOCABULARY.encode("abab")])  # at the last place one in a row has repeated its own
    before = model.logits(model.hidden(repeating))
    model.pulls[0].weight[1] += torch.tensor([2.0, 0.0])
    gained = model.logits(model.hidden(repeating)) - before
    assert gained[0, 3, repeating[0, 1]] == pytest.approx(2.0)
    assert gained[:, :3].abs().max() == 0


@KINDS
@torch.no_grad()
def test_a_policy_of_a_model_that_looks_back_starts_as_that_model(kind):
    prior = build("sequence", fixed_length=True, lookback=(1, 2))
    policy = starting_policy(prior, tilt=kind == "tilted").eval()
    torch.testing.assert_close(policy(FIXED), prior(FIXED), rtol=0, atol=1e-10)


@pytest.mark.parametrize("lookback", [[0], [-2], [1.5], ["2"], [True], [1 << 20], 17 * [1], 3])
def test_a_distance_to_look_back_is_a_number_of_tokens(lookback):
    with pytest.raises(ValueError, match="lookback must be a list of at most 16 distances from 1 to 65536 tokens"):
        new_model(lookback=lookback)


@KINDS
@torch.no_grad()
def test_padding_and_the_order_of_the_batch_change_nothing(kind):
    model = build(kind)
    plain, order = model(SEQUENCES), torch.randperm(len(SEQUENCES), generator=torch.Generator().manual_seed(0))
    wider = torch.nn.functional.pad(SEQUENCES, (0, 3), value=PAD)
    torch.testing.assert_close(model(wider)[:, :4], plain, rtol=0, atol=1e-12)
    torch.testing.assert_close(model(SEQUENCES[order]), plain[order], rtol=0, atol=1e-12)


@KINDS
@torch.no_grad()
def test_a_prediction_has_read_what_came_before_and_only_that(kind):
    model = build(kind)
    changed = SEQUENCES.clone()
    changed[:, 1] = torch.where(changed[:, 1] == 3, 4, 3)
    before, after = model(SEQUENCES), model(changed)
    assert torch.equal(before[:, :2], after[:, :2])
    assert (before[:, 2] - after[:, 2]).abs().amax(-1).min() > 1e-4


@pytest.mark.parametrize("fixed", [False, True])
@KINDS
@torch.no_grad()
def test_distributions_sum_to_one_and_never_produce_what_is_no_token(kind, fixed):
    probabilities = build(kind, fixed_length=fixed)(SEQUENCES).exp()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(probabilities[..., 0]), rtol=0, atol=1e-12)
    assert (probabilities[..., [PAD, BOS]] == 0).all()
    assert (probabilities[..., EOS] == 0).all() == fixed
    assert (probabilities[..., 3:] > 0).all()


@pytest.mark.parametrize("objective", ["q", "psi"])
@torch.no_grad()
def test_q_and_psi_start_at_the_priors_log_probabilities(objective):
    prior = new_model(layers=2, dropout=0.5)
    policy = starting_policy(prior, tilt=load_objective(objective).tilt)
    assert torch.equal(policy.action_values(SEQUENCES), prior(SEQUENCES))
    assert torch.equal(policy(SEQUENCES), prior(SEQUENCES))


@torch.no_grad()
def test_g_starts_at_zero_and_its_policy_at_the_prior():
    prior = new_model(layers=2, dropout=0.5)
    policy = starting_policy(prior, tilt=load_objective("g").tilt)
    assert torch.equal(policy.action_values(SEQUENCES), prior(SEQUENCES))
    assert (policy.value(policy.hidden(SEQUENCES)) == 0).all()
    torch.testing.assert_close(policy(SEQUENCES).exp(), prior(SEQUENCES).exp(), rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_value_head_moves_the_values_and_not_the_policy():
    model = build("sequence")
    model.value_head.bias += 2.5
    torch.testing.assert_close(model.action_values(SEQUENCES), model(SEQUENCES) + 2.5)
    torch.testing.assert_close(model(SEQUENCES), build("sequence")(SEQUENCES), rtol=0, atol=0)


def test_a_frozen_model_is_a_copy_without_gradient():
    model = new_model(dropout=0.5).train()
    copy = frozen(model)
    assert not copy.training
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.nn.init.zeros_(model.head.weight)
    assert copy.head.weight.abs().sum() > 0


class GruModel(Model):
    """A second kind of model, as somebody else would write it: six answers."""

    def __init__(self, vocabulary, hidden=16):
        super().__init__()
        self.vocabulary, self.fixed_length, self.shape = vocabulary, False, {"hidden": hidden}
        self.embedding = torch.nn.Embedding(len(vocabulary), hidden)
        self.cell = torch.nn.GRU(hidden, hidden, batch_first=True)
        self.head, self.value_head = torch.nn.Linear(hidden, len(vocabulary)), torch.nn.Linear(hidden, 1)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)

    def hidden(self, tokens):
        shifted = torch.nn.functional.pad(tokens[:, :-1], (1, 0), value=BOS)
        return self.cell(self.embedding(shifted))[0]

    def logits(self, hidden):
        logits = self.head(hidden)
        return logits.index_fill(-1, torch.tensor([PAD, BOS]), forbidden(logits.dtype))

    def value(self, hidden):
        return self.value_head(hidden)

    def value_parameters(self):
        return self.value_head.parameters()

    def start(self, batch, length):
        return (torch.zeros(batch, self.cell.hidden_size),)

    @torch.no_grad()
    def stepper(self):
        def step(tokens, state):
            out, after = self.cell(self.embedding(tokens)[:, None], state[0][None].contiguous())
            return self.logits(out[:, 0]).log_softmax(-1), (after[0],)

        return step


@pytest.mark.parametrize("objective", ["psi", "tb", "reinforce"])
def test_another_kind_of_model_is_tuned_like_any(objective):
    prior = GruModel(new_model().vocabulary)
    stored = {} if load_objective(objective).on_policy else {"batch": 8, "replay": 16}
    config = TrainConfig(domain="letters", objective=objective, rollouts=16, learning_rate=1e-2, **stored)
    tuner = Tuner(LettersDomain(), config, prior)
    rows = [tuner.step() for _ in range(4)]
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["kl"] > 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_is_forbidden_stays_finite_in_every_precision(dtype):
    logits = torch.tensor([0.5, forbidden(dtype)], dtype=dtype)
    logp = logits.float().log_softmax(-1)
    assert logits.isfinite().all()
    assert logp.exp()[1] == 0
    assert (logp.exp() * logp).isfinite().all()


@pytest.mark.parametrize("looks", [False, True])
def test_a_model_with_more_tokens_says_of_the_others_what_it_said(looks):
    sees = {"lookback": (1, 2), "heights": [-1, -1, -1, 0, 1, 2]} if looks else {}
    small, larger = LstmModel(Vocabulary("abc"), embedding=4, hidden=8, **sees), Vocabulary("abcde")
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    big = grown(small, larger)
    tokens = torch.tensor([[3, 4, 5, 3]])
    before, after = small.logits(small.hidden(tokens)), big.logits(big.hidden(tokens))
    torch.testing.assert_close(after[..., : len(small.vocabulary)], before)
    assert (big(tokens).exp().sum(-1) - 1).abs().max() < 1e-6
    least = before[..., 3:].amin(-1)
    assert (after[..., len(small.vocabulary) :].mean((0, 1)) < least.mean()).all()
    assert (big(tokens)[..., -2:] > -30).all()  # and can be learnt
