"""The sequence models: what one must answer, and an LSTM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtutor.priors.lookback import STREAK, State, looked_back, moved_on, table_of_moves
from seqtutor.priors.stepping import Step, cells, hand
from seqtutor.vocabulary import BOS, EOS, HIGHEST, PAD, Vocabulary

# The logit of a token that is never produced. Finite, so that 0 * logit is 0 and not NaN in an expectation.
FORBIDDEN = -1e9
VALUE_SPEED = 10.0  # how much faster the value heads learn, which start from nothing, than the pre-trained body
MOVES = 1 << 20  # tokens times the highest height: the table of moves has twice as many entries
LOOKS, FARTHEST = 16, 1 << 16  # at how many places, at the most, a model looks back, and how many tokens


def forbidden(dtype: torch.dtype) -> float:
    """FORBIDDEN, or the nearest to it that a narrow float can hold."""
    return max(FORBIDDEN, torch.finfo(dtype).min / 4)


class Model(nn.Module, ABC):
    """A distribution over the next token and a value V(s) that starts at zero; every other model answers this too.

    A prior never trains its value; a policy tuned from it reads Q and Psi as V(s) + log pi(a|s) (the dueling form),
    which at step 0 is the prior's normalised log-probability, exactly.
    """

    vocabulary: Vocabulary
    fixed_length: bool  # True: items have exactly the domain's length, and EOS is never produced
    shape: dict[str, Any]  # what a model of this size is made from, as JSON can hold it

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    @abstractmethod
    def hidden(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) -> hidden states (B, T, H): the one at t has read BOS and the tokens before t."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> logits (..., V); what is never produced gets `forbidden`."""

    @abstractmethod
    def value(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> V (..., 1)."""

    @abstractmethod
    def value_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that V is linear in: its last layer."""

    @abstractmethod
    def start(self, batch: int, length: int) -> State:
        """The state before BOS of `batch` sequences of at most `length` tokens."""

    @abstractmethod
    def stepper(self) -> Step:
        """Of the weights as they stand: tokens (B,), state -> log-probabilities (B, V) of the next one, new state."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, T, V), nats, of every next token along `tokens` (B, T).

        Under autocast the body alone is narrow: what the heads say of a token must be exact to a hundredth of a nat.
        """
        return self._exactly(lambda hidden: self.logits(hidden).log_softmax(-1), tokens)

    def action_values(self, tokens: Tensor) -> Tensor:
        """V(s_t) + log pi(.|s_t) (B, T, V): the Q or Psi of every next token along `tokens` (B, T); as `forward`."""
        return self._exactly(self.valued, tokens)

    def _exactly(self, heads: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
        """What `heads` say of the hidden states along `tokens`, in the type of the weights."""
        hidden = self.hidden(tokens)
        with torch.autocast(hidden.device.type, enabled=False):
            return heads(hidden.to(next(self.parameters()).dtype))

    def valued(self, hidden: Tensor) -> Tensor:
        """The same of hidden states (..., H)."""
        return self.logits(hidden).log_softmax(-1) + self.value(hidden)

    def head_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that the logits are linear in: the last layer; none where a model does not tell."""
        return ()

    def parameter_groups(self, head_speed: float = 1.0) -> list[dict[str, Any]]:
        """Body, last layer and value head, each with how much faster than the body it learns.

        A body has tens of times as many weights as a last layer, and each of them adds noise to the policy: where a
        reward is known of few texts, what the body has learnt from data is better moved slowly.
        """
        groups = [(head_speed, list(self.head_parameters())), (VALUE_SPEED, list(self.value_parameters()))]
        known = {id(p) for _, some in groups for p in some}
        body = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        return [{"params": some, "speed": speed} for speed, some in [(1.0, body), *groups] if some]

    @torch.no_grad()
    def scale_values(self, factor: float) -> None:
        """Multiply V(s) of every state by `factor`; the probabilities stay."""
        for parameter in self.value_parameters():
            parameter.mul_(factor)


class _Embedding(nn.Embedding):
    """An embedding that is not drawn on the meta device, where it only says its shape.

    Drawing it there costs a second: torch imports its whole library of decompositions for it.
    """

    def reset_parameters(self) -> None:
        """Draw the weights."""
        if not self.weight.is_meta:
            super().reset_parameters()


class LstmModel(Model):
    """Embedding, LSTM, and two heads.

    `clock`: where all items have a fixed length, a model may know how many tokens are left until the end. What it reads
    at each step is the embedding of the token before plus one of that number. Numbers beyond `clock` are not told apart
    from those that many less: the hand goes round.

    `lookback`: where a form returns, as the bars of a tune do, a model may see again what stood so many tokens ago. For
    each distance it also reads the token there, and how many tokens in a row have repeated their own (the lookback of
    Magenta's melody models, 2016, tells whether the last one did). One number for each distance, from the state and
    from that count, is added to the logit of the token that stands there: to return to a bar, and to stay in it, is
    then one thing to learn, instead of one for every token.

    `heights`: where tokens lie on a scale, as pitches do, a form returns higher or lower, too. A model that is told the
    height of each token (-1: it has none) sees at each distance a second token: the one there, moved as far as the
    latest height has moved since. It is read, counted and pulled towards like the first. A motif that comes back a step
    higher is then one thing to learn, instead of one for every step.
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
        clock: int = 0,
        lookback: Sequence[int] = (),
        heights: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if clock < 0 or (clock and not fixed_length):
            raise ValueError(f"a clock of {clock} steps, in a model whose items end where they like")
        _check_looks(lookback, heights, len(vocabulary))
        self.vocabulary = vocabulary
        self.shape = {"embedding": embedding, "hidden": hidden, "layers": layers, "dropout": dropout, "clock": clock}
        self.shape |= {"lookback": list(lookback)} | ({"heights": list(heights)} if heights else {})
        self.fixed_length = fixed_length
        self.embedding = _Embedding(len(vocabulary), embedding)
        self.clock = _Embedding(clock, embedding) if clock else None
        self.lookback = tuple(lookback)
        looks = range(len(lookback) * (2 if heights else 1))  # at the tokens there, then at the same tokens moved
        self.there = nn.ModuleList(_Embedding(len(vocabulary), embedding) for _ in looks)  # the token at a distance
        self.again = nn.ModuleList(_Embedding(STREAK + 1, embedding) for _ in looks)  # how many repeated their own
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.pull = nn.Linear(hidden, len(looks)) if lookback else None  # towards the token at each distance
        self.pulls = nn.ModuleList(_Embedding(STREAK + 1, len(looks)) for _ in looks)
        self.head = nn.Linear(hidden, len(vocabulary))
        self.value_head = nn.Linear(hidden, 1)
        self.never: Tensor
        self.heights: Tensor | None
        self.moved: Tensor
        for name in ("never", "heights", "moved"):
            self.register_buffer(name, None, persistent=False)
        self.derive()
        self._initialise()

    def derive(self) -> None:
        """Work out what is not stored: which tokens are never produced (PAD, BOS, and EOS where the length is fixed),
        and where tokens move on their scale.
        """
        ids = [PAD, BOS, EOS] if self.fixed_length else [PAD, BOS]
        self.never = torch.zeros(len(self.vocabulary), dtype=torch.bool)
        self.never[ids] = True
        heights = self.shape.get("heights", [])
        self.heights = torch.tensor(heights) if heights else None
        self.moved = table_of_moves(heights)

    @property
    def reach(self) -> int:
        """How many steps a token can be moved, up or down."""
        return (self.moved.shape[-1] - 1) // 2

    def _initialise(self) -> None:
        """Orthogonal recurrences, a forget gate that starts open, a value of zero."""
        if self.head.weight.is_meta:
            return
        for table in (self.clock, *self.there, *self.again, *self.pulls):
            if table is not None:
                nn.init.zeros_(table.weight)
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
        """As Model.hidden: the LSTM's output, and with a lookback what it adds to the logit of each token."""
        before = F.pad(tokens[:, :-1], (1, 0), value=BOS)
        read = self.embedding(before)
        places, streaks = looked_back(before, self.lookback)
        if self.heights is not None:
            moved, kept = moved_on(before, places, self.lookback, self.heights, self.moved)
            places, streaks = torch.cat([places, moved], -1), torch.cat([streaks, kept], -1)
        for i, (there, again) in enumerate(zip(self.there, self.again, strict=True)):
            read = read + there(places[..., i]) + again(streaks[..., i])
        if self.clock is not None:
            left = (tokens != PAD).sum(-1, keepdim=True) - torch.arange(tokens.shape[1], device=tokens.device)
            read = read + self.clock(hand(left, self.clock))
        output, _ = self.lstm(self.dropout(read))
        return self._returning(output, places, streaks)

    def _returning(self, output: Tensor, places: Tensor, streaks: Tensor) -> Tensor:
        """The LSTM's output (..., H), beside it what is added to the logits (..., V), where the model looks back.

        `places`: the token at each distance (..., K), where there are heights the same K moved behind them. `streaks`:
        how many in a row have been what stood there, or was so expected.
        """
        if self.pull is None:
            dropped: Tensor = self.dropout(output)
            return dropped
        with torch.autocast(output.device.type, enabled=False):
            output = output.to(self.pull.weight.dtype)
            pull = self.pull(output) + sum(table(streaks[..., i]) for i, table in enumerate(self.pulls))
            added = output.new_zeros((*output.shape[:-1], len(self.vocabulary)))
            return torch.cat([self.dropout(output), added.scatter_add(-1, places, pull)], -1)

    def logits(self, hidden: Tensor) -> Tensor:
        logits = self.scores(hidden)
        return logits.masked_fill(self.never, forbidden(logits.dtype))

    def scores(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> what each token gets (..., V), also those that are never produced."""
        size = self.lstm.hidden_size
        scores: Tensor = self.head(hidden[..., :size])
        return scores if self.pull is None else scores + hidden[..., size:]

    def value(self, hidden: Tensor) -> Tensor:
        value: Tensor = self.value_head(hidden[..., : self.lstm.hidden_size])
        return value

    def head_parameters(self) -> Iterable[nn.Parameter]:
        """The token head, and what pulls towards the tokens that it looks back at; in the order of the modules."""
        layers = (*([self.pull] if self.pull else []), *self.pulls, self.head)
        return [p for layer in layers for p in layer.parameters()]

    def value_parameters(self) -> Iterable[nn.Parameter]:
        """The value head."""
        return self.value_head.parameters()

    def start(self, batch: int, length: int) -> State:
        """As Model.start: of every layer h (B, hidden) and c (B, hidden); with a lookback also the tokens before (B,
        one more than its farthest distance) and the streaks (B, K, with heights 2 K), with heights the latest height at
        each of those tokens and what is expected next (B, K); with a clock the tokens left (B,).
        """
        new, farthest = self.head.weight.new_full, max(self.lookback, default=-1) + 1
        cells = [new((batch, self.lstm.hidden_size), 0.0) for _ in range(2 * self.lstm.num_layers)]
        past = [new((batch, farthest), PAD, dtype=torch.int64)] if self.lookback else []
        streaks = [new((batch, len(self.there)), 0, dtype=torch.int64)] if self.lookback else []
        if self.heights is not None:
            streaks += [
                new((batch, farthest), -1, dtype=torch.int64),
                new((batch, len(self.lookback)), PAD, dtype=torch.int64),
            ]
        left = [new((batch,), length, dtype=torch.int64)] if self.clock is not None else []
        return *cells, *past, *streaks, *left

    def stepper(self) -> Step:
        advance = self.cells()

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            hidden, state = advance(tokens, state)
            return self.logits(hidden).log_softmax(-1), state

        return step

    def cells(self) -> Step:
        """Of the weights as they stand: tokens (B,), state -> hidden states (B, H), new state. No gradient."""
        advance = cells(self)

        @torch.no_grad()
        def returning(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            output, places, streaks, state = advance(tokens, state)
            return self._returning(output, places, streaks), state

        return returning


def _check_looks(lookback: Any, heights: Any, words: int) -> None:
    """Raise ValueError for what a model of so many `words` cannot look back by; a file may hold anything there."""
    listed = isinstance(lookback, Sequence) and len(lookback) <= LOOKS
    if not listed or not all(type(d) is int and 1 <= d <= FARTHEST for d in lookback):
        raise ValueError(f"lookback must be a list of at most {LOOKS} distances from 1 to {FARTHEST} tokens")
    listed = isinstance(heights, Sequence) and all(type(h) is int and -1 <= h <= HIGHEST for h in heights)
    if heights and not (lookback and listed and len(heights) == words):
        raise ValueError(f"heights must be a whole number from -1 to {HIGHEST} for each token, and need a lookback")
    if heights and len(heights) * max(heights) > MOVES:
        raise ValueError(f"{len(heights)} tokens up to a height of {max(heights)} are too many to be moved")


def without_value(model: LstmModel) -> LstmModel:
    """The same model, its value head at zero as a prior's must be."""
    nn.init.zeros_(model.value_head.weight)
    nn.init.zeros_(model.value_head.bias)
    return model
