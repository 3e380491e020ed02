"""Items from a trained model: drawn as it writes them, or the best of many draws by the law of the optimum."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqtutor.arrays import Flags, Ids
from seqtutor.config import MADE_BY, TrainConfig, changed
from seqtutor.domain import Domain, RewardTerm, SequenceTerm, available, load, with_options
from seqtutor.errors import UserError, differences, unknown
from seqtutor.files import from_home, prior_from, read_json, read_toml
from seqtutor.objectives.optimum import Tilt, log_mean, mixed, tilt
from seqtutor.option import check_seed
from seqtutor.plugin.contract import check_beside
from seqtutor.plugin.guard import Guarded, guarded
from seqtutor.priors.files import (
    check_fit,
    check_same,
    fitting_options,
    load_model,
    load_prior,
    model_folder,
    options_of,
    read_about,
    stem_of,
    weights_digest,
)
from seqtutor.priors.given import LONGEST_NAME
from seqtutor.priors.model import Model
from seqtutor.priors.sampling import array_of, compared, draw, logp_of
from seqtutor.priors.script import Script, script_of
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import Scorer, scorer_with
from seqtutor.rewards.terms import check_kept, settings_of, weighted_terms
from seqtutor.runs.folder import checked_run, named_in, open_run


@dataclass(frozen=True)
class Source:
    """A model that writes items, and how they are scored."""

    model: Model
    domain: Domain
    config: TrainConfig
    folder: Path
    tuned: bool  # a run's policy; else a prior

    @cached_property
    def prior(self) -> Model:
        """What the model was tuned from; a prior is its own."""
        if not self.tuned:
            return self.model
        name = self.domain.name  # which may have another prior for the options that were asked for since
        begun = load(name, self.config.options) if name in available() else self.domain
        name = prior_from(self.config.prior or begun.own_prior, self.folder)
        prior = load_prior(name, self.domain)
        check_same(prior, read_toml(checked_run(self.folder)).get(MADE_BY), name)
        return prior

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run's `summary.json`, of this very policy; else empty. Raises UserError where no run wrote it."""
        path = self.folder / "summary.json"
        found = read_json(path) if self.tuned and path.is_file() else {}
        optimum, terms = found.get("optimum", {}), found.get("terms", [])
        known = isinstance(optimum, dict) and isinstance(optimum.get("temperature", 1.0), Real)
        if not (known and isinstance(terms, list) and all(map(_of_term, terms))):
            raise UserError(f"'{path}' is not what a run writes")
        now = weights_digest(self.folder) if "policy_digest" in found else ""
        return found if found.get("policy_digest", now) == now else {}  # it went on since, and ended without a table

    @property
    def temperature(self) -> float:
        """The c that the run ended with, or that the domain starts with."""
        return float(self.summary.get("optimum", {}).get("temperature", self.config.temperature))

    def scorer(self, leave_out: Sequence[str] = ()) -> Scorer:
        """How the run was scored; see `scorer_of`."""
        if self.tuned:
            check_kept(self.domain, self.folder)
        return scorer_of(self.domain, self.config, leave_out, run=self.folder)


def _of_term(row: Any) -> bool:
    """Whether it is the row of a term in a summary: its name, and its weight if it has one."""
    return isinstance(row, dict) and isinstance(row.get("name"), str) and isinstance(row.get("weight"), Real | None)


def scorer_of(
    domain: Domain, config: TrainConfig, leave_out: Sequence[str] = (), workers: int = 0, run: Path | None = None
) -> Scorer:
    """Every term of the domain and of the config, scored as in a run. Raises UserError for a name that is no term's.

    `leave_out`: terms that do not count; those from outside are not asked. `run`: whose config it is, if it is a run's.
    """
    settings = settings_of({name: table for name, table in config.terms.items() if name not in leave_out}, run)
    own = [term.name for term in domain.terms()]
    for name in leave_out:
        if name not in [*own, *config.terms]:
            raise unknown("term to leave out", name, [*own, *config.terms])
    weights = {name: weight for name, weight in config.term_weights.items() if name not in leave_out}
    terms = [_unpaid(term) if term.name in leave_out else term for term in weighted_terms(domain, weights, settings)]
    return replace(scorer_with(domain, config, terms, settings), workers=workers)


def _unpaid(term: RewardTerm) -> RewardTerm:
    return replace(term, weight=0.0, filter=False) if isinstance(term, SequenceTerm) else replace(term, weight=0.0)


