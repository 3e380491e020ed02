"""What lies before a run's first update: its config is settled, its plugin tried, its folder locked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from seqtutor.config import TrainConfig, changed
from seqtutor.domain import Domain, load
from seqtutor.errors import UserError
from seqtutor.files import prior_from, read_toml
from seqtutor.hardware import computing
from seqtutor.objectives import load_objective
from seqtutor.priors.files import check_device, fitting_options, load_prior
from seqtutor.rewards.tables import pinned_terms, weighted_once
from seqtutor.rewards.terms import check_kept, check_names
from seqtutor.runs.drawing import texts_of
from seqtutor.runs.folder import RunFolder, as_it_ran, new_folder
from seqtutor.testing import rehearse
from seqtutor.testing.trial import tried
from seqtutor.training import tuning
from seqtutor.training.tuner import Tuner

TRIED = 32  # samples of the prior that the plugin is tried on before a run


@contextmanager
def opened(
    domain: Domain | None, config: TrainConfig, folder: str, resume: str | Path = ""
) -> Iterator[tuple[Tuner, RunFolder]]:
    """A tuner and its locked folder, a new one or that of the run to `resume`; workers end with the block.

    `domain`: None is the one that `config` names, made with the options of its prior under those of `config`. What a
    run will ask of it is tried on a few texts of the prior before there is a folder.
    """
    if resume and folder and Path(folder).absolute() != Path(resume).absolute():
        raise UserError(f"a run goes on in its own folder, {resume}: leave {folder} out, or copy the run there first")
    if not resume:
        check_names(config.terms)
    check_device(config.device)
    old = Path(resume) if resume else None
    name = prior_from(config.prior or (domain or load(config.domain, config.options)).own_prior, old)
    domain = domain or load(config.domain, fitting_options(name, config.domain, config.options))
    config = _settled(config, domain, name, old)
    tried(load_objective(config.objective), config, domain)
    tuner = Tuner(domain, config, load_prior(name, domain), old)
    texts = [text for text in texts_of(tuner.prior, domain, TRIED, config.seed) if text is not None]
    rehearse(domain, texts)
    with closing(tuner.scorer):
        tuner.scorer.start(texts[0] if texts else "")
        before = read_toml(Path(resume) / "config.toml") if resume else {}
        tuning.check_lasting(before, domain, config, tuner.prior)
        run = RunFolder(Path(resume) if resume else new_folder(folder, f"{domain.name}-{config.objective}"))
        with run.lock():
            tuning.resume(tuner, run)
            if config.updates < tuner.update:
                raise UserError(
                    f"the run has {tuner.update:,} updates behind it, and is to have {config.updates:,}: "
                    f"give --updates {2 * tuner.update}, say"
                )
            run.save_config(config, tuning.resolved(tuner, before))
            yield tuner, run


def _settled(config: TrainConfig, domain: Domain, prior: str, run: Path | None) -> TrainConfig:
    """The config with what it leaves open, its files sealed; `run`: the one that goes on by it, if any."""
    config = as_it_ran(config, domain) if run else config
    terms = pinned_terms(config.terms, domain, prior, config.temperature, config.weights, run)
    terms, weights = weighted_once(terms, config.weights)
    if run:
        check_kept(domain, run)
    options = dataclasses.asdict(domain.options)
    return changed(config, options=options, terms=terms, weights=weights, **computing(config))
