"""What a tuning run begins with: settings that fit each other, a policy that is the prior, and who scores."""

from __future__ import annotations

import copy
from typing import Any

import torch

from seqtutor.config import TrainConfig
from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.memory import check_memory
from seqtutor.model import Model, SequenceModel, TiltedModel
from seqtutor.objectives import Objective
from seqtutor.scoring import Scorer, settings_of, weighted_terms

VALUE_SPEED = 10.0
# Settings that not every objective has: see Objective.options.
STEPS = ("gamma", "span", "trace", "huber", "clip", "target_rate", "learning_steps")
STORED = ("batch", "replay", "priority", "vary", "rewrite")
OPTIONAL = STEPS + STORED


def starting_policy(prior: SequenceModel, objective: Objective) -> Model:
    """The policy that an objective starts from: in distribution, exactly the prior. Q and Psi read it as log p."""
    policy = TiltedModel(prior) if objective.tilt else copy.deepcopy(prior)
    for module in policy.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return policy.train()


def new_scorer(domain: Domain, config: TrainConfig) -> Scorer:
    """The scorer of a run: only terms with a weight are evaluated, and those that are held out."""
    settings = settings_of(config.terms)
    terms = weighted_terms(domain, config.term_weights, settings)
    if not any(term.weight for term in terms):
        listed = ", ".join(term.name for term in terms)
        raise UserError(f"every term has weight 0: nothing to tune towards; give one with --weight TERM=1 ({listed})")
    return Scorer(
        domain,
        [term for term in terms if term.weight or term.name in config.hold_out],
        failures=config.failures,
        unpaid_repeats=config.repeats == "unpaid",
        settings=settings,
        geometric=config.combine == "geometric",
        budget=config.oracle_calls,
        workers=config.workers,
        shared=config.cache,
    )


def check_options(config: TrainConfig, objective: Objective, domain: Domain) -> None:
    """Raise UserError for a setting that was changed and means nothing to the objective, or that the domain lacks."""
    usual = TrainConfig(domain=config.domain)
    for name in OPTIONAL:
        value = getattr(config, name)
        if name not in objective.options and value not in (getattr(usual, name), domain.defaults.get(name)):
            own = ", ".join(option for option in OPTIONAL if option in objective.options)
            raise UserError(
                f"objective '{config.objective}' has no {name} (given: {value}); of these it has: {own or 'none'}"
            )
    if config.replay < config.rollouts and not objective.fresh:
        raise UserError(
            f"replay ({config.replay}) cannot hold one update's rollouts ({config.rollouts}); "
            f"try --replay {8 * config.rollouts}"
        )
    for name in ("vary", "rewrite"):
        if getattr(config, name) and not domain.offers(name):
            raise UserError(f"{name} is {getattr(config, name)}, but domain '{domain.name}' offers none; set it to 0")


def check_sizes(config: TrainConfig, domain: Domain) -> None:
    """Raise UserError where the rows of probabilities of an update, at the least, do not fit into memory."""
    row = 4.0 * domain.max_length * len(domain.vocabulary)
    check_memory(f"rollouts {config.rollouts:,}", 2 * config.rollouts * row)  # of the policy and of the prior
    check_memory(f"batch {config.batch:,}", 3 * config.batch * row)  # values, target, prior
    check_memory(f"learning_steps {config.learning_steps:,}", 8.0 * config.learning_steps * config.batch)


def parameter_groups(policy: Model) -> list[dict[str, Any]]:
    """The body with its token head; the value heads, which start from nothing and learn VALUE_SPEED times as fast."""
    named = [(name, p) for name, p in policy.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in named if "value." not in name], "speed": 1.0},
        {"params": [p for name, p in named if "value." in name], "speed": VALUE_SPEED},
    ]