def open_model(
    name: str | Path, options: Mapping[str, Any] | None = None, like: str = "", own: Domain | None = None
) -> Source:
    """A run's policy by its folder, or a prior by its name or folder; `options` of the domain over its own.

    The name of a domain is that of the prior which it has for these options. `like`: where this is a file of one item,
    what it states holds, such as its key, unless `options` say otherwise. `own`: the domain, where it is not installed.
    """
    if isinstance(name, str) and name in available():
        name = as_stated(load(name, options), like, options or {}).own_prior
    folder = model_folder(name)
    stem = stem_of(folder)
    if tuned := stem == "policy":
        config, domain = open_run(folder, own)
    else:
        about = read_about(folder, stem)
        domain = own or named_in(folder, str(about.get("domain", name)), options_of(about))
        config = TrainConfig(domain=domain.name)
    if options:
        domain = load(domain.name, fitting_options(name, domain.name, options))
    domain = as_stated(domain, like, options or {})
    if tuned:
        config = _weighed_for(config, domain)
    model = load_model(folder, stem)
    check_fit(model, domain, str(name))
    return Source(model, domain, config, folder, tuned)


def _weighed_for(config: TrainConfig, domain: Domain) -> TrainConfig:
    """A run's config with the weights that these options ask for, where its own gave it other ones; see there."""
    keys = {"domain": domain.name, "options": config.options, "weights": config.weights}
    weights = with_options(keys, dataclasses.asdict(domain.options))["weights"]
    return config if weights == config.weights else changed(config, weights=weights)


def alike(one: Source, name: Any, other: Source) -> Source:
    """A model that can be compared with another: a prior, called `name`, is opened with the options of the other.

    Raises UserError where they write items of different domains, or by different options.
    """
    if one.domain.name != other.domain.name:
        raise UserError(
            f"'{one.folder}' is of domain '{one.domain.name}' and '{other.folder}' of '{other.domain.name}': "
            "only models of one domain can be compared"
        )
    ours, theirs = (dataclasses.asdict(source.domain.options) for source in (one, other))
    if ours != theirs and not one.tuned:
        return open_model(name, theirs)
    if ours != theirs:
        mine, its = differences(ours, theirs)
        raise UserError(
            f"'{one.folder}' has {mine}, and '{other.folder}' {its}: only models with the same options can be compared"
        )
    return one


def as_stated(domain: Domain, like: str, typed: Mapping[str, Any] = MappingProxyType({})) -> Domain:
    """The domain with the options that a file of one item states.

    As it is where `like` is no such file, or where one of them is `typed` otherwise.
    """
    path = from_home(like) if like and len(like) <= LONGEST_NAME else None
    if path is None or not path.is_file():
        return domain
    stated = domain.stated(path)
    if not stated or any(typed.get(key, value) != value for key, value in stated.items()):
        return domain
    plugin = domain.plugin if isinstance(domain, Guarded) else domain
    check_beside(type(plugin.options), dataclasses.asdict(plugin.options), {**stated, **typed})
    return guarded(type(plugin)(replace(plugin.options, **{**stated, **typed})))


def generator_of(model: Model, seed: int) -> torch.Generator:
    """A generator where the model is. Raises UserError for what is no seed."""
    check_seed(seed)
    return torch.Generator(model.device).manual_seed(int(seed))


def sequences_of(
    model: Model, domain: Domain, n: int, seed: int, temperature: float = 1.0, script: Script | None = None
) -> tuple[Ids, Flags]:
    """N sequences of `model` as `draw` gives them; `temperature` of the softmax."""
    return draw(model, domain, n, generator_of(model, seed), temperature=temperature, script=script)


def texts_of(
    model: Model, domain: Domain, n: int, seed: int, temperature: float = 1.0, script: Script | None = None
) -> list[str | None]:
    """N samples of `model` as texts; None for one that is no item of the domain."""
    read = Scorer(domain, ()).text
    rows = zip(*sequences_of(model, domain, n, seed, temperature, script), strict=True)
    return [None if cut else read(row) for row, cut in rows]


