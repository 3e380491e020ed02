"""The maximum-likelihood loop: a prior from data, with a held-out loss, an early stop, and a resume."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from seqtutor.config import MADE_BY, PretrainConfig
from seqtutor.domain import Domain
from seqtutor.errors import UserError, about
from seqtutor.hardware import check_memory
from seqtutor.inference.features import encoded
from seqtutor.priors.encoding import padded, with_end
from seqtutor.priors.files import load_prior, save_model
from seqtutor.priors.model import LstmModel
from seqtutor.runs.checkpoint import Pace, Stateful, check_state, load_checkpoint, save_checkpoint
from seqtutor.runs.folder import RunFolder
from seqtutor.signals import whole
from seqtutor.training.lessons import OF_DATA, check_looks, same_data
from seqtutor.training.optimiser import Adam
from seqtutor.vocabulary import PAD, SPECIAL

T = TypeVar("T")
POOL = 50  # batches that are sorted by length together


@dataclass(frozen=True)
class Examples:
    """Sequences of ids to learn from and, from other items, to measure on; EOS included where there is one."""

    train: list[list[int]]
    held_out: list[list[int]]
    unused: int = 0  # items that are too short, or too long, for the domain's length
    sizes: list[int] = field(default_factory=list)  # how many sequences in a row of `held_out` are of one item
    families: int = 0  # that are held out as a whole; 0: the split is by item
    copies: int = 0  # texts that are held out and learnt from, as they stand there several times


@dataclass
class Progress:
    """How far a pre-training got: everything that `resume` needs beside the tensors."""

    update: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float = math.inf
    stale: int = 0
    loss_sum: float = 0.0
    since: int = 0
    history: list[tuple[int, float, float]] = field(default_factory=list)  # (update, train loss, held-out loss)

    def count(self, loss: float, tokens: int, seconds: float) -> None:
        """Note one update."""
        self.update += 1
        self.tokens += tokens
        self.seconds = seconds
        self.loss_sum += loss
        self.since += tokens


PROGRESS: dict[str, Any] = {  # the form of a Progress as JSON
    **dict.fromkeys(("update", "tokens", "stale", "since"), int),
    **dict.fromkeys(("seconds", "loss_sum"), float),
    "best": Real,
    "history": [[Real]],
}


def examples(domain: Domain, texts: Sequence[str], config: PretrainConfig) -> Examples:
    """Split `texts` by item, or family: lessons of the domain to learn from, excerpts of the other items held out."""
    order = [texts[i] for i in np.random.default_rng([config.seed, 0]).permutation(len(texts))]
    most = max(1, round(config.held_out * len(order)))
    by_family = config.split == "family" and domain.offers("family")
    families = whole_families(each(texts, domain.family), order, most) if by_family else {}
    aside = {text for members in families.values() for text in members}
    kept = [text for text in order if text in aside] or order[:most]
    rest = [text for text in order if text not in aside] if aside else order[most:]
    measured = each(texts, lambda text: encoded(domain, text))
    taught = each(texts, lambda text: [with_end(domain, lesson) for lesson in domain.lessons(text)])
    items, learnt = [measured(text) for text in kept], [taught(text) for text in rest]
    held_out, train = ([s for item in part for s in item] for part in (items, learnt))
    if not train or not held_out:
        raise UserError(
            f"{len(texts)} items are too few to learn from: the training and the held-out part both need one whose "
            f"length fits (at most {domain.max_length} tokens{', and no fewer' if domain.fixed_length else ''})"
        )
    unused = sum(not item for item in items + learnt)
    copies = len(set(kept) & set(rest))
    return Examples(train, held_out, unused, [len(item) for item in items if item], len(families), copies)


def each(texts: Sequence[str], ask: Callable[[str], T]) -> Callable[[str], T]:
    """The question `ask`, of which an error says which of `texts` it is about."""

    def asked(text: str) -> T:
        with about(text, texts):
            return ask(text)

    return asked


def whole_families(family: Callable[[str], str], texts: Sequence[str], most: int) -> dict[str, list[str]]:
    """Families with all their members, at most `most` in all, in the order of `texts`; those that do not fit left out.

    None where each family is larger than that: then nothing but single items can be held out.
    """
    families: dict[str, list[str]] = {}
    for text in texts:
        families.setdefault(family(text), []).append(text)
    kept: dict[str, list[str]] = {}
    for name, members in families.items():
        if len(members) <= most:
            kept[name] = members
            most -= len(members)
    return kept


def bucketed(sequences: Sequence[Sequence[int]], batch: int, rng: np.random.Generator) -> Iterator[list[Sequence[int]]]:
    """One pass over `sequences` in random order, each batch of nearly one length, so that little of it is padding."""
    order = rng.permutation(len(sequences))
    for start in range(0, len(order), POOL * batch):
        pool = sorted(order[start : start + POOL * batch], key=lambda i: len(sequences[i]))
        batches = [pool[i : i + batch] for i in range(0, len(pool), batch)]
        for j in rng.permutation(len(batches)):
            yield [sequences[i] for i in batches[j]]


def nll(model: LstmModel, tokens: Tensor) -> Tensor:
    """Negative log-likelihood of all real tokens of `tokens` (B, T), nats."""
    logits = model.logits(model.hidden(tokens)).flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, tokens.flatten(), ignore_index=PAD, reduction="sum")


@torch.no_grad()
def held_out_figures(model: LstmModel, sequences: Sequence[Sequence[int]], batch: int = 256) -> tuple[float, float]:
    """Negative log-likelihood (nats per token) and accuracy (share of tokens guessed right) of `sequences`."""
    model.eval()
    ordered, device = sorted(sequences, key=len), model.device
    total, right, count = 0.0, 0, 0
    for start in range(0, len(ordered), batch):
        tokens = torch.from_numpy(padded(ordered[start : start + batch])).to(device)
        real, logp = tokens != PAD, model(tokens)
        total -= float(logp.gather(-1, tokens[..., None])[..., 0][real].double().sum())
        right += int((logp.argmax(-1) == tokens)[real].sum())
        count += int(real.sum())
    return total / count, right / count


def learning_rate(config: PretrainConfig, update: int, updates: int) -> float:
    """A warm-up over the first 3 %, then a cosine to 0."""
    done = update / updates
    return config.learning_rate * min(1.0, (update + 1) / (0.03 * updates)) * 0.5 * (1 + math.cos(math.pi * done))


Report = Callable[[Progress, int], None]  # progress so far, updates in all


@dataclass(frozen=True)
class Trainer:
    """What one pre-training works on; `parts` is all that a checkpoint must hold beside the progress."""

    model: LstmModel
    best: LstmModel
    optimiser: torch.optim.Optimizer
    scale: float  # tokens of an average batch

    @property
    def parts(self) -> dict[str, Stateful]:
        """The model, the best so far, the optimiser, and the generator that dropout draws from."""
        return {
            "model": self.model,
            "best": self.best,
            "optimiser": self.optimiser,
            "generator": torch.default_generator,
        }

    def learn(self, sequences: Sequence[Sequence[int]], rate: float) -> tuple[float, int]:
        """One gradient step -> the loss (nats) and the number of real tokens.

        The loss is divided by a constant, not by the batch's own tokens: batches hold sequences of one length, and a
        token of a short one must not weigh more than a token of a long one (a model would learn to end too early).
        """
        tokens = torch.from_numpy(padded(sequences)).to(self.model.device)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimiser.zero_grad()
        loss = nll(self.model, tokens)
        (loss / self.scale).backward()  # type: ignore[no-untyped-call]
        if not torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0).isfinite():
            raise UserError(
                f"the gradient is not finite at a learning rate of {rate:g}, loss {loss.item():g}: give a smaller "
                "--learning-rate, a tenth of it say; an earlier checkpoint is kept"
            )
        self.optimiser.step()
        return loss.item(), int((tokens != PAD).sum())

    def evaluate(self, held_out: Sequence[Sequence[int]], progress: Progress) -> None:
        """Measure the held-out loss, note it, and keep the model if it is the best so far."""
        held, _ = held_out_figures(self.model, held_out)
        progress.history.append((progress.update, progress.loss_sum / progress.since, held))
        progress.loss_sum, progress.since = 0.0, 0
        progress.stale = 0 if held < progress.best else progress.stale + 1
        if held < progress.best:
            progress.best = held
            self.best.load_state_dict(self.model.state_dict())


def new_trainer(domain: Domain, data: Examples, config: PretrainConfig) -> Trainer:
    """A fresh model, or the prior to go on from, and its optimiser; seeds torch's own generator."""
    cells, inputs = config.hidden * config.layers, config.embedding + config.hidden
    parameters = 4.0 * cells * inputs + inputs * len(domain.vocabulary)
    check_memory(  # five of each: the model, the best so far, the gradient, Adam's two moments
        f"hidden {config.hidden:,}, embedding {config.embedding:,}, layers {config.layers:,}", 5 * 4 * parameters
    )
    longest = max(map(len, data.train))
    tokens = min(config.batch, len(data.train)) * longest
    check_memory(f"batch {config.batch:,}", 4.0 * tokens * cells)
    torch.manual_seed(config.seed)
    if config.prior:
        model = load_prior(config.prior, domain, grow=True)
        check_looks(config.prior, model, domain)
        model.dropout.p = model.shape["dropout"] = config.dropout
    else:
        model = _new_model(domain, config, longest)
    model.to(config.device)
    optimiser = Adam(model.parameters(), betas=(0.9, 0.99))
    return Trainer(model, copy.deepcopy(model), optimiser, config.batch * sum(map(len, data.train)) / len(data.train))


