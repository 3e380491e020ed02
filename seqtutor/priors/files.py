"""Models on disk: weights beside a description of what they are; and where priors lie.

A prior is `model.safetensors` with `config.json`; a run's policy is `policy.safetensors` with `policy.json`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seqtutor.config import OF_PRIOR
from seqtutor.domain import Domain, available, domain_class, load
from seqtutor.errors import UserError
from seqtutor.files import check_file, from_home, read_text, write_atomically, write_json, written_as_path
from seqtutor.files import digest as digest_of_file
from seqtutor.plugin.contract import inherited
from seqtutor.priors.model import LstmModel, Model, without_value
from seqtutor.priors.policies import TiltedModel
from seqtutor.vocabulary import SPECIAL, Vocabulary

LARGEST = {"embedding": 1 << 16, "hidden": 1 << 16, "layers": 64}  # beyond these a description is a mistake, or worse
RARE = 3.0  # nats; see `grown`


def save_model(model: Model, folder: Path, stem: str, *, half: bool = False, **notes: Any) -> None:
    """Write the weights of `model` and the JSON that says what it is, with `notes`, into `folder`.

    `half`: store float16 (a quarter of a per mille of a logit, half the size). A read-only folder is a UserError.
    """
    kind = "tilted" if isinstance(model, TiltedModel) else "sequence"
    about = {"kind": kind, **model.shape, "fixed_length": model.fixed_length, **notes}
    about["vocabulary"] = list(model.vocabulary.own)
    tensors = {k: v.detach().to(torch.float16 if half else v.dtype).contiguous() for k, v in model.state_dict().items()}
    if broken := next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), ""):
        precision = " that half precision cannot hold" if half else " that are not finite"
        raise UserError(f"the model has weights{precision}, {broken} first: learn it anew at a smaller --learning-rate")
    write_atomically(folder / f"{stem}.safetensors", save(tensors))
    write_json(_description(folder, stem), about)


def digest(model: Model) -> str:
    """The SHA-256 of a model's shape and weights: the same for the same model."""
    found = hashlib.sha256(repr([type(model).__name__, model.shape, model.fixed_length]).encode())
    for name, tensor in model.state_dict().items():
        found.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.cpu().numpy().tobytes())
    return found.hexdigest()


def _description(folder: Path, stem: str) -> Path:
    return folder / ("config.json" if stem == "model" else f"{stem}.json")


def read_about(folder: Path, stem: str) -> dict[str, Any]:
    """The JSON beside a model. Raises UserError where it is missing or not what `save_model` writes."""
    path = _description(folder, stem)
    if not path.is_file():
        if (folder / "metrics.csv").is_file():
            raise UserError(f"the run {folder} has no policy.json: seqtutor train --resume {folder} ends with one")
        what = f"is neither a run nor a prior: it has no {path.name}" if folder.is_dir() else "is no folder"
        raise UserError(f"{folder} {what}; a run's or a prior's is needed, or a name: {', '.join(shipped_priors())}")
    try:
        about = json.loads(read_text(path))
        complete = {"kind", "vocabulary", "embedding", "hidden", "layers", "fixed_length"} <= set(about)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"cannot read the model description {path}: {error}") from error
    if not complete:
        raise UserError(f"{path} does not describe a model: it needs kind, vocabulary, embedding, hidden, layers")
    for key, most in LARGEST.items():
        if not (type(about[key]) is int and 1 <= about[key] <= most):
            raise UserError(
                f"{path} does not describe a model: {key} must lie between 1 and {most}, not {about[key]!r}"
            )
    if type(about["fixed_length"]) is not bool:
        raise UserError(f"{path} does not describe a model: fixed_length must be true or false")
    if not (type(about.get("dropout", 0)) in (int, float) and 0 <= about.get("dropout", 0) <= 1):
        raise UserError(f"{path} does not describe a model: dropout must lie between 0 and 1")
    return dict(about)


def load_model(folder: Path, stem: str, *, device: str = "cpu") -> Model:
    """Read back what `save_model` wrote, in float32. Shapes are checked before anything is allocated."""
    about = read_about(folder, stem)
    if not (isinstance(about["vocabulary"], list) and all(isinstance(token, str) for token in about["vocabulary"])):
        raise UserError(f"{_description(folder, stem)} does not describe a model: its vocabulary is no list of texts")
    shape = {
        key: about[key]
        for key in ("embedding", "hidden", "layers", "dropout", "fixed_length", "clock", "lookback", "heights")
        if key in about
    }
    try:
        with torch.device("meta"):
            plain = LstmModel(Vocabulary(about["vocabulary"]), **shape)
            model: Model = {"tilted": TiltedModel, "sequence": lambda same: same}[about["kind"]](plain)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{_description(folder, stem)} does not describe a model: {error}") from error
    tensors = _read_tensors(folder / f"{stem}.safetensors", model.state_dict())
    model.load_state_dict(tensors, assign=True)
    for module in model.modules():  # what is not stored was made on the meta device
        if isinstance(module, LstmModel):
            module.derive()
    return model.requires_grad_(True).to(device).eval()