def choose(
    source: Source,
    scorer: Scorer,
    n: int,
    draws: int,
    *,
    seed: int,
    temperature: float | None = None,
    script: Script | None = None,
) -> tuple[Scores, Tilt]:
    """Keep n of n * draws sequences, each by its weight p exp(R/c) / q: as draws grow, n samples of pi*.

    Of a tuned model every other one is drawn from its prior, which writes what the model has unlearnt.
    `temperature`: c; None is the source's own. Steps that the `script` says count in p: what leads to them
    well is kept.
    Raises UserError where the draws are worth fewer than n of pi*, cost more than the run's budget of oracle calls, or
    are paid by another reward than the run was.
    """
    c = source.temperature if temperature is None else temperature
    _check(source, scorer, n * draws, c)
    generator = generator_of(source.model, seed)
    tokens, truncated, odds = _draws(source, n * draws, generator, script)
    with closing(scorer.aside([term for term in scorer.terms if term.counts])) as choosing:
        reward = choosing.score(tokens, truncated).totals
    found = tilt(reward, c, odds)
    rows = found.keep(n, seed)
    if not len(rows):
        few = 2 * math.ceil(draws * n / found.effective) if found.effective else 0  # more draws find what weighs more
        needed = f"{few:,} draws of each or several times that" if few else "a reward that can be computed"
        raise UserError(
            f"{n * draws:,} draws are worth {found.effective:.1f} of the optimum at temperature {c:g}, too few to keep "
            f"{n}: that needs {needed}, or a larger --reward-temperature"
        )
    return scorer.score(tokens[rows], truncated[rows]), found


def check_count(name: str, value: Any, least: int) -> None:
    """Raise UserError for what is no whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise UserError(f"{name} must be a whole number of at least {least}, not {value!r}")


def check_drawing(n: int, draws: int, temperature: float, reward_temperature: float | None) -> None:
    """Raise UserError for numbers by which nothing can be drawn, or of which one would have no effect."""
    check_count("n", n, 1)
    check_count("draws", draws, 1)
    for name, value in (("temperature", temperature), ("reward_temperature", reward_temperature)):
        usual = value is None and name == "reward_temperature"
        if isinstance(value, bool) or not (usual or isinstance(value, Real)):
            raise UserError(f"{name} must be a number, not {value!r}")
    if not 0 < temperature < math.inf:
        raise UserError(f"temperature must be above 0, not {temperature}; 1 samples the model as it is")
    if draws > 1 and temperature != 1:
        raise UserError("--draws weighs samples of the models as they are: leave --temperature at 1, or --draws at 1")
    if draws == 1 and reward_temperature is not None:
        raise UserError("--reward-temperature is for choosing among many draws: give --draws too, 16 say")


def _draws(
    source: Source, total: int, generator: torch.Generator, script: Script | None
) -> tuple[Ids, Flags, NDArray[np.float64]]:
    """Sequences (total, T) of the model and its prior, which were cut off (total,), and log p/q of each (total,).

    q is the mixture of both, p the prior given what the script says: log p(all) - log p(that), the second estimated
    from the sequences.
    """
    script = script or script_of(source.domain)
    if source.model is source.prior and script is None:
        return *draw(source.model, source.domain, total, generator), np.zeros(total)
    own = total - total // 2 if source.tuned else total
    counts = ((source.model, own), (source.prior, total - own))
    parts = [draw(model, source.domain, count, generator, script=script) for model, count in counts]
    tokens, truncated = (np.concatenate(part) for part in zip(*parts, strict=True))
    ids = torch.from_numpy(tokens).to(source.model.device)
    logp, prior_logp, _ = map(array_of, compared(source.model, source.prior, ids, script))
    log_q = mixed(logp, prior_logp, own / total)
    if script is None:
        return tokens, truncated, prior_logp - log_q
    whole = array_of(logp_of(source.prior, ids).sum(-1))
    return tokens, truncated, whole - log_q - log_mean(whole - log_q)


def _check(source: Source, scorer: Scorer, total: int, temperature: float) -> None:
    if not 0 < temperature < math.inf:
        raise UserError(f"the temperature of the reward must be above 0, not {temperature:g}")
    if 0 < source.config.oracle_calls < total:
        raise UserError(
            f"{total:,} draws may ask about as many texts, and the budget of {source.folder} is "
            f"{source.config.oracle_calls:,} oracle calls: ask for fewer items, or fewer draws of each"
        )
    now = {term.name: term.weight for term in scorer.terms}
    for row in source.summary.get("terms", []):
        if row.get("weight") and now.get(row["name"], row["weight"]) != row["weight"]:
            raise UserError(
                f"the reward is another one than when {source.folder} ran: the weight of '{row['name']}' was "
                f"{row['weight']:g} and is {now[row['name']]:g}; go on with seqtutor train --resume, or put it back"
            )
