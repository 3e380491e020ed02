"""Checkpoints: written beside the last one, read back, and only then in its place; a damaged one is passed over."""

from __future__ import annotations

import pytest
import torch
from letters import new_model

from seqtutor import UserError
from seqtutor.priors.files import write_atomically
from seqtutor.runs import checkpoint
from seqtutor.runs.checkpoint import CURRENT, PREVIOUS, load_checkpoint, save_checkpoint


def parts(seed):
    return {"model": new_model(seed=seed), "generator": torch.Generator().manual_seed(seed)}


@pytest.fixture
def folder(tmp_path):
    """Two checkpoints, of updates 1 and 2."""
    save_checkpoint(tmp_path, parts(1), {"update": 1})
    save_checkpoint(tmp_path, parts(2), {"update": 2})
    return tmp_path


def test_a_slow_checkpoint_is_written_more_rarely(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    pace, due = checkpoint.Pace(), []
    for cost in (0.0, 5.0, 0.0):
        while not pace.due:
            clock[0] += 1.0
        due.append(clock[0])
        with pace.saving():
            clock[0] += cost
    assert due == [11.0, 22.0, 278.0]  # every ten seconds; 50 times 5 s after the one that took so long


def test_the_newest_counts_and_the_one_before_stays(folder):
    fresh = parts(0)
    assert load_checkpoint(folder, fresh) == {"update": 2}
    assert torch.equal(fresh["model"].head.weight, parts(2)["model"].head.weight)
    (folder / CURRENT).unlink()
    assert load_checkpoint(folder, fresh) == {"update": 1}
    assert torch.equal(fresh["model"].head.weight, parts(1)["model"].head.weight)


@pytest.mark.parametrize("place", [3, 100, -1, -500])
def test_a_single_wrong_byte_is_found_and_the_one_before_is_used(folder, place):
    content = bytearray((folder / CURRENT).read_bytes())
    content[place] ^= 1
    (folder / CURRENT).write_bytes(content)
    assert load_checkpoint(folder, parts(0)) == {"update": 1}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_one_that_was_cut_short_is_passed_over(folder, share):
    content = (folder / CURRENT).read_bytes()
    (folder / CURRENT).write_bytes(content[: int(share * len(content))])
    assert load_checkpoint(folder, parts(0)) == {"update": 1}
    (folder / PREVIOUS).unlink()
    with pytest.raises(UserError, match=r"checkpoint\.safetensors does not fit this run"):
        load_checkpoint(folder, parts(0))


def test_the_one_before_gives_way_only_to_one_that_can_be_read(folder, monkeypatch):
    def damaged(path, content):
        write_atomically(path, content[:-1])

    monkeypatch.setattr(checkpoint, "write_atomically", damaged)
    with pytest.raises(OSError, match="cannot be read back"):
        save_checkpoint(folder, parts(3), {"update": 3})
    assert load_checkpoint(folder, parts(0)) == {"update": 2}


@pytest.mark.parametrize("after", range(3))
def test_a_kill_between_the_renames_leaves_one_that_counts(folder, monkeypatch, after):
    """Every step of a save may be the last."""
    steps = []

    def dying(self, target):
        steps.append(target)
        if len(steps) > after:
            raise SystemExit
        return rename(self, target)

    from pathlib import Path

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises(SystemExit):
        save_checkpoint(folder, parts(3), {"update": 3})
    monkeypatch.undo()
    assert load_checkpoint(folder, parts(0)) == {"update": 2}
    save_checkpoint(folder, parts(4), {"update": 4})
    assert load_checkpoint(folder, parts(0)) == {"update": 4}


def test_a_state_that_was_changed_by_hand_is_found(folder):
    content = (folder / CURRENT).read_bytes()
    (folder / CURRENT).write_bytes(content.replace(b'{\\"update\\": 2}', b'{\\"update\\": 9}'))
    assert load_checkpoint(folder, parts(0)) == {"update": 1}
