"""Settings that a domain, or the memory of this machine, does not allow."""

from __future__ import annotations

from seqtutor.config import TrainConfig
from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.hardware import check_memory
from seqtutor.objectives import load_objective

SPECTRUM = 64e3  # bytes of a variation that is screened, at most: what two texts share is told by 4,096 numbers


def check_settings(config: TrainConfig, domain: Domain) -> None:
    """Raise UserError for what the domain does not offer, or what does not fit into memory."""
    for name in ("vary", "rewrite"):
        share = getattr(config.settings, name, 0)
        if share and not domain.offers(name):
            raise UserError(f"{name} is {share}, but domain '{domain.name}' offers none; set it to 0")
        if share and domain.template():
            raise UserError(f"{name} is {share}, and the options say what every item has: set one of them to nothing")
    if (screen := getattr(config.settings, "screen", 1)) > 1 and not config.settings.vary:
        raise UserError(f"screen is {screen}, and vary is 0: nothing is varied, so nothing is screened; set vary to .3")
    if config.log and domain.template():
        raise UserError("a record is learnt from as it stands, and the options say what every item has: leave one out")
    if config.family_size and not domain.offers("family"):
        raise UserError(f"family_size is {config.family_size}, but domain '{domain.name}' has no families; set it to 0")
    objective = load_objective(config.objective)
    if not (objective.separable or objective.on_policy) and config.settings.batch < 2:
        raise UserError(
            f"batch is 1, and {config.objective} compares the sequences of a batch with each other: set it to 2"
        )
    row = 4.0 * domain.max_length * len(domain.vocabulary)
    steps = getattr(config.settings, "learning_steps", 1)
    size = getattr(config.settings, "batch", config.rollouts)
    check_memory(f"screen {screen:,}", getattr(config.settings, "vary", 0.0) * config.rollouts * screen * SPECTRUM)
    check_memory(f"samples {config.samples:,}", 8.0 * config.samples * domain.max_length)
    check_memory(f"rollouts {config.rollouts:,}", config.rollouts * row)
    check_memory(f"batch {size:,}", 2 * size * row)  # values and what they are compared with
    check_memory(f"learning_steps {steps:,}", 8.0 * steps * size)
