"""What a model sees when it looks back: the tokens at some distances, the same moved along a scale, and streaks.

A streak is how many tokens in a row have repeated theirs, or were what the moved ones had let expect. Whole sequences
are looked at by `looked_back` and `moved_on`, one token at a time by `looking`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtutor.vocabulary import PAD

if TYPE_CHECKING:
    from seqtutor.priors.model import LstmModel

State = tuple[Tensor, ...]  # whatever a model remembers of what it has read: the rows of each part belong to sequences
Looks = Callable[[Tensor, State], tuple[Tensor, Tensor, State]]

STREAK = 16  # the longest that is told


def looked_back(before: Tensor, lookback: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of the tokens `before` (B, T) that are read: at each of K distances, the token there (B, T, K), counted from the
    one that follows, and how many in a row up to here have repeated theirs (B, T, K), 0 to STREAK.
    """
    length = before.shape[1]
    steps = torch.arange(length, device=before.device)
    places, streaks = before.new_zeros((2, *before.shape, len(lookback)))
    for i, distance in enumerate(lookback):
        past = F.pad(before, (distance, 0), value=PAD)
        places[..., i] = past[:, 1 : length + 1]
        last = torch.where(past[:, :length] == before, -1, steps).cummax(1).values  # where it was something else
        streaks[..., i] = (steps - last).clamp(max=STREAK)
    return places, streaks


def moved_on(
    before: Tensor, places: Tensor, lookback: Sequence[int], heights: Tensor, moved: Tensor
) -> tuple[Tensor, Tensor]:
    """Of the tokens `before` (B, T) that are read, with the `places` (B, T, K) that a look back finds: those tokens
    moved (B, T, K), and how many in a row up to here were what had been so expected of them (B, T, K), 0 to STREAK.

    A token is moved by as many steps as the latest height lies over the one that was the latest at that distance: what
    stood there a step higher is expected a step higher. `heights` (V,), `moved`: see `table_of_moves`.
    """
    steps = torch.arange(before.shape[1], device=before.device)
    height = heights[before]
    last = torch.where(height < 0, -1, steps).cummax(1).values
    latest = torch.where(last < 0, -1, height.gather(1, last.clamp(min=0)))
    expected, streaks = torch.empty_like(places), torch.empty_like(places)
    for i, distance in enumerate(lookback):
        then = F.pad(latest, (distance, 0), value=-1)[:, : before.shape[1]]
        expected[..., i] = moved[places[..., i], _shift(latest, then) + (moved.shape[1] - 1) // 2]
        missed = F.pad(expected[..., :-1, i], (1, 0), value=PAD) != before
        streaks[..., i] = (steps - torch.where(missed, steps, -1).cummax(1).values).clamp(max=STREAK)
    return expected, streaks


def _shift(now: Tensor, then: Tensor) -> Tensor:
    """By how many steps the height of the latest token lies over that of an earlier one; 0 where one has none."""
    return torch.where((now < 0) | (then < 0), 0, now - then)


def table_of_moves(heights: Sequence[int]) -> Tensor:
    """The token (V, 2 R + 1) that lies so many steps, -R to R, over each of V tokens whose height, from 0, is given.

    A token without a height (-1) stays what it is. Of several of one height the first is taken; where there is none at
    that height, PAD.
    """
    at = {height: token for token, height in reversed(list(enumerate(heights))) if height >= 0}
    reach = max(at, default=0)
    return torch.tensor(
        [
            [token if height < 0 or not shift else at.get(height + shift, PAD) for shift in range(-reach, reach + 1)]
            for token, height in enumerate(heights)
        ]
    )


def looking(model: LstmModel, device: torch.device) -> Looks:
    """What is seen when looking back from a step: tokens (B,), state -> places, streaks, the state of that."""
    distances = torch.tensor(model.lookback, dtype=torch.int64, device=device)

    def look(tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        if not model.lookback:
            return tokens[:, None][:, :0], tokens[:, None][:, :0], ()
        past = torch.cat([state[0], tokens[:, None]], 1)
        places = past.index_select(1, past.shape[1] - distances)
        again = past.index_select(1, past.shape[1] - 1 - distances) == tokens[:, None]
        if model.heights is None:
            streaks = torch.where(again, (state[1] + 1).clamp(max=STREAK), 0)
            return places, streaks, (past[:, 1:], streaks)
        heights, expected = state[2:4]
        streaks = torch.where(torch.cat([again, expected == tokens[:, None]], 1), (state[1] + 1).clamp(max=STREAK), 0)
        height = model.heights[tokens][:, None]
        heights = torch.cat([heights, torch.where(height < 0, heights[:, -1:], height)], 1)
        then = heights.index_select(1, heights.shape[1] - 1 - distances)
        expected = model.moved[places, _shift(heights[:, -1:], then) + model.reach]
        return torch.cat([places, expected], 1), streaks, (past[:, 1:], streaks, heights[:, 1:], expected)

    return look
