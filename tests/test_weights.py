"""Models on disk: what was written comes back, and a file that does not fit says so in one line."""

from __future__ import annotations

import json

import pytest
import torch
from letters import HEIGHTS, FixedLettersDomain, LettersDomain, every, new_model

from seqtutor import UserError, Vocabulary
from seqtutor.priors import files
from seqtutor.priors.files import (
    load_model,
    load_prior,
    model_folder,
    read_about,
    save_model,
    shipped_priors,
    write_atomically,
)
from seqtutor.priors.model import LstmModel
from seqtutor.priors.policies import TiltedModel

TOKENS = every(3)


def models():
    plain = new_model(seed=1, layers=2)
    with torch.no_grad():
        plain.value_head.weight += 0.3  # a tuned policy has a value head
    timed = new_model(fixed_length=True, clock=4)
    return {
        "sequence": plain,
        "fixed": new_model(fixed_length=True),
        "clock": timed,
        "lookback": new_model(lookback=(1, 3)),
        "heights": new_model(lookback=(1, 3), heights=HEIGHTS),
        "tilted": TiltedModel(new_model(), plain),
    }


@pytest.mark.parametrize("kind", ["sequence", "fixed", "clock", "lookback", "heights", "tilted"])
@pytest.mark.parametrize("half", [False, True])
@torch.no_grad()
def test_a_model_comes_back_as_it_was(tmp_path, kind, half):
    model = models()[kind] if kind != "tilted" else TiltedModel(new_model(), new_model(seed=3))
    save_model(model, tmp_path, "policy", half=half)
    found = load_model(tmp_path, "policy")
    assert type(found) is type(model)
    assert found.vocabulary == model.vocabulary
    assert found.fixed_length == model.fixed_length
    assert not found.training
    assert {p.dtype for p in found.parameters()} == {torch.float32}
    stored = {k: v.half().float() if half else v for k, v in model.state_dict().items()}
    assert all(torch.equal(value, stored[key]) for key, value in found.state_dict().items())
    tolerance = 0.02 if half else 1e-6
    torch.testing.assert_close(found.action_values(TOKENS), model.action_values(TOKENS), rtol=0, atol=tolerance)
    torch.testing.assert_close(found(TOKENS).exp(), model(TOKENS).exp(), rtol=0, atol=tolerance)
    assert (found(TOKENS)[..., :2].exp() == 0).all()


def test_the_value_head_is_kept(tmp_path):
    model = models()["sequence"]
    save_model(model, tmp_path, "policy")
    assert torch.equal(load_model(tmp_path, "policy").value_head.weight, model.value_head.weight)


def test_half_precision_halves_the_file(tmp_path):
    for half in (False, True):
        save_model(new_model(hidden=64), tmp_path, f"half{half}", half=half)
    sizes = [(tmp_path / f"half{half}.safetensors").stat().st_size for half in (False, True)]
    assert sizes[1] < 0.55 * sizes[0]


def test_a_model_that_was_read_can_learn(tmp_path):
    save_model(new_model(), tmp_path, "model")
    model = load_model(tmp_path, "model")
    model(TOKENS).sum().backward()
    assert model.head.weight.grad is not None


def test_notes_stand_in_the_description(tmp_path):
    save_model(new_model(), tmp_path, "model", domain="letters", figures={"held_out_nll": 1.5})
    about = read_about(tmp_path, "model")
    assert (tmp_path / "config.json").is_file()
    assert about["figures"] == {"held_out_nll": 1.5}
    assert about["domain"] == "letters"
    assert about["vocabulary"] == ["a", "b", "c"]


def one_line(action, *parts):
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message
    return message


def edit(path, **changes):
    about = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in {**about, **changes}.items() if value is not None}))


@pytest.mark.parametrize("changes", [{"hidden": 17}, {"layers": 2}, {"vocabulary": ["a", "b", "c", "d"]}])
def test_weights_of_another_shape_name_the_file_and_a_tensor(tmp_path, changes):
    save_model(new_model(), tmp_path, "model")
    edit(tmp_path / "config.json", **changes)
    message = one_line(lambda: load_model(tmp_path, "model"), tmp_path / "model.safetensors", "does not fit")
    assert "embedding.weight" in message or "lstm." in message or "head." in message


def test_missing_weights_are_named(tmp_path):
    save_model(new_model(), tmp_path, "model")
    (tmp_path / "model.safetensors").unlink()
    one_line(lambda: load_model(tmp_path, "model"), "cannot read the weights", tmp_path / "model.safetensors")


