"""Real tokens per second of sampling and of pre-training, as a share of what the matrix product allows.

The bound: multiply-adds that the weights need for one token, at the rate of a large square matrix product measured in
the same run and the same precision; bfloat16 is what runs learn in. Padding is not counted as work done. Medians of
several rounds; run on an idle machine.

    python benchmarks/speed.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from seqtutor import load
from seqtutor.priors.encoding import padded
from seqtutor.priors.lookback import State
from seqtutor.priors.model import LstmModel
from seqtutor.priors.sampling import sample_tokens
from seqtutor.priors.stepping import Step
from seqtutor.training.pretraining import bucketed, nll
from seqtutor.vocabulary import EOS, PAD

ROUNDS = 5
SIDE = 2048


def seconds(function: Callable[[], int]) -> tuple[float, float]:
    """Median seconds and median units a second of a function that returns how many units it did."""
    times, rates = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        units = function()
        times.append(time.perf_counter() - start)
        rates.append(units / times[-1])
    return statistics.median(times), statistics.median(rates)


def matrix_rate(precision: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    a, b = torch.randn(SIDE, SIDE).to(precision), torch.randn(SIDE, SIDE).to(precision)
    _ = a @ b

    def product() -> int:
        torch.mm(a, b)
        return 2 * SIDE**3

    return seconds(product)[1]


def operations(model: LstmModel) -> int:
    """Operations of one token forward: two for each weight of a matrix."""
    return 2 * sum(w.numel() for name, w in model.named_parameters() if w.ndim == 2 and "embedding" not in name)


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    domain = load("molecules")
    corpus = domain.corpus()[:6400]
    sequences = [[*domain.vocabulary.encode(domain.encode(text)), EOS] for text in corpus]
    wide, narrow = matrix_rate(torch.float32), matrix_rate(torch.bfloat16)
    rates = f"{wide / 1e9:.0f} GFLOP/s in float32, {narrow / 1e9:.0f} in bfloat16"
    print(f"{torch.get_num_threads()} threads, a product of two matrices of {SIDE} x {SIDE}: {rates}\n")
    print(f"{'model':<8}{'work':<26}{'tokens/s':>10}{'bound':>10}{'share':>8}")
    works = (
        ("sampling", 1, sampled, wide),
        ("the same in bfloat16", 1, partial(sampled, narrow=True), narrow),
        ("pre-training", 3, trained, wide),
        ("the same in bfloat16", 3, partial(trained, narrow=True), narrow),
    )
    for layers in (1, 2, 3):
        model = LstmModel(domain.vocabulary, embedding=128, hidden=512, layers=layers)
        for work, factor, function, rate in works:
            function(model, sequences)
            _, speed = seconds(partial(function, model, sequences))
            bound = rate / (factor * operations(model))
            print(f"{layers}x512   {work:<26}{speed:>10,.0f}{bound:>10,.0f}{speed / bound:>8.2f}", flush=True)


def sampled(model: LstmModel, sequences: list[list[int]], *, narrow: bool = False) -> int:
    """Sample 512 sequences whose lengths are those of real molecules, as a run does; returns the real tokens."""
    lengths = torch.tensor([len(s) for s in sequences[:512]])
    forced = SteppedLengths(model, lengths, narrow)
    tokens = sample_tokens(forced, 512, 100, torch.Generator().manual_seed(0))
    count = int((tokens != PAD).sum())
    if count != int(lengths.sum()):
        raise RuntimeError(f"{count} tokens were sampled where {int(lengths.sum())} were asked for")
    return count


class SteppedLengths(LstmModel):
    """The same work as the model's, ended at given lengths: an untrained model's own lengths would mean nothing."""

    def __init__(self, model: LstmModel, lengths: torch.Tensor, narrow: bool) -> None:
        super().__init__(model.vocabulary, embedding=128, hidden=512, layers=model.lstm.num_layers)
        self.load_state_dict(model.state_dict())
        self.lengths, self.narrow = lengths, narrow

    def start(self, batch: int, length: int) -> State:
        """The model's start, and the lengths that are left as one more part of the state."""
        return (*super().start(batch, length), self.lengths[:batch])

    def stepper(self) -> Step:
        """The model's step; EOS is certain at the given length and impossible before."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.narrow):
            step, t = super().stepper(), 0
        only_end = torch.where(torch.arange(len(self.vocabulary)) == EOS, 0.0, -1e9)

        def stepped(tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
            nonlocal t
            logp, after = step(tokens, state[:-1])
            t += 1
            logp[:, EOS] = -1e9
            logp[state[-1] <= t] = only_end
            return logp, (*after, state[-1])

        return stepped


def trained(model: LstmModel, sequences: list[list[int]], *, narrow: bool = False) -> int:
    """Twelve gradient steps of 64 sequences in length buckets, products in bfloat16 if `narrow`; the real tokens."""
    optimiser, count = torch.optim.Adam(model.parameters()), 0
    for i, batch in enumerate(bucketed(sequences, 64, np.random.default_rng(0))):
        if i == 12:
            break
        tokens = torch.from_numpy(padded(batch))
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            loss = nll(model, tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        count += int((tokens != PAD).sum())
    return count


if __name__ == "__main__":
    main()
