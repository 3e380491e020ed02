"""The settings of a run: the only source of defaults, help texts, command-line options, TOML keys and saved configs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import tomli_w

from seqtutor.domain import domain_class, misplaced
from seqtutor.errors import UserError, unknown
from seqtutor.files import as_in_a_file
from seqtutor.objectives import OnPolicy, load_objective
from seqtutor.option import check_type, checked, option, types_of
from seqtutor.plugin.installed import installed

FURTHER: Mapping[str, Any] = {  # what is usual for a prior that goes on from another one, by few items
    "epochs": 40.0,
    "batch": 16,
    "learning_rate": 2e-3,
    "dropout": 0.3,  # without it it knows them by heart before it has learnt what they share
    "held_out": 0.2,
    "keep": "last",  # by the held-out loss it would hardly have left the prior; docs/recipes.md has the figures
}


@dataclass(frozen=True)
class PretrainConfig:
    """`seqtutor pretrain`: a prior from data, by maximum likelihood."""

    domain: str = option("", "Domain to learn, as listed by 'seqtutor domains'.")
    data: str = option("", "File or folder of your own items; empty: the domain's corpus.")
    prior: str = option("", "Prior to go on from: a shipped one's name, or a folder (./mine); empty: a new model.")
    epochs: float = option(
        3.0,
        "Passes over the data (from a prior 40; 0 there: none, a run's policy becomes a prior).",
        between=(0, 10**6),
    )
    batch: int = option(64, "Sequences in an update (from a prior 16).", above=0)
    learning_rate: float = option(
        6e-3, "Peak of Adam's learning rate (from a prior 0.002); it falls to 0 on a cosine.", above=0
    )
    embedding: int = option(64, "Width of the token embedding of a new model.", above=0)
    hidden: int = option(512, "Cells of each LSTM layer of a new model.", above=0)
    layers: int = option(1, "LSTM layers of a new model.", above=0)
    dropout: float = option(
        0.0, "Share of embeddings and outputs dropped while learning (from a prior 0.3).", between=(0, 0.9)
    )
    held_out: float = option(
        0.01, "Share of the items kept aside to measure the held-out loss (from a prior 0.2).", between=(0.001, 0.5)
    )
    split: str = option(
        "family",
        "What is learnt from or held out as a whole: a family, such as all molecules of one scaffold, or an item.",
        ("family", "item"),
    )
    rewrite: float = option(
        0.0, "Share of the sequences that are learnt in another spelling, where the domain has any.", between=(0, 1)
    )
    evaluations: int = option(20, "How often the held-out loss is measured.", above=0)
    patience: int = option(
        5, "With --keep best, measurements in a row without a better held-out loss before the end.", above=0
    )
    keep: str = option(
        "best",
        "Model that becomes the prior: the last (from a prior), or that of the best held-out loss, with an early stop.",
        ("best", "last"),
    )
    seed: int = option(0, "Seed of everything random.", between=(0, 2**63 - 1))
    device: str = option("cpu", "Where to compute: cpu, or cuda.")
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked(self)
        if not (self.epochs or self.prior):
            raise UserError("epochs is 0, and nothing is learnt: name what is to be kept as it is with --prior RUN/")


HEAVIEST = 1e18  # a weight beyond it could take a reward out of float32
NO_RECORD = "--log-reward, --log-text and --unseen are about a record: name the record with --log FILE"
NO_LIMIT = 10**9  # updates of a run that is limited by minutes or calls


@dataclass(frozen=True)
class TrainConfig:
    """`seqtutor train`: tune a prior towards a reward.

    `TrainConfig(domain="molecules", huber=3.0)` starts from the domain's own defaults where it is installed, and takes
    the numbers of the objective beside the fields below; they stand in `settings`, an instance of its `Settings`.
    """

    domain: str = option("", "Domain to tune in, as listed by 'seqtutor domains'.", lasting=True)
    prior: str = option(
        "", "Prior to start from: a shipped one's name, or a folder (./mine); empty: the domain's name.", lasting=True
    )
    objective: str = option("psi", "Rule that moves the policy; 'seqtutor verify' lists and checks them.", lasting=True)
    updates: int = option(200, "Rounds of sampling, scoring and learning.", above=0)
    minutes: float = option(0.0, "Stop after so many minutes of tuning, whatever --updates says; 0: no limit.",
                            between=(0, 10**6))  # fmt: skip
    rollouts: int = option(64, "Sequences sampled in an update.", above=0)
    temperature: float = option(1.0, "Temperature c of the reward, in reward per nat: large stays close to the prior.")
    learning_rate: float = option(1e-3, "Adam's learning rate.", above=0)
    learning_rate_end: float = option(
        0.0, "Learning rate at the end of the budget, approached as that is spent; 0: constant.", between=(0, math.inf)
    )
    head_speed: float = option(1.0, "How much faster than its body the network's last layer learns.", above=0)
    temperature_end: float = option(
        0.0, "Temperature at the end of the budget, approached by equal factors; 0: constant.", between=(0, math.inf)
    )
    kl_budget: float = option(
        math.inf,
        "KL to the prior, nats per token, that the temperature is adapted to; inf: none.",
        between=(0, math.inf),
    )
    repeats: str = option("paid", "What a text earns that an earlier update has seen.", ("paid", "unpaid"))
    family_size: int = option(
        0,
        "Different texts of one family, such as the molecules of a scaffold, that are paid before it is full; 0: all.",
        between=(0, 10**9),
    )
    family_least: float = option(0.4, "Reward from which on a text counts as one of its family.", between=(-1e18, 1e18))
    family_penalty: str = option(
        "step",
        "How the pay falls while a family fills: step to 0 when it is full, or before: linear, sigmoid or tanh.",
        ("step", "linear", "sigmoid", "tanh"),
    )
    samples: int = option(1000, "Samples of the prior and of the policy that the final table stands on.", above=0)
    best_of: int = option(16, "n of the free baseline 'best of n from the prior'.", above=0)
    failures: float = option(
        0.2, "Largest share of a batch that a term may fail to score before the run stops.", between=(0, 1)
    )
    hold_out: Sequence[str] = option((), "Term to watch and never pay; may be repeated.")
    stop_on_collapse: bool = option(False, "At an alarm, go back to the last healthy policy and end the run there.")
    seed: int = option(0, "Seed of everything random.", between=(0, 2**63 - 1), lasting=True)
    device: str = option("cpu", "Where to compute: cpu, or cuda.")
    precision: str = option(
        "auto",
        "Of the network's body while tuning; auto: bfloat16 where the processor is quicker in it.",
        ("auto", "float32", "bfloat16"),
        lasting=True,
    )
    threads: int = option(0, "Threads to compute with; 0: the cores that are idle at the start.", between=(0, 1024))
    combine: str = option("sum", "How the terms' scores become one reward.", ("sum", "geometric"))
    oracle_calls: int = option(
        0, "Budget: texts that sequence-level terms may be asked about; 0: no limit.", between=(0, 10**12)
    )
    workers: int = option(
        0, "Processes that compute the domain's own sequence-level terms; 0: this one.", between=(0, 1024)
    )
    cache: str = option("", "File of answers to share with other runs, at the same time if need be; empty: none.")
    log: Sequence[str] = option(
        (), "Record to learn from without an oracle: CSV, JSONL or a run folder; may be repeated.", lasting=True
    )
    log_reward: Sequence[str] = option(
        (),
        "Column of the record that is a term of the reward, or NAME=COLUMN to call it NAME; 'reward' if none is named; "
        "may be repeated.",
    )
    log_text: str = option("", "Column of the record that holds the texts; empty: 'text', or where items are read.")
    unseen: str = option("mean", "Score of a text that is not in the record: its mean, its min, or a number.")
    unseen_share: float = option(
        0.0, "Share of a batch that is the policy's own, unscored, at what --unseen says.", between=(0, 0.9)
    )
    log_digests: Mapping[str, Any] = field(default_factory=dict)  # of each file of the record, as it was read
    terms: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Any = field(init=False)

    def __init__(self, own: Mapping[str, Any] | None = None, /, **given: Any) -> None:
        """Precedence: core defaults < the domain's < `given`. Raises UserError for what no field or number allows.

        `own`: the defaults of a domain that is not installed.
        """
        domain = given.get("domain")
        named = domain_class(domain).defaults if own is None and domain in installed("domain") else {}
        usual = dict(named if own is None else own)
        objective = {**usual, **given}.get("objective", "psi")
        cls = load_objective(objective).Settings
        fields = {f.name: f for f in dataclasses.fields(self) if f.init}
        numbers = [f.name for f in dataclasses.fields(cls)]
        for key in given.keys() - fields - set(numbers):
            raise _misplaced(key, given[key], objective, numbers)
        if (given.get("minutes") or given.get("oracle_calls")) and "updates" not in given:
            usual["updates"] = NO_LIMIT
            if not given.get("minutes"):  # few calls are learnt from at full speed: the fall is for the usual updates
                usual.pop("learning_rate_end", None)
        merged = {**usual, **given}
        for name, item in fields.items():
            value = merged.get(name, item.default_factory() if callable(item.default_factory) else item.default)
            object.__setattr__(self, name, value)
        if self.log:
            from seqtutor.records import recorded_terms  # it brings numpy along

            object.__setattr__(self, "terms", recorded_terms(self.terms, self.log_reward))
        object.__setattr__(self, "settings", checked(cls(**{k: merged[k] for k in numbers if k in merged})))
        self._check()

    def _check(self) -> None:
        checked(self)
        if not 0 < self.temperature < math.inf:
            raise UserError(
                f"temperature must be above 0, not {self.temperature}: at 0 nothing holds the policy to the prior; "
                "try 0.1 for a strong pull of the reward"
            )
        if self.updates >= NO_LIMIT and not (self.minutes or self.oracle_calls):
            raise UserError("the run has no end: set --updates, --minutes or --oracle-calls")
        for name, weight in self.weights.items():
            check_type(f"the weight of '{name}'", weight, float, "the config")
            if not abs(weight) <= HEAVIEST:
                raise UserError(
                    f"the weight of '{name}' must lie between {-HEAVIEST:g} and {HEAVIEST:g}, not {weight:g}"
                )
        if not self.log and (self.log_reward or self.log_text or self.unseen != "mean" or self.unseen_share):
            raise UserError(NO_RECORD)
        for name in self.hold_out:
            if self.weights.get(name):
                given = f"'{name}' is held out and has weight {self.weights[name]:g}"
                raise UserError(f"term {given}: a term is paid or held out, not both")
        if self.temperature_end and self.kl_budget < math.inf:
            raise UserError("kl_budget adapts the temperature and temperature_end schedules it: choose one of them")
        replay = getattr(self.settings, "replay", self.rollouts)
        if replay < self.rollouts:
            raise UserError(
                f"replay ({replay}) cannot hold one update's rollouts ({self.rollouts}); "
                f"try --replay {8 * self.rollouts}"
            )

    @property
    def term_weights(self) -> Mapping[str, float]:
        """The weights that were given, and 0 for what is held out."""
        return {**self.weights, **dict.fromkeys(self.hold_out, 0.0)}


def _misplaced(key: str, value: Any, objective: str, numbers: Sequence[str]) -> UserError:
    """The error for a key that is no field and no number of the objective: perhaps one of another objective."""
    others = [name for name in installed("objective") if name != objective]
    if any(key in {f.name for f in dataclasses.fields(settings_class(name))} for name in others):
        have = ", ".join(numbers) or "none"
        return UserError(f"objective '{objective}' has no {key} (given: {value}); of these it has: {have}")
    return unknown("setting", key, [f.name for f in dataclasses.fields(TrainConfig) if f.init] + list(numbers))


def settings_class(objective: str) -> type:
    """The dataclass of an objective's numbers; that of one with none where its package is broken."""
    try:
        return load_objective(objective).Settings
    except UserError:
        return OnPolicy


