"""An LSTM one token at a time, which on a CPU is quicker than its own single step: sampling spends its time here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtutor.priors.lookback import State, looking

if TYPE_CHECKING:
    from seqtutor.priors.model import LstmModel

Step = Callable[[Tensor, State], tuple[Tensor, State]]
Advance = Callable[[Tensor, State], tuple[Tensor, Tensor, Tensor, State]]


@torch.no_grad()
def cells(model: LstmModel) -> Advance:
    """Of the weights as they stand: tokens (B,), state -> output (B, H), places, streaks (B, K), new state.

    `places` and `streaks` are those of `looked_back`, `moved_on` of them where the model has heights.

    The weights are laid out for one token at a time: every embedding times the first layer's input weights is a row of
    one table, the two products of any other layer are one, and tanh(x) = 2 sigmoid(2x) - 1 lets one sigmoid serve the
    four gates. Made under autocast they multiply what was read in its type; all else stays as the weights are.
    """
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    numbers = range(model.lstm.num_layers)
    layers = [[_doubled(getattr(model.lstm, f"{kind}_l{number}")) for kind in kinds] for number in numbers]
    into, first, *biases = layers[0]
    times = _product(model.device.type)
    with torch.autocast(model.device.type, enabled=False):
        read = _reading(model, into, biases[0] + biases[1])
    onwards = times(first)
    deeper = [(times(torch.cat([into, over], 1)), one + two) for into, over, one, two in layers[1:]]

    def advance(tokens: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
        gates, places, streaks, rest = read(tokens, state[2 * len(layers) :])
        after: State = _cell(onwards(state[0], gates), state[1])
        for layer, (product, bias) in enumerate(deeper, start=1):
            read_here = torch.cat([after[-2], state[2 * layer]], 1)
            after += _cell(product(read_here, bias.expand(len(tokens), -1).clone()), state[2 * layer + 1])
        return after[-2], places, streaks, after + rest

    return advance


def _product(device: str) -> Callable[[Tensor], Callable[[Tensor, Tensor], Tensor]]:
    """Of weights (O, I): what adds x (B, I) times them to a sum (B, O), in its place; in autocast's type, if any."""
    narrow = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None

    def of(weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        if narrow is None:
            return lambda x, total: total.addmm_(x, weight.T)
        columns = weight.to(narrow).T.contiguous()
        return lambda x, total: total.add_(x.to(narrow) @ columns)

    return of


def _reading(model: LstmModel, into: Tensor, bias: Tensor) -> Advance:
    """What is read at a step: tokens (B,), state of lookback and clock -> gates (B, 4 H), places, streaks, that state.

    The token, the token at each distance, the streak there and the time left are a row each of one table.
    """
    parts = [model.embedding, *model.there, *model.again] + ([model.clock] if model.clock is not None else [])
    rows = [part.get_parameter("weight") for part in parts]
    table = F.linear(torch.cat(rows), into)
    table[: len(rows[0])] += bias
    first_rows = torch.tensor([0, *(len(part) for part in rows)], device=into.device).cumsum(0)[:-1]
    look = looking(model, into.device)

    def read(tokens: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
        places, streaks, rest = look(tokens, state)
        rows_read = [tokens[:, None], places, streaks]
        if model.clock is not None:
            rows_read.append(hand(state[-1], model.clock)[:, None])
            rest += (state[-1] - 1,)
        gates = F.embedding_bag(torch.cat(rows_read, 1) + first_rows, table, mode="sum")
        return gates, places, streaks, rest

    return read


def hand(left: Tensor, clock: nn.Embedding) -> Tensor:
    """Tokens left (...) -> the row of the clock that is read there; of padding any."""
    return (left - 1).clamp(min=0) % clock.num_embeddings


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