def _new_model(domain: Domain, config: PretrainConfig, longest: int) -> LstmModel:
    return LstmModel(
        domain.vocabulary,
        embedding=config.embedding,
        hidden=config.hidden,
        layers=config.layers,
        dropout=config.dropout,
        fixed_length=domain.fixed_length,
        clock=longest if domain.fixed_length else 0,
        lookback=domain.lookback,
        heights=[*([-1] * len(SPECIAL)), *domain.heights] if domain.heights else (),
    )


def stream(data: Examples, config: PretrainConfig, start: int, per_epoch: int) -> Iterator[list[Sequence[int]]]:
    """Batches from update `start` on, epoch after epoch: which ones depends on the seed and the epoch alone."""
    for epoch in itertools.count(start // per_epoch):
        batches = bucketed(data.train, config.batch, np.random.default_rng([config.seed, 1, epoch]))
        yield from itertools.islice(batches, start % per_epoch if epoch == start // per_epoch else 0, None)


def respelt(
    domain: Domain, sequences: Sequence[Sequence[int]], share: float, rng: np.random.Generator
) -> list[Sequence[int]]:
    """The sequences of ids, a `share` of them in another spelling of the same item."""

    def other(ids: Sequence[int]) -> list[int]:
        text = domain.decode(domain.vocabulary.decode(ids))
        with about(text):
            return with_end(domain, domain.rewrite(text, rng))

    return [other(ids) if rng.random() < share else ids for ids in sequences]


def pretrain(
    domain: Domain, data: Examples, config: PretrainConfig, folder: Path, report: Report
) -> tuple[LstmModel, Progress]:
    """Learn a prior -> the model that is to be kept. Goes on from `folder/checkpoint` if there is one."""
    if config.rewrite and not domain.offers("rewrite"):
        raise UserError(f"rewrite is {config.rewrite}, but domain '{domain.name}' offers none; set it to 0")
    trainer = new_trainer(domain, data, config)
    check = functools.partial(check_state, form=PROGRESS)
    progress = Progress(**load_checkpoint(folder / "checkpoint", trainer.parts, check))
    per_epoch = math.ceil(len(data.train) / config.batch)
    updates = max(1, round(config.epochs * per_epoch)) if config.epochs else 0
    every = max(1, updates // config.evaluations)
    began, pace, torn = time.monotonic() - progress.seconds, Pace(), False
    try:
        for sequences in stream(data, config, progress.update, per_epoch):
            stale = config.keep == "best" and progress.stale >= config.patience
            if progress.update >= updates or stale:
                break
            if config.rewrite:
                sequences = respelt(
                    domain, sequences, config.rewrite, np.random.default_rng([config.seed, 2, progress.update])
                )
            with whole():
                torn = True
                loss, tokens = trainer.learn(sequences, learning_rate(config, progress.update, updates))
                progress.count(loss, tokens, time.monotonic() - began)
                if progress.update % every == 0 or progress.update == updates:
                    trainer.evaluate(data.held_out, progress)
                torn = False
            if pace.due:
                with pace.saving():
                    save_checkpoint(folder / "checkpoint", trainer.parts, vars(progress))
            report(progress, updates)
    finally:
        if not torn:
            save_checkpoint(folder / "checkpoint", trainer.parts, vars(progress))
    return (trainer.best if config.keep == "best" else trainer.model).eval(), progress


def into(
    run: RunFolder, domain: Domain, data: Examples, config: PretrainConfig, report: Report
) -> tuple[LstmModel, dict[str, float]]:
    """Learn a prior in the folder of a run, which is locked, and write it there -> the model and its figures."""
    run.save_config(config, {MADE_BY: {OF_DATA: same_data(run.folder, data.train, data.held_out)}})
    model, progress = pretrain(domain, data, config, run.folder, report)
    return model, save_prior(model, domain, data, config, progress, run.folder)


def save_prior(
    model: LstmModel, domain: Domain, data: Examples, config: PretrainConfig, progress: Progress, folder: Path
) -> dict[str, float]:
    """Write `model.safetensors` (half precision), `config.json` with the figures."""
    loss, accuracy = held_out_figures(model, data.held_out)
    figures = {
        "held_out_nll": loss,
        "held_out_accuracy": accuracy,
        "train_sequences": len(data.train),
        "held_out_sequences": len(data.held_out),
        "updates": progress.update,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 1),
    }
    save_model(
        model, folder, "model", half=True, domain=domain.name, training=dataclasses.asdict(config), figures=figures
    )
    return figures