def fitting(read: Mapping[str, Any], objective: Any) -> dict[str, Any]:
    """The keys of a file without the numbers that its own objective has and the one that is asked for has not."""
    if objective in (None, "", read.get("objective")):
        return dict(read)
    usual = TrainConfig(domain=read["domain"]) if read.get("domain") in installed("domain") else TrainConfig()
    before = read.get("objective", usual.objective)
    own, asked = ({f.name for f in dataclasses.fields(settings_class(str(name)))} for name in (before, objective))
    return {key: value for key, value in read.items() if key not in own - asked}


Config = TypeVar("Config", PretrainConfig, TrainConfig)


def hints_of(cls: type) -> dict[str, Any]:
    """The type of every key that a config of `cls` takes, the numbers of all installed objectives among them."""
    own = {f.name for f in dataclasses.fields(cls)} - {"settings"}
    hints = {key: hint for key, hint in types_of(cls).items() if key in own}
    if cls is TrainConfig:
        for name in installed("objective"):
            hints = {**types_of(settings_class(name)), **hints}
    return hints


def build(cls: type[Config], given: Mapping[str, Any], origin: str = "the config") -> Config:
    """A config from keys and values as they stand in `origin`. Raises UserError for a wrong name or type."""
    return cls(**checked_keys(cls, given, origin))