def _read_tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        check_file(path)
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            wanted = {key: tuple(value.shape) for key, value in expected.items()}
            if shapes != wanted:
                wrong = sorted(k for k in shapes.keys() | wanted.keys() if shapes.get(k) != wanted.get(k))
                raise UserError(f"{path} does not fit its description: {', '.join(wrong[:3])}")
            found = {key: file.get_tensor(key) for key in wanted}
            if whole := next((key for key, tensor in found.items() if not tensor.is_floating_point()), None):
                raise UserError(f"{path} does not fit its description: {whole} holds {found[whole].dtype}, no weights")
            tensors = {key: tensor.to(torch.float32) for key, tensor in found.items()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the weights {path}: {error}") from error
    if odd := next((key for key, tensor in tensors.items() if not tensor.isfinite().all()), None):
        raise UserError(f"{path} holds a weight that is no finite number (in {odd}): a model with it writes nothing")
    return tensors


def check_alike(name: str, found: Mapping[str, Tensor], wanted: Mapping[str, tuple[torch.Size, torch.dtype]]) -> None:
    """See that tensors have the names, shapes and types that are wanted. Raises ValueError, which names one."""
    for key in sorted(found.keys() | wanted.keys()):
        if key not in wanted or key not in found:
            raise ValueError(f"{name}/{key} is {'missing' if key in wanted else 'no part of it'}")
        (shape, dtype), tensor = wanted[key], found[key]
        if (tensor.shape, tensor.dtype) != (shape, dtype):
            raise ValueError(
                f"{name}/{key} is {_kind(tensor.shape, tensor.dtype)}, and should be {_kind(shape, dtype)}"
            )


def _kind(shape: torch.Size, dtype: torch.dtype) -> str:
    return f"{'x'.join(map(str, shape)) or 'one'} {str(dtype).removeprefix('torch.')}"


def model_folder(name: str | Path) -> Path:
    """The folder of a model: a path, or the name of a shipped prior, from a checkout or an installed wheel.

    A folder that happens to have a prior's name is not taken for it, nor one whose name is not written as a path.
    """
    if isinstance(name, Path):
        return name
    if written_as_path(name):
        return from_home(name)
    own = domain_class(name).prior if name in available() else None
    for place in [*(root / name for root in _shipped()), own]:
        if place and (place / "model.safetensors").is_file():
            return place
    here = f"; there is a folder of that name here: type {Path(name)}{os.sep}" if Path(name).is_dir() else ""
    looked = ", ".join(map(str, _shipped()))
    raise UserError(
        f"no prior is called '{name}' (there are: {', '.join(shipped_priors()) or 'none'}){here}; "
        f"make one with: seqtutor pretrain; looked in {looked}"
    )


def stem_of(folder: Path) -> str:
    """What the model of a folder is called there: a run's `policy`, a prior's `model`."""
    return "policy" if (folder / "policy.safetensors").is_file() else "model"


def weights_digest(name: str | Path) -> str:
    """The digest of the weights of a model; empty where there are none."""
    folder = model_folder(name)
    path = folder / f"{stem_of(folder)}.safetensors"
    return digest_of_file(path) if path.is_file() else ""


def _shipped() -> list[Path]:
    package = Path(__file__).resolve().parents[1]
    return [package.parent / "pretrained", package / "pretrained"]


def shipped_priors() -> list[str]:
    """Names of the priors that came with the package."""
    return sorted({path.parent.name for root in _shipped() for path in root.glob("*/model.safetensors")})


def load_prior(name: str, domain: Domain, *, grow: bool = False) -> LstmModel:
    """A prior that fits `domain`: a shipped one, a folder, or a run whose policy is tuned further (not one of `g`).

    `grow`: it may lack the last tokens of the domain, and gets them. Raises UserError where there is none, or where its
    vocabulary is another one.
    """
    folder = model_folder(name)
    model = load_model(folder, stem_of(folder))
    ours, theirs = domain.vocabulary.tokens, model.vocabulary.tokens
    if grow and isinstance(model, LstmModel) and len(theirs) < len(ours) and ours[: len(theirs)] == theirs:
        model = grown(model, domain.vocabulary)
    check_fit(model, domain, name)
    if not isinstance(model, LstmModel):
        raise UserError(f"'{name}' is a tuned policy that stands on a prior of its own; a prior is one plain network")
    return without_value(model)


@torch.no_grad()
def grown(model: LstmModel, vocabulary: Vocabulary) -> LstmModel:
    """The same model with the tokens of `vocabulary` that it has not, which must stand behind its own.

    A new token has no height, reads as the mean of the others, is what they are on average as an output, and has a bias
    RARE nats below the lowest of theirs.
    """
    before = len(model.vocabulary)
    shape = dict(model.shape)
    if "heights" in shape:
        shape["heights"] = [*shape["heights"], *([-1] * (len(vocabulary) - before))]
    larger = LstmModel(vocabulary, **shape, fixed_length=model.fixed_length)
    state = larger.state_dict()
    for name, weight in model.state_dict().items():
        state[name][: len(weight)] = weight
    for name in ("embedding.weight", *[f"there.{i}.weight" for i in range(len(model.there))]):
        state[name][before:] = model.get_parameter(name)[len(SPECIAL) :].mean(0)
    state["head.weight"][before:] = model.head.weight[len(SPECIAL) :].mean(0)
    state["head.bias"][before:] = model.head.bias[len(SPECIAL) :].min() - RARE
    larger.load_state_dict(state)
    return larger


def about_model(name: str | Path) -> dict[str, Any]:
    """What stands beside a prior, or beside a run's policy."""
    folder = model_folder(name)
    return read_about(folder, stem_of(folder))


def options_of(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The domain's options that a model was made with, by what stands beside it; None: it does not say."""
    training = about.get("training")
    options = about.get("options", training.get("options") if isinstance(training, dict) else None)
    return options if isinstance(options, dict) else None


def fitting_options(name: str | Path, domain: str, typed: Mapping[str, Any]) -> dict[str, Any]:
    """The domain's options for a use of this model: see `inherited`."""
    about = about_model(name)
    return inherited(domain, typed, options_of(about), str(name), timed=bool(about.get("clock")))


def made_for(domain: str, prior: str, typed: Mapping[str, Any]) -> Domain:
    """The domain with the options of a `prior` that is named, if one is, under those that were typed."""
    return load(domain, fitting_options(prior, domain, typed) if prior else typed)


def made_to_learn(domain: str, prior: str, typed: Mapping[str, Any]) -> Domain:
    """The same for a pre-training, from which a prior may come out that is for other items than the one before."""
    known = {field.name for field in dataclasses.fields(domain_class(domain).Options)}
    stored = (options_of(about_model(prior)) or {}) if prior else {}
    return load(domain, {**{key: value for key, value in stored.items() if key in known}, **typed})


def domain_of(name: str) -> str:
    """The domain whose items a prior, or a run's policy, writes."""
    return str(about_model(name).get("domain", name))


def check_same(prior: Model, made_by: Any, name: str) -> None:
    """Raise UserError where a run whose config says what it was `made_by` stood on another prior than this one."""
    if isinstance(made_by, Mapping) and made_by.get(OF_PRIOR, digest(prior)) != digest(prior):
        raise UserError(
            f"the prior '{name}' has changed since this run began: it cannot go on, nor be compared with it; "
            "start another run, from this one's policy if you like: --prior RUN/"
        )


def check_device(name: str) -> None:
    """Raise UserError for a device that this machine, or this build of torch, has not."""
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"cannot compute on device '{name}': {str(error).splitlines()[0]}; try --device cpu") from error


def check_fit(model: Model, domain: Domain, name: str) -> None:
    """Raise UserError where `model` speaks other tokens than `domain`."""
    ours, theirs = set(domain.vocabulary.tokens), set(model.vocabulary.tokens)
    if model.vocabulary == domain.vocabulary and model.fixed_length == domain.fixed_length:
        return
    differ = sorted(ours ^ theirs)[:5]
    if not differ and model.fixed_length != domain.fixed_length:
        raise UserError(
            f"the model '{name}' does not fit domain '{domain.name}': "
            f"its items {'have a fixed length' if model.fixed_length else 'end where they like'}, the domain's do not"
        )
    detail = f"tokens in one and not the other: {' '.join(differ)}" if differ else "the same tokens in another order"
    raise UserError(
        f"the model '{name}' does not fit domain '{domain.name}': it has {len(model.vocabulary)} tokens, "
        f"the domain {len(domain.vocabulary)} ({detail})"
    )
