"""The settings of a run: the only source of defaults, help texts, command-line options, TOML keys and saved configs."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import tomli_w

from seqtutor.domain import domain_class, option
from seqtutor.errors import UserError, unknown
from seqtutor.plugins import installed

PRIORITIES = ("uniform", "reward", "error")


@dataclass(frozen=True)
class PretrainConfig:
    """`seqtutor pretrain`: a prior from data, by maximum likelihood."""

    domain: str = option("", "Domain to learn, as listed by 'seqtutor domains'.")
    data: str = option("", "File or folder of your own items; empty: the domain's corpus.")
    epochs: float = option(3.0, "Passes over the data.")
    batch: int = option(64, "Sequences in an update.")
    learning_rate: float = option(6e-3, "Peak of Adam's learning rate; it falls to 0 on a cosine.")
    embedding: int = option(64, "Width of the token embedding.")
    hidden: int = option(512, "Cells of each LSTM layer.")
    layers: int = option(1, "LSTM layers.")
    dropout: float = option(0.0, "Share of embeddings and outputs dropped while learning.")
    held_out: float = option(0.01, "Share of the items kept aside to measure the held-out loss.")
    evaluations: int = option(20, "How often the held-out loss is measured.")
    patience: int = option(5, "Stop after this many measurements in a row without a better held-out loss.")
    seed: int = option(0, "Seed of everything random.")
    device: str = option("cpu", "Where to compute: cpu, or cuda.")
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _positive(self, "epochs", "batch", "learning_rate", "embedding", "hidden", "layers", "evaluations", "patience")
        _between(self, "dropout", 0, 0.9)
        _between(self, "held_out", 0.001, 0.5)
        check_seed(self.seed)


@dataclass(frozen=True)
class TrainConfig:
    """`seqtutor train`: tune a prior towards a reward."""

    domain: str = option("", "Domain to tune in, as listed by 'seqtutor domains'.")
    prior: str = option("", "Prior to start from: a shipped one's name, or a folder; empty: the domain's name.")
    objective: str = option("psi", "Rule that moves the policy; 'seqtutor verify' lists and checks them.")
    updates: int = option(200, "Rounds of sampling, scoring and learning.")
    rollouts: int = option(64, "Sequences sampled in an update.")
    temperature: float = option(1.0, "Temperature c of the reward, in reward per nat: large stays close to the prior.")
    learning_rate: float = option(1e-3, "Adam's learning rate.")
    learning_rate_end: float = option(0.0, "Learning rate at the last update, approached in equal steps; 0: constant.")
    learning_steps: int = option(2, "Gradient steps in an update.")
    batch: int = option(64, "Stored sequences in a gradient step.")
    replay: int = option(4096, "Sequences that are remembered; the oldest are forgotten first.")
    temperature_end: float = option(0.0, "Temperature at the last update, approached by equal factors; 0: constant.")
    kl_budget: float = option(
        math.inf, "KL to the prior, nats per token, that the temperature is adapted to; inf: none."
    )
    span: int = option(8, "Steps n of an n-step target.")
    trace: float = option(1.0, "Lambda that the 1- to n-step targets are averaged with; 1: the n-step one alone.")
    gamma: float = option(1.0, "Discount; only at 1 is the fixed point prior * exp(reward / temperature).")
    huber: float = option(2.0, "Nats beyond which a gap is not squared but goes on in a straight line; inf: never.")
    clip: float = option(0.2, "How far PPO's probability ratio may pay: from 1 - clip to 1 + clip.")
    priority: str = option(
        "uniform", "Stored sequences to learn from: uniform, or by rank of reward or error.", PRIORITIES
    )
    vary: float = option(0.0, "Share of the rollouts that are variations of the best stored items, not samples.")
    rewrite: float = option(0.0, "Share of a batch that is learnt in another spelling of the same item.")
    target_rate: float = option(0.05, "Share of the policy that the target network takes over in a gradient step.")
    repeats: str = option("paid", "What a text earns that an earlier update has seen.", ("paid", "unpaid"))
    samples: int = option(1000, "Samples of the prior and of the policy that the final table stands on.")
    best_of: int = option(16, "n of the free baseline 'best of n from the prior'.")
    failures: float = option(0.2, "Largest share of a batch that a term may fail to score before the run stops.")
    hold_out: Sequence[str] = option((), "Term to watch and never pay; may be repeated.")
    stop_on_collapse: bool = option(False, "At an alarm, go back to the last healthy policy and end the run there.")
    seed: int = option(0, "Seed of everything random.")
    device: str = option("cpu", "Where to compute: cpu, or cuda.")
    combine: str = option("sum", "How the terms' scores become one reward.", ("sum", "geometric"))
    oracle_calls: int = option(0, "Budget: texts that sequence-level terms may be asked about; 0: no limit.")
    workers: int = option(0, "Processes that compute the domain's own sequence-level terms; 0: this one.")
    cache: str = option("", "File of answers to share with other runs, at the same time if need be; empty: none.")
    terms: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.objective not in installed("objective"):
            raise unknown("objective", self.objective, installed("objective"))
        _known(self, "repeats", ("paid", "unpaid"))
        _known(self, "priority", PRIORITIES)
        if not 0 < self.temperature < math.inf:
            raise UserError(
                f"temperature must be above 0, not {self.temperature}: at 0 nothing holds the policy to the prior; "
                "try 0.1 for a strong pull of the reward"
            )
        _positive(self, "updates", "rollouts", "learning_rate", "learning_steps", "batch", "replay", "span", "samples")
        _positive(self, "best_of")
        check_seed(self.seed)
        for name, weight in self.weights.items():
            _check_type(f"the weight of '{name}'", weight, float, "the config")
        for name in self.hold_out:
            if self.weights.get(name):
                given = f"'{name}' is held out and has weight {self.weights[name]:g}"
                raise UserError(f"term {given}: a term is paid or held out, not both")
        _between(self, "gamma", 0, 1)
        if not self.huber > 0:
            raise UserError(f"huber must be above 0 nats, or inf, not {self.huber}")
        _between(self, "trace", 0, 1)
        _between(self, "clip", 0, 1)
        _between(self, "vary", 0, 0.9)
        _between(self, "rewrite", 0, 1)
        _between(self, "temperature_end", 0, math.inf)
        _between(self, "learning_rate_end", 0, math.inf)
        if not self.kl_budget >= 0:
            raise UserError(f"kl_budget must be at least 0 nats per token, not {self.kl_budget}; 0.2 is a moderate one")
        if self.temperature_end and self.kl_budget < math.inf:
            raise UserError("kl_budget adapts the temperature and temperature_end schedules it: choose one of them")
        _between(self, "target_rate", 0, 1)
        _between(self, "failures", 0, 1)
        if self.combine not in ("sum", "geometric"):
            raise unknown("value of combine", self.combine, ("sum", "geometric"))
        _between(self, "oracle_calls", 0, 10**12)
        _between(self, "workers", 0, 1024)

    def rate(self, update: int) -> float:
        """The learning rate of an update, the first being 0.

        >>> [TrainConfig(learning_rate=0.3, learning_rate_end=0.1, updates=3).rate(update) for update in range(4)]
        [0.3, 0.2, 0.1, 0.1]
        """
        end = self.learning_rate_end or self.learning_rate
        return self.learning_rate + min(1.0, update / max(1, self.updates - 1)) * (end - self.learning_rate)

    @property
    def term_weights(self) -> Mapping[str, float]:
        """The weights that were given, and 0 for what is held out."""
        return {**self.weights, **dict.fromkeys(self.hold_out, 0.0)}


Config = TypeVar("Config", PretrainConfig, TrainConfig)


def _known(config: PretrainConfig | TrainConfig, name: str, choices: Sequence[str]) -> None:
    if getattr(config, name) not in choices:
        raise unknown(f"value of {name}", getattr(config, name), choices)


def _positive(config: PretrainConfig | TrainConfig, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < math.inf:
            raise UserError(f"{name} must be above 0, not {getattr(config, name)}")


def _between(config: PretrainConfig | TrainConfig, name: str, low: float, high: float) -> None:
    if not low <= getattr(config, name) <= high:
        raise UserError(f"{name} must lie between {low} and {high}, not {getattr(config, name)}")


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that no generator takes."""
    if not 0 <= seed < 2**63:
        raise UserError(f"seed must lie between 0 and 2^63 - 1, not {seed}")


