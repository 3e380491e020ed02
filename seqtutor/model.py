"""The sequence models: an LSTM with a head over tokens and a value, and the prior tilted by one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtutor.vocabulary import BOS, EOS, PAD, Vocabulary

# The logit of a token that is never produced. Finite, so that 0 * logit is 0 and not NaN in an expectation.
FORBIDDEN = -1e9

State = tuple[Tensor, ...]  # of every LSTM layer h (B, hidden) and c (B, hidden): rows belong to sequences
Step = Callable[[Tensor, State], tuple[Tensor, State]]


class SequenceModel(nn.Module):
    """Embedding, LSTM, and two heads: a distribution over the next token, and a value V(s) that starts at zero.

    A prior never trains its value head; a policy tuned from it reads Q and Psi as V(s) + log pi(a|s) (the dueling
    form), which at step 0 is the prior's normalised log-probability, exactly.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        embedding: int = 128,
        hidden: int = 512,
        layers: int = 1,
        dropout: float = 0.0,
        fixed_length: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.shape = {"embedding": embedding, "hidden": hidden, "layers": layers, "dropout": dropout}
        self.fixed_length = fixed_length
        self.embedding = nn.Embedding(len(vocabulary), embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, len(vocabulary))
        self.value = nn.Linear(hidden, 1)
        self.never: Tensor
        self.register_buffer("never", None, persistent=False)
        self.forbid()
        self._initialise()

    def forbid(self) -> None:
        """Mark the tokens that are never produced: PAD, BOS, and EOS where the length is fixed."""
        ids = [PAD, BOS, EOS] if self.fixed_length else [PAD, BOS]
        self.never = torch.zeros(len(self.vocabulary), dtype=torch.bool)
        self.never[ids] = True

    def _initialise(self) -> None:
        """Orthogonal recurrences, a forget gate that starts open, a value of zero."""
        hidden = self.lstm.hidden_size
        for name, weight in self.lstm.named_parameters():
            if "weight_hh" in name:
                for gate in torch.split(weight.data, hidden):
                    nn.init.orthogonal_(gate)
            elif "weight_ih" in name:
                nn.init.xavier_uniform_(weight)
            else:
                nn.init.zeros_(weight)
                if "bias_ih" in name:
                    weight.data[hidden : 2 * hidden] = 1.0
        without_value(self)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) -> hidden states (B, T, H): the one at t has read BOS and the tokens before t."""
        shifted = F.pad(tokens[:, :-1], (1, 0), value=BOS)
        output, _ = self.lstm(self.dropout(self.embedding(shifted)))
        dropped: Tensor = self.dropout(output)
        return dropped

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> logits (..., V); what is never produced gets FORBIDDEN."""
        logits: Tensor = self.head(hidden)
        return logits.masked_fill(self.never, FORBIDDEN)

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, T, V), nats, of every next token along `tokens` (B, T)."""
        return self.logits(self.hidden(tokens)).log_softmax(-1)

    def action_values(self, tokens: Tensor) -> Tensor:
        """V(s_t) + log pi(.|s_t) (B, T, V): the Q or Psi of every next token along `tokens` (B, T)."""
        hidden = self.hidden(tokens)
        value: Tensor = self.value(hidden)
        return self.logits(hidden).log_softmax(-1) + value

    def scale_values(self, factor: float) -> None:
        """Multiply V(s) of every state by `factor`; the probabilities stay."""
        with torch.no_grad():
            self.value.weight.mul_(factor)
            self.value.bias.mul_(factor)

    def start(self, batch: int) -> State:
        """The state before BOS of `batch` sequences."""
        return tuple(self.head.weight.new_zeros(batch, self.lstm.hidden_size) for _ in range(2 * self.lstm.num_layers))

    def stepper(self) -> Step:
        """Of the weights as they stand: tokens (B,), state -> log-probabilities (B, V) of the next one, new state."""
        advance = self.cells()

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            hidden, state = advance(tokens, state)
            return self.logits(hidden).log_softmax(-1), state

        return step

    @torch.no_grad()
    def cells(self) -> Step:
        """Of the weights as they stand: tokens (B,), state -> hidden states (B, H), new state. No gradient.

        The weights are laid out for one token at a time, which on a CPU is quicker than the LSTM's own single step: the
        embedding times the first layer's input weights is a table with a row a token, the two products of any other
        layer are one, and tanh(x) = 2 sigmoid(2x) - 1 lets one sigmoid serve the four gates.
        """
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        layers = [
            [_doubled(getattr(self.lstm, f"{kind}_l{layer}")) for kind in kinds]
            for layer in range(self.lstm.num_layers)
        ]
        into, first, *biases = layers[0]
        table = F.linear(self.embedding.weight, into, biases[0] + biases[1])
        deeper = [(torch.cat([into, over], 1), one + two) for into, over, one, two in layers[1:]]

        @torch.no_grad()
        def advance(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            gates = table.index_select(0, tokens).addmm_(state[0], first.T)
            after: State = _cell(gates, state[1])
            for layer, (weight, bias) in enumerate(deeper, start=1):
                below, here = after[-2], state[2 * layer]
                gates = F.linear(torch.cat([below, here], 1), weight, bias)
                after += _cell(gates, state[2 * layer + 1])
            return after[-2], after

        return advance


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Gates (B, 4 H) before their sigmoid, cells (B, H) -> h, c of an LSTM layer; `gates` is used up."""
    into, kept, new, out = gates.sigmoid_().chunk(4, 1)
    c = (kept * c).addcmul_(into, new, value=2).sub_(into)  # into * tanh(x) = into * (2 sigmoid(2x) - 1)
    h = (out * (2 * c).sigmoid_()).mul_(2).sub_(out)
    return h, c


