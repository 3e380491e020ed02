"""What the shipped priors are worth: held-out figures beside a Markov baseline, and what samples look like.

python benchmarks/priors.py music
python benchmarks/priors.py music-6-8
python benchmarks/priors.py molecules
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from seqtutor import BOS, Domain
from seqtutor.config import PretrainConfig, build
from seqtutor.priors.encoding import padded
from seqtutor.priors.files import load_prior, model_folder, read_about
from seqtutor.priors.model import LstmModel
from seqtutor.priors.sampling import draw
from seqtutor.runs.drawing import open_model, texts_of
from seqtutor.training.pretraining import Examples, examples, held_out_figures


def markov(data: Examples, order: int, vocabulary: int) -> tuple[float, float]:
    """Held-out loss (nats a token) and accuracy of an order-n Markov model with Witten-Bell smoothing."""
    counts: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for sequence in data.train:
        padded = [BOS] * order + sequence
        for t in range(order, len(padded)):
            for n in range(order + 1):
                counts[tuple(padded[t - n : t])][padded[t]] += 1

    def distribution(context: tuple[int, ...]) -> list[float]:
        lower = [1 / vocabulary] * vocabulary if not context else known(context[1:])
        seen = counts[context]
        total, kinds = seen.total(), len(seen)
        return [(seen[i] + kinds * lower[i]) / (total + kinds) for i in range(vocabulary)] if total else lower

    cache: dict[tuple[int, ...], list[float]] = {}

    def known(context: tuple[int, ...]) -> list[float]:
        if context not in cache:
            cache[context] = distribution(context)
        return cache[context]

    loss, right, count = 0.0, 0, 0
    for sequence in data.held_out:
        padded = [BOS] * order + sequence
        for t in range(order, len(padded)):
            row = known(tuple(padded[t - order : t]))
            loss -= math.log(row[padded[t]])
            right += row[padded[t]] == max(row)
            count += 1
    return loss / count, right / count


def music(domain: Domain, model: LstmModel, data: Examples, texts: Sequence[str]) -> None:
    """Copies from the corpus: 1,000 samples, and held-out excerpts against the training part for scale."""
    from seqtutor_music.copies import copied, stretches

    two = 2 * domain.unit  # bars
    corpus = stretches(padded([domain.vocabulary.encode(domain.encode(text)) for text in texts]), two)
    drawn, _ = draw(model, domain, 1000, torch.Generator().manual_seed(0))
    print(f"samples with two bars of the corpus: {copied(drawn, corpus, two).mean():.1%} of {len(drawn)}")
    held, train = padded(data.held_out), stretches(padded(data.train), two)
    print(f"for scale, held-out excerpts that share two with the training part: {copied(held, train, two).mean():.1%}")


def molecules(domain: Domain, model: LstmModel, data: Examples, texts: Sequence[str]) -> None:
    """The domain's measures of 10,000 samples."""
    for measure in domain.measure(texts_of(model, domain, 10_000, 0)):
        scale, unit = (100, " %") if measure.percent else (1, "")
        print(f"{measure.name:<20}{measure.mean * scale:>9.2f} ± {measure.halfwidth * scale:.2f}{unit}")


def main(name: str) -> None:
    """Print the figures of one shipped prior."""
    domain = open_model(name).domain
    model, about = load_prior(name, domain), read_about(model_folder(name), "model")
    training: dict[str, Any] = {k: v for k, v in about["training"].items() if k not in ("data", "then")}
    texts = domain.corpus()
    data = examples(domain, texts, build(PretrainConfig, training))
    print(f"{'held out':<22}{'nats/token':>12}{'accuracy':>10}")
    for order in (0, 1, 2, 3) if domain.name == "music" else ():
        loss, accuracy = markov(data, order, len(domain.vocabulary))
        print(f"Markov, order {order:<8}{loss:>12.4f}{accuracy:>10.1%}")
    loss, accuracy = held_out_figures(model, data.held_out)
    print(f"{'the prior':<22}{loss:>12.4f}{accuracy:>10.1%}\n")
    {"music": music, "molecules": molecules}[domain.name](domain, model, data, texts)


if __name__ == "__main__":
    main(sys.argv[1])
