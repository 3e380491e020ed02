"""The sequence models: an LSTM with a head over tokens and a value, and the prior tilted by one."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtutor.vocabulary import BOS, EOS, PAD, Vocabulary

# The logit of a token that is never produced. Finite, so that 0 * logit is 0 and not NaN in an expectation.
FORBIDDEN = -1e9

State = tuple[Tensor, ...]  # each (layers, B, hidden): rows of dimension 1 belong to sequences


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

    def start(self, batch: int) -> State:
        """The state before BOS of `batch` sequences."""
        shape = (self.lstm.num_layers, batch, self.lstm.hidden_size)
        zeros = torch.zeros(shape, device=self.head.weight.device, dtype=self.head.weight.dtype)
        return zeros, zeros

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One token a sequence (B,) -> hidden states (B, H), and the state after it.

        Cell by cell: on a CPU this is quicker than the LSTM's own single step, which packs its weights every time.
        """
        x, (h, c) = self.embedding(tokens), state
        hs, cs = [], []
        for layer in range(self.lstm.num_layers):
            kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            x, cell = torch.lstm_cell(x, (h[layer], c[layer]), *(getattr(self.lstm, f"{k}_l{layer}") for k in kinds))
            hs.append(x)
            cs.append(cell)
        return x, (torch.stack(hs), torch.stack(cs))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One token a sequence (B,) -> log-probabilities (B, V) of the next one, and the state after it."""
        hidden, state = self.advance(tokens, state)
        return self.logits(hidden).log_softmax(-1), state


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

    def start(self, batch: int) -> State:
        """The state before BOS of `batch` sequences: the prior's, then the tilt's."""
        return *self.prior.start(batch), *self.tilt.start(batch)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """As SequenceModel.step."""
        log_prior, prior_state = self.prior.step(tokens, state[:2])
        hidden, tilt_state = self.tilt.advance(tokens, state[2:])
        return (log_prior + self.tilt.head(hidden)).log_softmax(-1), (*prior_state, *tilt_state)


Model = SequenceModel | TiltedModel


def without_value(model: SequenceModel) -> SequenceModel:
    """The same model, its value head at zero as a prior's must be."""
    nn.init.zeros_(model.value.weight)
    nn.init.zeros_(model.value.bias)
    return model


def frozen(model: SequenceModel) -> SequenceModel:
    """A copy that learns nothing: no gradient, no dropout."""
    return copy.deepcopy(model).requires_grad_(False).eval()