def checked_keys(cls: type[Config], given: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The keys and values that a config of `cls` is made of. Raises UserError as `build` does."""
    hints, given = hints_of(cls), {key: as_in_a_file(value) for key, value in given.items() if key != MADE_BY}
    if cls is PretrainConfig and given.get("prior"):
        given = {**FURTHER, **given}
    for key, value in given.items():
        if key not in hints:
            raise misplaced(key, given.get("domain"), origin) or unknown(f"key in {origin}", key, hints)
        check_type(key, value, hints[key], origin)
    make: Mapping[Any, Callable[[Any], Any]] = {float: float, Sequence[str]: tuple}
    return {k: make[hints[k]](v) if hints[k] in make else v for k, v in given.items()}


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers over earlier ones; tables (options, weights) are merged key by key."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both_tables = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = {**result[key], **value} if both_tables else value
    return result


def flat(config: PretrainConfig | TrainConfig) -> dict[str, Any]:
    """Every setting by its key, the objective's numbers among the others."""
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}  # a term may be a dataclass itself
    settings = values.pop("settings", None)
    return {**values, **(dataclasses.asdict(settings) if settings else {})}


def changed(config: TrainConfig, **changes: Any) -> TrainConfig:
    """The same config with some settings changed."""
    return TrainConfig(**{**flat(config), **changes})


