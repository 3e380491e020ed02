"""Everything from Python: tune, pretrain, generate, evaluate, load_run, made of what the commands are made of."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seqtutor.config import (
    PretrainConfig,
    TrainConfig,
    build,
    changed,
    check_same_domain,
    checked_keys,
    fitting,
    layered,
)
from seqtutor.domain import Domain, available, domain_class
from seqtutor.errors import UserError, shortened, unknown
from seqtutor.files import read_json, read_text, read_toml
from seqtutor.option import check_arguments, check_seed
from seqtutor.plugin.contract import check_class
from seqtutor.plugin.guard import guarded
from seqtutor.priors.files import load_model, made_to_learn
from seqtutor.priors.given import given_steps
from seqtutor.priors.model import Model
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.tables import given_again
from seqtutor.rewards.taste import within_budget
from seqtutor.runs import evaluation
from seqtutor.runs.alarms import Alarm
from seqtutor.runs.drawing import Source, alike, as_stated, check_count, check_drawing, choose, open_model, texts_of
from seqtutor.runs.evaluation import Evaluation
from seqtutor.runs.folder import RunFolder, checked_run, new_folder, open_run, whole_rows
from seqtutor.runs.metrics import Row
from seqtutor.runs.notebook import Item, page_html, table_of
from seqtutor.runs.report import render
from seqtutor.runs.report.reading import read_summary
from seqtutor.testing import rehearse
from seqtutor.training import tuning
from seqtutor.training.conclusion import conclude
from seqtutor.training.opening import opened

if TYPE_CHECKING:
    from seqtutor.training import pretraining

Terms = Mapping[str, Any]  # by name: a function of texts, or a table as `[terms.NAME]` in a config


@dataclass(repr=False)
class Run:
    """A finished run: its folder, its policy, and what came out."""

    folder: Path
    domain: Domain
    config: TrainConfig
    _policy: Model | None = None

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()  # a notebook may go elsewhere

    @property
    def policy(self) -> Model:
        """The tuned model."""
        if self._policy is None:
            self._policy = load_model(self.folder, "policy", device=self.config.device)
        return self._policy

    def __repr__(self) -> str:
        config, rows = self.config, whole_rows(self.folder / "metrics.csv")
        done = int(float(rows[-1]["update"])) if rows else 0
        folder = self.folder.relative_to(here) if self.folder.is_relative_to(here := Path.cwd()) else self.folder
        return f"Run({str(folder)!r}: {config.domain}, {config.objective}, {done:,} updates)"

    @property
    def summary(self) -> dict[str, Any]:
        """The before/after table as plain data, as it stands in `summary.json`."""
        return read_json(self._file("summary.json"))

    @property
    def metrics(self) -> Any:
        """One row an update: a DataFrame where pandas is installed, else a list of dicts."""
        return table_of(whole_rows(self._file("metrics.csv")))

    @property
    def samples(self) -> Any:
        """The final samples of both models with every term: a DataFrame where pandas is installed, else dicts."""
        return table_of(whole_rows(self._file("samples.csv")))

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise UserError(
                f"there is no {path}: load the run again from where it lies, "
                "or end it with tune(resume=...), which writes it"
            )
        return path

    def table(self) -> None:
        """Print the before/after table."""
        from rich.console import Console

        from seqtutor.cli.tables import comparison_table

        Console(highlight=False, markup=False).print(comparison_table(read_summary(self._file("summary.json"))))

    def sample(self, n: int, *, seed: int = 0, temperature: float = 1.0, primer: str = "") -> list[Item]:
        """N items of the tuned model; those that were no items of the domain are left out."""
        return generate(self, n, seed=seed, temperature=temperature, primer=primer)

    def page(self) -> Path:
        """Write the page again, from what the folder holds."""
        return RunFolder(self.folder).save_page(render(self.folder, self.domain))

    def _repr_html_(self) -> str:
        """The page, for a notebook."""
        return page_html(read_text(self._file("report.html")))


def tune(
    domain: str | Domain = "",
    *,
    terms: Terms | None = None,
    weights: Mapping[str, float] | None = None,
    options: Mapping[str, Any] | None = None,
    folder: str | PathLike[str] | None = "",
    resume: str | PathLike[str] | Run = "",
    report: Callable[[Row], None] | None = None,
    **settings: Any,
) -> Run:
    """Tune a prior towards a reward, as `seqtutor train` does -> the run, with its table, samples and page.

    `terms`: rewards of your own by name; a function gets texts and gives a number each (None, NaN: not to be scored).
    `options`: the domain's own. `resume`: a run that was stopped, or its folder. `report` is called with the figures of
    each update. All else is a setting of TrainConfig or a number of the objective: objective="tb", kl_budget=0.1.
    An alarm, and a text that could not be scored, is a warning.
    """
    folder = "" if folder is None else folder
    check_arguments(terms=terms, weights=weights, options=options, folder=folder, report=report)
    if isinstance(resume, Run):
        domain, terms = domain or resume.domain, {**resume.config.terms, **(terms or {})}
        weights, resume = {**resume.config.weights, **(weights or {})}, resume.folder
    check_arguments(resume=resume)
    made = _made(domain, options)
    given = {**settings, "terms": terms, "weights": weights, "options": options}
    known = {key: str(value.folder) if isinstance(value, Run) else value for key, value in given.items()}
    known = {key: value for key, value in known.items() if value is not None}
    config = _config(made, made.name if made else str(domain), fspath(resume), known)
    with opened(made, config, fspath(folder), fspath(resume)) as (tuner, run):
        try:
            tuning.tune(tuner, run, report or (lambda row: None), _warn)
            conclude(tuner, run, config.samples, interrupted=False)
        except KeyboardInterrupt as stopped:
            stopped.add_note(f"go on with tune(resume={str(run.folder.absolute())!r})")
            raise
    if tuner.scorer.failed:
        warnings.warn(_failures(tuner.scorer, run.folder.absolute()), stacklevel=2)
    return Run(run.folder, tuner.domain, tuner.config, tuner.kept.eval())


def _failures(scorer: Scorer, folder: Path) -> str:
    """How many texts could not be scored, where they stand, and the last of them."""
    term, text, reason = scorer.failed[-1]
    said = f"{len(scorer.failed):,} failures to score a text stand in {folder / 'failures.csv'}"
    return f"{said}, the last of '{term}' on {shortened(repr(text), 40)}: {reason}"


def _config(made: Domain | None, name: str, resume: str, known: Mapping[str, Any]) -> TrainConfig:
    """The settings that are `known`, over those of a run that goes on; `name`: what the domain was said to be."""
    known = _over_run(resume, known, name) if resume else known
    name = name or known.get("domain", "")
    if not name:
        raise UserError(f"name a domain, such as tune({available()[0]!r})" if available() else "no domain is installed")
    given = checked_keys(TrainConfig, {**known, "domain": name}, "the arguments")
    return within_budget(TrainConfig(made.defaults if made else None, **given), known)


def _warn(alarm: Alarm) -> None:
    warnings.warn(f"alarm: {alarm.message}", stacklevel=4)  # of whoever called `tune`


def _over_run(run: str, given: Mapping[str, Any], domain: str) -> dict[str, Any]:
    """The settings of a run with what was given over them; `domain`: what the domain was said to be, empty for none."""
    read = read_toml(checked_run(Path(run)))
    check_same_domain(run, read, domain or read.get("domain", ""))
    if given.get("terms"):
        terms, weights = given_again(read.get("terms", {}), given["terms"], given.get("weights", {}))
        given = {**given, "terms": terms, "weights": weights}
    return layered(fitting(read, given.get("objective")), given)


def _made(domain: Any, options: Mapping[str, Any] | None) -> Domain | None:
    """The domain behind the border; None for the name of one. Raises UserError for what is neither."""
    if isinstance(domain, type):
        raise UserError(f"domain is the class {domain.__name__}: make one, domain={domain.__name__}()")
    if not isinstance(domain, str | Domain):
        raise UserError(f"domain must be a name, or a Domain, not {shortened(repr(domain), 60)}")
    if isinstance(domain, Domain) and options:
        raise UserError(f"a {domain.__class__.__name__} that is made has its options: make it with {dict(options)}")
    if not isinstance(domain, Domain):
        return None
    made = guarded(domain)
    if made.name in available() and not issubclass(made.cls, domain_class(made.name)):
        raise UserError(f"a domain called '{made.name}' is installed: give {made.cls.__name__} another name")
    if made.name not in available() or domain_class(made.name) is not made.cls:
        check_class(made.name, made.cls)  # as an installed one is when it is loaded
    return made


def load_run(folder: str | Path | Run, *, domain: Domain | None = None, terms: Terms | None = None) -> Run:
    """A run from its folder.

    `terms`: the functions of its reward that stood in the Python session which made it, by name. `domain`: its domain,
    where that is not installed.
    """
    check_arguments(terms=terms)
    if isinstance(folder, Run):
        folder = folder.folder
    if not isinstance(folder, str | Path):
        raise UserError(f"a run is loaded from its folder, not from {shortened(repr(folder), 60)}")
    config, domain = open_run(Path(folder), _own(domain))
    if other := [name for name in terms or {} if name not in config.terms]:
        raise unknown(f"term from outside of the run {folder}", other[0], config.terms)
    again, weights = given_again(config.terms, terms or {}, {})
    config = changed(config, terms={**config.terms, **again}, weights={**config.weights, **weights})
    return Run(Path(folder), domain, config)


def _own(domain: Any, options: Mapping[str, Any] | None = None) -> Domain | None:
    """The domain of a script, which is not installed; None where there is none."""
    if isinstance(domain, str):
        raise UserError(
            "domain is for one that is not installed: make it, domain=MyDomain(), "
            f"and not {shortened(repr(domain), 60)}"
        )
    return None if domain is None else _made(domain, options)


def generate(
    model: str | Path | Run,
    n: int = 32,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    primer: str | Path = "",
    revise: str | Path = "",
    keep: str = "",
    draws: int = 1,
    reward_temperature: float | None = None,
    domain: Domain | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Item]:
    """N items of a run's policy or a prior; those that were no items of the domain are left out.

    `options`: of the domain, over those that the model was made with, such as {"bars": 8}. `domain`: the one that the
    model writes items of, where it is not installed.
    `primer`: how each begins; `revise`: an item of which the parts to `keep`, such as "1-2,4", stand in each. Both as
    text, or as the path of a file.
    `draws`: how many are drawn for each that is kept, by the law of the optimum prior * exp(R / reward_temperature);
    None is the run's own temperature. Every other draw of a run is its prior's.
    """
    check_drawing(n, draws, temperature, reward_temperature)
    check_seed(seed)
    check_arguments(primer=primer, revise=revise, keep=keep, options=options)
    for path in (primer, revise):
        if isinstance(path, Path) and not path.expanduser().is_file():
            raise UserError(f"there is no file {path}")
    source = _source(model, str(primer or revise), options, domain)
    given = given_steps(source.domain, str(primer), str(revise), str(keep))
    if draws > 1:
        with closing(source.scorer()) as scorer:
            scores, _ = choose(source, scorer, n, draws, seed=seed, temperature=reward_temperature, script=given)
        texts = scores.texts
    else:
        texts = texts_of(source.model, source.domain, n, seed, temperature, given)
    return [Item(text, source.domain) for text in texts if text is not None]


def _source(
    model: str | Path | Run, like: str = "", options: Mapping[str, Any] | None = None, domain: Domain | None = None
) -> Source:
    own = _own(domain, options)
    if isinstance(model, Run) and (options or own):
        return replace(open_model(model.folder, options, like, own), config=model.config)
    if isinstance(model, Run):
        return Source(model.policy, as_stated(model.domain, like), model.config, model.folder, tuned=True)
    if not isinstance(model, str | Path):
        raise UserError(f"a model is a Run, or the name or folder of one, not {shortened(repr(model), 60)}")
    return open_model(model, options, like, own)


def evaluate(
    *models: str | Path | Run, n: int = 1000, seed: int = 0, leave_out: Sequence[str] = (), domain: Domain | None = None
) -> list[Evaluation]:
    """Score and measure n samples of each model, by the terms of the first one's run but those to `leave_out`.

    `domain`: the one that they write items of, where it is not installed.
    """
    check_arguments(leave_out=leave_out)
    check_count("n", n, 2)
    check_seed(seed)
    if not models:
        raise UserError("name at least one model to evaluate: a Run, or the name or folder of a run or a prior")
    sources = [_source(model, domain=domain) for model in models]
    run = next((source for source in sources if source.tuned), sources[0])
    sources = [alike(source, model, run) for model, source in zip(models, sources, strict=True)]
    first = sources[0]
    with closing(first.scorer(leave_out)) as scorer:
        return [
            evaluation.evaluate(source.model, first.domain, scorer, int(n), torch.Generator().manual_seed(int(seed)))
            for source in sources
        ]


def pretrain(
    domain: str | Domain,
    data: Sequence[str] | None = None,
    *,
    folder: str | PathLike[str] = "",
    options: Mapping[str, Any] | None = None,
    report: pretraining.Report | None = None,
    **settings: Any,
) -> Path:
    """Learn a prior from texts, or from the domain's corpus -> its folder, for `tune(prior=...)`."""
    from seqtutor.training import lessons, pretraining  # tuning must not wait for what they bring along

    check_arguments(folder=folder, options=options, report=report)
    made = _made(domain, options) or made_to_learn(str(domain), str(settings.get("prior", "")), options or {})
    values = {**settings, "domain": made.name, "options": dataclasses.asdict(made.options)}
    config = build(PretrainConfig, values, "the arguments")
    lessons.check_shape(settings, config.prior)
    texts = list(made.corpus()) if data is None else lessons.checked_texts(made, data, config)
    rehearse(made, texts, corpus=data is None)
    examples = pretraining.examples(made, texts, config)
    run = RunFolder(new_folder(fspath(folder), f"{made.name}-prior"))
    with run.lock():
        pretraining.into(run, made, examples, config, report or (lambda state, updates: None))
    return run.folder


__all__ = ["Item", "Run", "Scores", "evaluate", "generate", "load_run", "pretrain", "tune"]
