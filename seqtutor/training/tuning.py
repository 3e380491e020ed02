"""THE loop: update until done, log, save; and going on after a stop."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from numbers import Real
from typing import Any

import torch

from seqtutor.config import MADE_BY, OF_PRIOR, STAGES, TrainConfig, flat, to_toml
from seqtutor.domain import Domain
from seqtutor.errors import UserError, differences
from seqtutor.hardware import give_back
from seqtutor.plugin.installed import released
from seqtutor.priors.files import check_same, digest
from seqtutor.priors.model import Model
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import settings_of, weighted_terms
from seqtutor.runs.alarms import Alarm
from seqtutor.runs.checkpoint import Pace, check_state, load_checkpoint, save_checkpoint
from seqtutor.runs.folder import RunFolder, whole_rows
from seqtutor.runs.metrics import Row
from seqtutor.signals import whole
from seqtutor.training.tuner import Tuner

HARMLESS = ("samples", "best_of", "threads", "workers", "cache", "log_digests", MADE_BY)  # change no update
Report = Callable[[Row], None]
Warn = Callable[[Alarm], None]

STATE = {  # the form of what `checkpoint` writes as JSON
    "update": int,
    "seconds": float,
    "terms": {str: str},
    "scorer": {
        "calls": int,
        "seen": [str],
        "refused": [str],
        "idle": int,
        "failed": [[str]],
        "streaks": {str: [list]},
        "members": {str: int},
    },
    "baseline": ([float], None),
    "dial": {"log_c": float, "kl": Real, "error": float, "held": float, "temperature": float},
    "watch": {
        "rows": [{str: Real}],
        "ranges": {str: [float]},
        "raised": [{"update": int, "column": str, "message": str, "text": str}],
    },
    "healthy_update": int,
    "went_back": bool,
    "best_evidence": (float, None),
    "aim": str,
    "reward": str,
}


def tune(tuner: Tuner, run: RunFolder, report: Report, warn: Warn = lambda alarm: None) -> None:
    """Update until done, with a checkpoint now and then.

    A stop between two updates saves the run where it stands. A stop within one goes back to the last checkpoint, from
    where a resume repeats what is missing: sampling and learning repeat exactly, and answers are on disk.
    """
    pace, complete = Pace(), True
    if not tuner.update:
        checkpoint(tuner, run)
    with tuner.scorer.remembering(run.answers):
        _ask_again(tuner.scorer)
        try:
            while not tuner.done:
                complete = False
                with whole():
                    row = tuner.step()
                    alarms = tuner.guard(row)
                    run.log(row)
                    run.note(tuner.update, tuner.scorer.news)
                    if alarms:
                        run.save_alarms(tuner.watch.raised)
                    complete = True
                report(row)
                for alarm in alarms:
                    warn(alarm)
                tuner.scorer.check()
                if pace.due:
                    with pace.saving():
                        checkpoint(tuner, run)
        finally:
            if complete:
                checkpoint(tuner, run)
            else:
                with suppress(OSError, UserError):  # what went wrong first is what is told
                    resume(tuner, run)
            run.save_policy(tuner.kept, tuner.config)


def _ask_again(scorer: Scorer) -> None:
    """Count as new what something dear has never been asked about, as where a resumed run has a term more."""
    if names := scorer.answers.dear:
        scorer.answers.recall(sorted(scorer.seen))
        known = [scorer.answers.known[name] for name in names]
        scorer.seen = {text for text in scorer.seen if all(text in of for of in known)}


def checkpoint(tuner: Tuner, run: RunFolder) -> None:
    """Save all that is needed to go on as if never stopped, and give back the memory that nothing holds any more."""
    state = {
        "update": tuner.update,
        "seconds": tuner.seconds,
        "terms": tuner.versions,
        "scorer": tuner.scorer.state(),
        "baseline": None if tuner.baseline is None else tuner.baseline.tolist(),
        "dial": tuner.dial.state(),
        "watch": tuner.watch.state(),
        "healthy_update": tuner.healthy_update,
        "went_back": tuner.went_back,
        "best_evidence": None if math.isinf(tuner.best_evidence) else tuner.best_evidence,
        "aim": _aim(tuner),
        "reward": _reward(tuner),
    }
    run.sync()
    save_checkpoint(run.folder / "checkpoint", tuner.parts, state)
    give_back()


def resume(tuner: Tuner, run: RunFolder) -> None:
    """Put a tuner where the checkpoint of `run` stood; weights, transforms and a temperature may have changed since."""
    folder = run.folder / "checkpoint"
    found = load_checkpoint(
        folder, tuner.parts, lambda state: _find_terms(tuner, state), lambda state: _take(tuner, state)
    )
    if not found and whole_rows(run.folder / "metrics.csv"):
        kept = (run.folder / "policy.safetensors").is_file()
        onwards = f", from its policy if you like: --prior {run.folder}/" if kept else ""
        raise UserError(f"{run.folder} has no checkpoint to go on from; start another run{onwards}")
    run.keep(tuner.update)


def _take(tuner: Tuner, state: dict[str, Any]) -> None:
    """Put back what `checkpoint` wrote beside the tensors."""
    words = len(tuner.domain.vocabulary)
    if (tuner.replay.tokens >= words).any() or (tuner.replay.tokens < 0).any():
        raise ValueError("replay/tokens holds one that the vocabulary has not")
    tuner.update, tuner.seconds = state["update"], state["seconds"]
    tuner.baseline = None if state["baseline"] is None else torch.tensor(state["baseline"])
    if tuner.baseline is not None and len(tuner.baseline) != tuner.domain.max_length:
        raise ValueError("its 'baseline' is of another length")
    tuner.dial.restore(state["dial"])
    tuner.rescale(math.exp(state["dial"]["log_c"]))
    tuner.watch.restore(state["watch"])
    if state["reward"] != _reward(tuner):  # its figures say nothing of those to come
        tuner.watch.begin_anew()
    tuner.healthy_update = state["healthy_update"]
    tuner.went_back = state["went_back"] and tuner.config.stop_on_collapse  # without it, the run goes on
    evidence = state["best_evidence"]
    tuner.best_evidence = -math.inf if evidence is None else evidence
    if evidence is not None and tuner.offline and state["aim"] != _aim(tuner):  # of another reward
        low = tuner.offline.evidence(tuner.healthy, tuner.dial.temperature)[1]
        tuner.best_evidence = -math.inf if math.isnan(low) else low
    tuner.scorer.restore(state["scorer"])


def _aim(tuner: Tuner) -> str:
    """What a policy is tuned towards, as text: the reward, and the distance from the prior that it may cost."""
    return repr((_reward(tuner), tuner.config.temperature, tuner.config.kl_budget))


def _reward(tuner: Tuner) -> str:
    """How the terms become one R, as text."""
    reward = tuner.offline.reward if tuner.offline else tuner.scorer.reward
    terms = [(term.name, term.weight, term.filter) for term in reward.terms]
    scores = sorted((name, repr(table.transform), table.invalid) for name, table in reward.settings.items())
    return repr((terms, scores, reward.geometric, reward.unseen, sorted(tuner.config.hold_out)))


def _find_terms(tuner: Tuner, state: dict[str, Any]) -> None:
    """Tell the replay where the terms of the reward lie among those that are stored of each sequence.

    Where one is not, or was another function then, they are forgotten. A state that no run wrote is refused.
    """
    check_state(state, STATE)
    stored: dict[str, str] = state["terms"]
    new = next((name for name, version in tuner.versions.items() if stored.get(name) != version), "")
    tuner.forgotten = "" if tuner.objective.on_policy else new
    tuner.replay.columns = None if new else [list(stored).index(name) for name in tuner.versions]


def resolved(tuner: Tuner, before: Mapping[str, Any]) -> dict[str, Any]:
    """What a config leaves open, as it is now: every weight, every option, and who made the run, of which prior.

    `before`: the config of the run that is resumed, none of a new one. What has changed since is told by its update.
    """
    domain, config = tuner.domain, tuner.config
    terms = weighted_terms(domain, config.term_weights, settings_of(config.terms))
    versions = {"seqtutor": version("seqtutor"), domain.name: released(domain.name)}
    now = {
        "weights": {term.name: term.weight for term in terms},
        "options": dataclasses.asdict(domain.options),
        "log_digests": dict(tuner.offline.digests) if tuner.offline else {},
    }
    stages = _stages(tomllib.loads(to_toml(config, now)), before, tuner)
    return {**now, MADE_BY: {**versions, OF_PRIOR: digest(tuner.prior), **({STAGES: stages} if stages else {})}}


def _stages(now: Mapping[str, Any], before: Mapping[str, Any], tuner: Tuner) -> str:
    """What a resume has changed, behind what earlier ones had; empty where nothing has changed."""
    made_by = before.get(MADE_BY)
    told = str(made_by.get(STAGES, "")) if isinstance(made_by, Mapping) else ""
    other = [key for key in now if key in before and key not in HARMLESS and now[key] != before[key]]
    other += [f"answers of {tuner.forgotten}"] if tuner.forgotten in dict(now["weights"]) else []
    if not (tuner.update and other):
        return told
    return f"{told}{'; ' if told else ''}from update {tuner.update + 1} on other {', '.join(sorted(other))}"


def check_lasting(before: Mapping[str, Any], domain: Domain, config: TrainConfig, prior: Model) -> None:
    """Raise UserError for a setting, or a prior, that makes another run of this one: a resume cannot change it."""
    made_by = before.get(MADE_BY)
    check_same(prior, made_by, config.prior or domain.own_prior)
    now = {**flat(config), "options": dataclasses.asdict(domain.options)}
    lasting = [f.name for f in dataclasses.fields(config) if f.metadata.get("lasting")]
    if isinstance(made_by, Mapping) and OF_PRIOR in made_by:
        lasting.remove("prior")  # its weights are the same, wherever it lies by now
    for name in [*lasting, "options"]:
        kept = tuple(now[name]) if isinstance(now[name], list | tuple) else now[name]
        given = before.get(name, kept)
        if (tuple(given) if isinstance(given, list) else given) != kept:
            old, new = differences(given, kept)
            raise UserError(
                f"a resumed run keeps its {name}: it has {old}, not {new}; "
                "start another run with it, from this one's policy if you like: --prior RUN/"
            )