def check_same_domain(run: str, read: Mapping[str, Any], asked: Any) -> None:
    """Raise UserError where another domain is `asked` for than the one of a run, whose settings were `read`."""
    if asked != read.get("domain"):
        raise UserError(f"the run {run} is of domain '{read.get('domain')}', and keeps it: not '{asked}'")


MADE_BY = "made_by"  # table of a saved config: the versions of what wrote it
OF_PRIOR = "weights of the prior"  # a digest, in that table
STAGES = "stages"  # there: what resumes have changed, in words


def to_toml(config: PretrainConfig | TrainConfig, resolved: Mapping[str, Any] | None = None) -> str:
    """Every setting of a config, defaults included, with what is `resolved` in place of what was left open.

    A function of this Python session stands there as its name.
    """
    values = {**flat(config), **(resolved or {})}
    terms = {name: _writable(table) for name, table in values.get("terms", {}).items()}
    return tomli_w.dumps({**values, **({"terms": terms} if "terms" in values else {})})


def _writable(table: Any) -> Any:
    function = table if callable(table) else table.get("function")
    if not callable(function):
        return table
    rest = {} if callable(table) else {key: value for key, value in table.items() if key != "function"}
    return {**rest, "session": place_of(function)}


def place_of(function: Callable[..., Any]) -> str:
    """Where a function of this process was written: 'module:name'."""
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__qualname__)}"