def _doubled(weight: Tensor) -> Tensor:
    """LSTM weights (4 H, ...) in the order input, forget, cell, output: those of the cell candidate twice as large."""
    into, kept, new, out = weight.chunk(4)
    return torch.cat([into, kept, 2 * new, out])


class TiltedModel(nn.Module):
    """The G-learner's policy: pi = prior * exp(G), normalised; the prior is frozen and G starts at zero."""

    def __init__(self, prior: SequenceModel, tilt: SequenceModel | None = None) -> None:
        """`tilt`: the network whose logits are G; by default one with the prior's body and a head of zeros."""
        super().__init__()
        self.vocabulary, self.fixed_length, self.shape = prior.vocabulary, prior.fixed_length, prior.shape
        self.prior = frozen(prior)
        self.tilt = copy.deepcopy(prior).requires_grad_(True) if tilt is None else tilt
        if tilt is None:
            nn.init.zeros_(self.tilt.head.weight)
            nn.init.zeros_(self.tilt.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, T, V), nats, of every next token along `tokens` (B, T)."""
        tilted: Tensor = self.prior(tokens) + self.action_values(tokens)
        return tilted.log_softmax(-1)

    def action_values(self, tokens: Tensor) -> Tensor:
        """G(s_t, .) (B, T, V) along `tokens` (B, T): what each token adds, and the state's own value."""
        hidden = self.tilt.hidden(tokens)
        values: Tensor = self.tilt.head(hidden) + self.tilt.value(hidden)
        return values

    def scale_values(self, factor: float) -> None:
        """Multiply what every state's own value adds to G by `factor`; the probabilities stay."""
        self.tilt.scale_values(factor)

    def start(self, batch: int) -> State:
        """The state before BOS of `batch` sequences: the prior's, then the tilt's."""
        return *self.prior.start(batch), *self.tilt.start(batch)

    def stepper(self) -> Step:
        """As SequenceModel.stepper."""
        step, advance, cut = self.prior.stepper(), self.tilt.cells(), 2 * self.prior.lstm.num_layers

        def tilted(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            log_prior, prior_state = step(tokens, state[:cut])
            hidden, tilt_state = advance(tokens, state[cut:])
            return (log_prior + self.tilt.head(hidden)).log_softmax(-1), (*prior_state, *tilt_state)

        return tilted


Model = SequenceModel | TiltedModel


def without_value(model: SequenceModel) -> SequenceModel:
    """The same model, its value head at zero as a prior's must be."""
    nn.init.zeros_(model.value.weight)
    nn.init.zeros_(model.value.bias)
    return model


def frozen(model: SequenceModel) -> SequenceModel:
    """A copy that learns nothing: no gradient, no dropout."""
    return copy.deepcopy(model).requires_grad_(False).eval()
