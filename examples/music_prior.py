"""How the shipped music prior was made: python examples/music_prior.py FOLDER, some 25 minutes on one core.

A prior that only fits its books quotes them: one melody in five has 24 events of one. KL-control takes that away at the
cheapest price in nats, which are rare rhythms; so at each step `infer` asks which rules real phrases have and the model
has lost, and their weights, enlarged, are paid beside. The last three models and the first are averaged, weight by
weight (Wortsman et al., ICML 2022), as every single one lies a little to one side of the phrases.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import tomli_w

import seqtutor
from seqtutor.priors.files import load_prior, save_model
from seqtutor_music.rules import PRESETS


class Step(NamedTuple):
    """One run of KL-control from the model before, its reward in nats."""

    name: str
    before: str
    fitted: str  # the model whose lack of what real phrases have is paid; empty: nothing but originality is
    enlarged: float  # by this factor
    quoting: float  # what each event costs that completes 24 in a row of the books
    updates: int
    learning_rate: float
    weights: Mapping[str, float] = MappingProxyType({})  # in place of the fitted ones


LAST = {"shared_rhythm": 0.3, "dotted": -1.0, "to_and_fro": -0.6, "imitation": 0.8, "accents": 0.3}
STEPS = (
    Step("original", "likelihood", "", 0, 5, 60, 6e-4),
    Step("joint", "likelihood", "original", 2.5, 6, 90, 1.2e-3),
    Step("second", "joint", "joint", 1.5, 12, 60, 1e-3),
    Step("third", "second", "second", 1.3, 10, 60, 8e-4),
    Step("fourth", "third", "third", 1.4, 8, 60, 8e-4, {"shared_rhythm": 1.2}),
    Step("fifth", "fourth", "fourth", 1.5, 8, 50, 8e-4, LAST),
)
AVERAGE = {"fifth": 0.5, "third": 0.4, "likelihood": 0.1}


def main(folder: Path) -> None:
    """Make every model in `folder`; the last is `folder/music`."""
    folder.mkdir(parents=True, exist_ok=True)
    phrases = folder / "phrases.txt"
    call(sys.executable, "-m", "seqtutor_music.real", phrases)
    shape = ("--hidden", 256, "--embedding", 32, "--dropout", 0.4)
    split = ("--epochs", 6, "--held-out", 0.1, "--split", "item")
    call("seqtutor", "pretrain", "--domain", "music", *shape, *split, "--output", folder / "likelihood")
    for step in STEPS:
        config = folder / f"{step.name}.toml"
        weights = {**weights_of(step, folder, phrases), **step.weights, "quoting": step.quoting}
        settings = {
            "domain": "music",
            "prior": str(folder / step.before),
            "objective": "reinforce",
            "rollouts": 512,
            "updates": step.updates,
            "temperature": 1.0,
            "learning_rate": step.learning_rate,
            "learning_rate_end": 2e-5,
        }
        config.write_text(tomli_w.dumps({**settings, "weights": weights}), encoding="utf-8")
        call("seqtutor", "train", "--config", config, "--samples", 500, "--output", folder / step.name)
    average(folder)


def weights_of(step: Step, folder: Path, phrases: Path) -> dict[str, float]:
    """What `infer` says of the model that is fitted, enlarged; 0 for every rule where there is none."""
    if not step.fitted:
        return {rule.values.__name__: 0.0 for rule in PRESETS["default"]}
    found = folder / f"fit-{step.name}.toml"
    prior = ("--prior", folder / step.fitted, "-n", 8000, "--without", "quoting")
    call("seqtutor", "infer", "--domain", "music", "--examples", phrases, *prior, "--output", found)
    fitted = tomllib.loads(found.read_text(encoding="utf-8"))["weights"]
    return {name: step.enlarged * weight for name, weight in fitted.items()}


def average(folder: Path) -> None:
    """Write the model whose every weight is the mean of that of the others."""
    domain = seqtutor.load("music")
    models = {name: load_prior(str(folder / name), domain) for name in AVERAGE}
    mean = models["likelihood"]
    state = {key: sum(AVERAGE[name] * m.state_dict()[key] for name, m in models.items()) for key in mean.state_dict()}
    mean.load_state_dict(state)
    (folder / "music").mkdir(exist_ok=True)
    save_model(mean, folder / "music", "model", half=True, domain="music")


def call(*words: object) -> None:
    """Run a command; the script ends where it fails."""
    subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
