"""The temperature of the reward over a run: constant, on a schedule, or turned until the policy sits at a KL budget."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from seqtutor.config import TrainConfig

FASTEST = 0.2  # the most that log c moves in an update
QUICK, SLOW = 1.0, 0.16  # how log c answers to the error of log KL: at once, and to its sum
# SLOW while the KL is below the budget, and the most that it lowers log c in an update: a policy that has not caught up
# yet must not see an ever smaller temperature.
DOWN, FALL = 0.06, 0.02
RISE = 1.5  # how far log c rises quickly above where it last held the budget; beyond, by FALL an update at most
FAR = 1.0  # the largest error: farther below, the KL tells nothing yet
MEMORY = 0.5  # of the running mean of the KL
FARTHEST = 30.0  # the most that c is divided by: a reward of thousands of nats is more than a policy can learn from
WITHIN = 0.1  # of a budget: near enough


@dataclass
class Dial:
    """The temperature c in use, in reward per nat."""

    config: TrainConfig
    log_c: float = field(init=False)
    kl: float = 0.0  # running mean, nats per token
    error: float = -FAR  # log(kl / budget), within -FAR .. FAR, after the last update
    held: float = field(init=False)  # log c where the KL last stood within the budget

    def __post_init__(self) -> None:
        self.log_c = self.held = math.log(self.config.temperature)

    @property
    def temperature(self) -> float:
        """The c of the next gradient step."""
        return math.exp(self.log_c)

    def turn(self, kl: float, spent: float) -> None:
        """Note the KL (nats per token) of an update, and set the next c, by the share of the budget that is `spent`."""
        config = self.config
        if config.kl_budget < math.inf:
            self._towards_budget(kl)
        elif config.temperature_end:
            start, end = math.log(config.temperature), math.log(config.temperature_end)
            self.log_c = start + spent * (end - start)

    def _towards_budget(self, kl: float) -> None:
        """A proportional and an integral answer to log(kl / budget), in steps: log c += quick * change + slow * error.

        KL-adaptive temperatures are as old as Ziegler et al. (2019), whose controller is the integral part alone; it
        overshoots where the policy answers late, as it does here: a policy learns for tens of updates from one c.

        A policy that breaks stands far above its budget whatever c is, and takes tens of updates to heal. Were the
        errors summed up all that time, c would end a thousandfold too high and hold the policy at the prior, until it
        had forgotten what it had learnt. So a rise is quick only up to RISE above the c that last held the budget, and
        what lies above that c is taken back as quickly: the policy has been there before.
        """
        self.kl += (1 - MEMORY) * (kl - self.kl) if self.kl else kl
        error = max(-FAR, min(FAR, math.log(max(self.kl, 1e-9) / max(self.config.kl_budget, 1e-9))))
        above = self.log_c - self.held
        if error > 0:
            slow = SLOW * error if above < RISE else min(FALL, SLOW * error)
        else:
            slow = max(SLOW * error, -above) if above > FALL else max(-FALL, DOWN * error)
        change = QUICK * (error - self.error) + slow
        moved = self.log_c + max(-FASTEST, min(FASTEST, change))
        self.log_c = max(moved, math.log(self.config.temperature / FARTHEST))
        if error <= 0:
            self.held = min(self.log_c, self.held + FALL)
        self.error = error

    @property
    def verdict(self) -> str:
        """One line on how the budget was met; empty where there is none."""
        budget = self.config.kl_budget
        if not 0 < budget < math.inf:
            return ""
        at = f"the policy settled at {self.kl:z.3f}, temperature {self.temperature:.3g}"
        line = f"KL budget {budget:g} nats per token: {at}"
        if abs(self.kl / budget - 1) <= WITHIN:
            return line
        floor = self.log_c <= math.log(self.config.temperature / FARTHEST) + 1e-9
        return line + ("; the reward can use no more" if floor else "; it was still on its way: try more --updates")

    def state(self) -> dict[str, float]:
        """All that changes, for a checkpoint."""
        now = {"log_c": self.log_c, "kl": self.kl, "error": self.error, "held": self.held}
        return {**now, "temperature": self.config.temperature}

    def restore(self, state: dict[str, float]) -> None:
        """Put back what `state` gave; a configured temperature that has changed since moves c by the same factor."""
        moved = math.log(self.config.temperature / state["temperature"])
        self.log_c, self.held = state["log_c"] + moved, state["held"] + moved
        self.kl, self.error = state["kl"], state["error"]