def build(cls: type[Config], given: Mapping[str, Any], origin: str = "the config") -> Config:
    """A config from keys and values. Precedence: core defaults < the domain's < `given`. Types are checked."""
    hints = get_type_hints(cls)
    for key, value in given.items():
        if key not in hints:
            raise unknown(f"key in {origin}", key, hints)
        _check_type(key, value, hints[key], origin)
    values = dict(given)
    if cls is TrainConfig and values.get("domain"):
        values = {**domain_class(values["domain"]).defaults, **values}
    make: Mapping[Any, Callable[[Any], Any]] = {float: float, Sequence[str]: tuple}
    typed: dict[str, Any] = {k: make[hints[k]](v) if hints[k] in make else v for k, v in values.items()}
    return cls(**typed)


def _check_type(key: str, value: Any, hint: Any, origin: str) -> None:
    wanted, name = _KINDS.get(hint, (Mapping, "a table"))
    fits = isinstance(value, wanted) and isinstance(value, bool) == (hint is bool)
    if not fits or (hint == Sequence[str] and not all(isinstance(item, str) for item in value)):
        raise UserError(f"{key} in {origin} must be {name}, not {value!r}")


_KINDS: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "text"),
    Sequence[str]: ((list, tuple), "a list of texts"),
}


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a config file. Raises UserError with the place of a syntax error, or a number beyond 64 bits."""
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no config file {path}") from None
    except (OSError, ValueError, RecursionError) as error:  # tomllib's own error is a ValueError, as int's is
        raise UserError(f"cannot read the config {path}: {error}") from error
    for key, value in read.items():
        if any(not -(2**63) <= number < 2**63 for number in _integers(value)):
            raise UserError(f"cannot read the config {path}: a whole number in {key} has more than 64 bits")
    return read


def _integers(value: Any) -> Iterator[int]:
    """Every whole number in a value of a TOML file."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _integers(item)


def to_toml(config: PretrainConfig | TrainConfig) -> str:
    """Every setting of a config, defaults included: a run can be repeated from it alone."""
    return tomli_w.dumps(dataclasses.asdict(config))