def test_a_missing_description_is_named(tmp_path):
    save_model(new_model(), tmp_path, "model")
    (tmp_path / "config.json").unlink()
    one_line(lambda: load_model(tmp_path, "model"), f"{tmp_path} is neither a run nor a prior: it has no config.json")


@pytest.mark.parametrize("length", [0, 4, 100, 3000])
def test_weights_cut_short_are_named(tmp_path, length):
    save_model(new_model(), tmp_path, "model")
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    one_line(lambda: load_model(tmp_path, "model"), "cannot read the weights", path)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"kind": "sequence"}'])
def test_a_description_that_is_none_is_named(tmp_path, content):
    save_model(new_model(), tmp_path, "model")
    (tmp_path / "config.json").write_text(content)
    one_line(lambda: load_model(tmp_path, "model"), tmp_path / "config.json")


def test_a_foreign_vocabulary_says_what_differs(tmp_path):
    save_model(new_model(vocabulary=Vocabulary("abd")), tmp_path, "model")
    one_line(
        lambda: load_prior(str(tmp_path), LettersDomain()),
        tmp_path,
        "does not fit domain 'letters'",
        "tokens in one and not the other: c d",
    )


def test_the_same_tokens_in_another_order_do_not_fit(tmp_path):
    save_model(new_model(vocabulary=Vocabulary("acb")), tmp_path, "model")
    one_line(lambda: load_prior(str(tmp_path), LettersDomain()), "the same tokens in another order")


def test_a_tuned_policy_of_two_networks_is_no_prior(tmp_path):
    save_model(TiltedModel(new_model()), tmp_path, "model")
    one_line(lambda: load_prior(str(tmp_path), LettersDomain()), tmp_path, "a prior is one plain network")


def test_a_prior_that_fits_is_loaded(tmp_path):
    save_model(new_model(fixed_length=True), tmp_path, "model")
    assert isinstance(load_prior(str(tmp_path), FixedLettersDomain()), LstmModel)


def test_the_policy_of_a_run_is_a_prior_without_its_value_head(tmp_path):
    """Q and Psi start at V(s) + log p: exactly at the prior only where V is zero."""
    model = models()["sequence"]
    save_model(model, tmp_path, "policy")
    found = load_prior(str(tmp_path), LettersDomain())
    assert model.value_head.weight.abs().sum() > 0
    assert found.value_head.weight.abs().sum() == 0
    assert torch.equal(found.head.weight, model.head.weight)


def package(root):
    """A stand-in for the installed package at `root`; returns what `__file__` of `priors.files` would be."""
    (root / "seqtutor" / "priors").mkdir(parents=True)
    return str(root / "seqtutor" / "priors" / "files.py")


def test_a_prior_is_found_by_name_in_a_checkout_and_in_a_wheel_and_else_by_its_path(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", package(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)
    places = {
        "./mine": tmp_path / "mine",
        "checkout": tmp_path / "root" / "pretrained" / "checkout",
        "wheel": tmp_path / "root" / "seqtutor" / "pretrained" / "wheel",
    }
    for name, place in places.items():
        place.mkdir(parents=True)
        save_model(new_model(), place, "model")
        assert model_folder(name).resolve() == place
    assert shipped_priors() == ["checkout", "wheel"]


def test_a_folder_that_has_a_priors_name_is_not_taken_for_it(tmp_path, monkeypatch):
    """A folder called music in the current one silently became the prior of --domain music."""
    monkeypatch.setattr(files, "__file__", package(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)
    shipped = tmp_path / "root" / "pretrained" / "music"
    for place in (shipped, tmp_path / "music", tmp_path / "own"):
        place.mkdir(parents=True)
        save_model(new_model(), place, "model")
    assert model_folder("music") == shipped
    assert model_folder("music/").resolve() == tmp_path / "music"
    with pytest.raises(UserError, match=r"no prior is called 'own' .*there is a folder of that name here: type own/"):
        model_folder("own")


def test_a_prior_that_is_nowhere_lists_every_place(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", package(tmp_path))
    with pytest.raises(UserError, match="no prior is called 'nothing'") as caught:
        model_folder("nothing")
    for place in (tmp_path / "pretrained", tmp_path / "seqtutor" / "pretrained"):
        assert str(place) in str(caught.value)
    assert "seqtutor pretrain" in str(caught.value)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_path_that_is_no_text_spoils_no_description(tmp_path):
    save_model(new_model(seed=1), tmp_path, "model", domain="letters", training={"data": "caf\udce9.txt", "of": "été"})
    assert read_about(tmp_path, "model")["training"] == {"data": "caf?.txt", "of": "été"}
