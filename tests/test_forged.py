"""Checkpoints and weights written by hand behind a right digest: refused in one line that names what is odd."""

from __future__ import annotations

import json
import math

import pytest
import torch
from letters import HEIGHTS, LettersDomain, language, new_model
from safetensors.torch import load, save
from test_cli_runs import BASE, elsewhere, line, train  # noqa: F401
from test_tuning import tuner_of

from seqtutor import UserError
from seqtutor.config import PretrainConfig
from seqtutor.priors.files import load_model, save_model
from seqtutor.runs.checkpoint import CURRENT, PREVIOUS, _digest, _read
from seqtutor.runs.folder import RunFolder
from seqtutor.training.pretraining import examples, pretrain
from seqtutor.training.tuning import checkpoint, resume

pytestmark = pytest.mark.usefixtures("installed")


def not_finite(tensors, key):
    tensors[key].view(-1)[0] = math.nan


def of_another_shape(tensors, key):
    tensors[key] = torch.cat([tensors[key].reshape(-1)] * 2 + [tensors[key].new_ones(3)])


def of_another_type(tensors, key):
    tensors[key] = tensors[key].to(torch.int16 if tensors[key].dtype == torch.int32 else torch.int32)


def missing(tensors, key):
    del tensors[key]


def extra(tensors, key):
    tensors[f"{key}.more"] = tensors[key].clone()


FORGERIES = [not_finite, of_another_shape, of_another_type, missing, extra]


@pytest.fixture(params=["g", "reinforce"])
def saved(request, tmp_path_factory, installed):
    """A run's checkpoint after two updates: its objective, tensors and state."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    tuner = tuner_of(objective=request.param)
    for _ in range(2):
        tuner.guard(tuner.step())
    checkpoint(tuner, run)
    return request.param, *_read(run.folder / "checkpoint" / CURRENT)


def forged(folder, tensors, state):
    (folder / "checkpoint").mkdir(exist_ok=True)
    text = json.dumps(state)
    (folder / "checkpoint" / PREVIOUS).unlink(missing_ok=True)
    (folder / "checkpoint" / CURRENT).write_bytes(save(tensors, {"state": text, "digest": _digest(text, tensors)}))
    return RunFolder(folder)


def refusal(action):
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_honest_copy_is_taken(saved, tmp_path):
    objective, tensors, state = saved
    tuner = tuner_of(objective=objective)
    resume(tuner, forged(tmp_path, tensors, state))
    assert tuner.update == 2
    tuner.step()


@pytest.mark.parametrize("forge", FORGERIES)
def test_every_forged_tensor_of_a_checkpoint_is_refused_by_name(saved, forge, tmp_path):
    objective, tensors, state = saved
    tuner = tuner_of(objective=objective)
    for key, tensor in tensors.items():
        finite = not tensor.is_floating_point() or key == "replay/terms"  # a term that nobody knows is NaN
        if forge is not_finite and (finite or not tensor.numel()):
            continue
        copy = {name: value.clone() for name, value in tensors.items()}
        forge(copy, key)
        run = forged(tmp_path, copy, state)
        text = refusal(lambda run=run: resume(tuner, run))
        assert "does not fit this run" in text
        assert key.split("/")[-1].split(".")[0] in text or key.split("/")[0] in text, text


@pytest.mark.parametrize("key", ["stranger/x", "stranger", "policy"])
def test_a_tensor_of_no_part_is_refused(saved, key, tmp_path):
    objective, tensors, state = saved
    run = forged(tmp_path, {**tensors, key: torch.zeros(2)}, state)
    assert f"{key} is no part of it" in refusal(lambda: resume(tuner_of(objective=objective), run))


def test_tokens_that_no_vocabulary_has_are_refused(saved, tmp_path):
    objective, tensors, state = saved
    if objective == "reinforce":
        assert not len(tensors["replay/tokens"])
        return
    for odd in (-1, 99):
        copy = {**tensors, "replay/tokens": tensors["replay/tokens"].clone()}
        copy["replay/tokens"][0, 0] = odd
        run = forged(tmp_path, copy, state)
        assert "replay/tokens" in refusal(lambda run=run: resume(tuner_of(objective=objective), run))


def nodes(state, path=()):
    """The place of every entry of a JSON object, its lists looked into once."""
    items = state.items() if isinstance(state, dict) else enumerate(state[:1]) if isinstance(state, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from nodes(value, (*path, key))


def replaced(state, path, value):
    copy = json.loads(json.dumps(state))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


ODD_PARTS = ["x", {"a": 1}, [[None]], True, None, -1, 10**30, math.inf]


@pytest.mark.parametrize("odd", ODD_PARTS, ids=str)
def test_a_state_of_a_strange_shape_is_refused_or_means_the_same(saved, odd, tmp_path):
    """Wherever something odd stands in the JSON of a checkpoint: one line, or a run that goes on."""
    objective, tensors, state = saved
    refused = 0
    tuner = tuner_of(objective=objective)
    for path in nodes(state):
        run = forged(tmp_path, tensors, replaced(state, path, odd))
        try:
            resume(tuner, run)
            taken, tuner = tuner, tuner_of(objective=objective)
            taken.guard(taken.step())
        except UserError as error:
            refused += "\n" not in str(error)
    assert refused > 10


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        (("baseline",), [0.0]),
        (("watch", "rows", 0), {"reward": 1.0}),
        (("watch", "ranges"), {"variety": [1.0]}),
        (("dial", "temperature"), 0),
        (("dial", "log_c"), 1e9),
        (("scorer", "streaks"), {"variety": [[1]]}),
        (("more",), 1),
    ],
)
def test_a_state_that_fits_nowhere_is_refused(saved, path, odd, tmp_path):
    objective, tensors, state = saved
    refusal(lambda: resume(tuner_of(objective=objective), forged(tmp_path, tensors, replaced(state, path, odd))))


@pytest.mark.parametrize("key", ["step", "exp_avg_sq"])
def test_a_moment_below_zero_is_refused_by_name(saved, key, tmp_path):
    objective, tensors, state = saved
    odd = {name: -tensor - 1 if name.endswith(f".{key}") else tensor for name, tensor in tensors.items()}
    said = refusal(lambda: resume(tuner_of(objective=objective), forged(tmp_path, odd, state)))
    assert f".{key} holds a number below 0" in said


@pytest.mark.parametrize(("key", "odd"), [("update", -1), ("best", "x"), ("history", [3]), ("more", 1)])
def test_a_forged_pre_training_is_refused(key, odd, tmp_path):
    config = PretrainConfig(domain="letters", embedding=4, hidden=4, epochs=0.1, batch=8)
    data = examples(LettersDomain(), language(40, 3), config)
    pretrain(LettersDomain(), data, config, tmp_path, lambda progress, updates: None)
    tensors, state = _read(tmp_path / "checkpoint" / CURRENT)
    forged(tmp_path, tensors, {**state, key: odd})
    said = refusal(lambda: pretrain(LettersDomain(), data, config, tmp_path, lambda progress, updates: None))
    assert f"'{key}'" in said


@pytest.mark.parametrize("state", [[], 3, None, "x", {}])
def test_a_state_that_is_no_object_is_refused(saved, state, tmp_path):
    objective, tensors, _ = saved
    run = forged(tmp_path, tensors, state)
    refusal(lambda: resume(tuner_of(objective=objective), run))


def test_the_command_says_it_in_a_line(elsewhere):  # noqa: F811
    assert train("--updates", 1, "--output", "run").exit_code == 0
    path = elsewhere / "run" / "checkpoint" / CURRENT
    tensors, state = _read(path)
    for key, value in (("policy/head.weight", torch.full((1,), math.nan)), ("replay/paid", torch.zeros(3))):
        forged(elsewhere / "run", {**tensors, key: value}, state)
        assert key in line(train("--resume", "run", "--updates", 2))
    forged(elsewhere / "run", tensors, {**state, "dial": {"log_c": "much"}})
    assert "'dial'" in line(train("--resume", "run", "--updates", 2))


@pytest.mark.parametrize("forge", FORGERIES)
def test_every_forged_tensor_of_the_weights_is_refused_by_name(forge, tmp_path):
    save_model(new_model(lookback=(1, 3), heights=HEIGHTS), tmp_path, "model", domain="letters")
    path = tmp_path / "model.safetensors"
    honest = load(path.read_bytes())
    for key in honest:
        tensors = {name: tensor.clone() for name, tensor in honest.items()}
        forge(tensors, key)
        path.write_bytes(save(tensors))
        assert key in refusal(lambda: load_model(tmp_path, "model"))


ODD = ["x", -1, 10**9, 1.5, True, None, [], {}, [1, "a"], "\udcff"]


@pytest.mark.parametrize(
    "key", ["kind", "vocabulary", "embedding", "hidden", "layers", "fixed_length", "dropout", "heights"]
)
def test_a_description_of_a_strange_shape_is_refused(key, tmp_path):
    save_model(new_model(lookback=(1,)), tmp_path, "model", domain="letters")
    path = tmp_path / "config.json"
    about = json.loads(path.read_text())
    for odd in ODD:
        if (key == "fixed_length" and odd is True) or (key == "heights" and odd in (None, [], {})):
            continue
        path.write_text(json.dumps({**about, key: odd}))
        refusal(lambda: load_model(tmp_path, "model"))
