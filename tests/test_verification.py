"""`seqtutor verify`: its world is what it says, it passes what is right and fails what is broken."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
import torch
from click.testing import CliRunner
from conftest import replace_installed

import seqtutor.training.verification as verification
from seqtutor.cli import main
from seqtutor.objectives import Objective, OnPolicy, load_objective
from seqtutor.plugin.installed import installed
from seqtutor.training.verification import gradient_of_j, loss_at_optimum, new_world, train


def raises(s):
    raise ZeroDivisionError("in the loss")


def raises_late(s):
    """Right on random numbers, but not where the world asks for pairs of words."""
    return s.net.sum(-1).square() if len(s.values) != 2 else s.of_nothing


bad, late = Objective(raises), Objective(raises_late)
WORLD = new_world(1)
OFF = sorted(name for name in installed("objective") if not load_objective(name).on_policy)


def test_the_listed_words_are_all_there_are():
    with torch.no_grad():
        logp = WORLD.log_prior.gather(-1, WORLD.tokens[..., None])[..., 0].mul(WORLD.mask).sum(-1)
    assert float(logp.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    assert float(WORLD.log_optimum.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    assert len({tuple(word) for word in WORLD.tokens.tolist()}) == len(WORLD.tokens) == 40


def test_the_optimal_values_solve_the_soft_backup():
    """Psi(s,a) = log p + r/c + V(s'): by recursion, where the world found them by listing words."""
    taken = WORLD.psi.gather(-1, WORLD.tokens[..., None])[..., 0]
    value = torch.nn.functional.pad((WORLD.psi.logsumexp(-1) * WORLD.mask)[:, 1:], (0, 1))
    torch.testing.assert_close(taken * WORLD.mask, (WORLD.step_weight + value) * WORLD.mask, rtol=0, atol=1e-12)
    assert WORLD.gap(WORLD.prior) > 0.5


@pytest.mark.parametrize("name", ["psi", "g", "tb", "vargrad", "dpg"])
def test_zero_at_the_optimum_and_beside_it_not(name):
    at, beside = loss_at_optimum(WORLD, load_objective(name))
    assert at < 1e-10
    assert beside > 1e-6


@pytest.mark.parametrize(
    ("name", "multiple"), [("tb", -2), ("vargrad", -2), ("reinvent", -2), ("reinforce", -1), ("ppo", -1)]
)
def test_the_gradient_is_a_multiple_of_grad_j(name, multiple):
    found, residue = gradient_of_j(WORLD, load_objective(name), squared=True)
    assert found == pytest.approx(multiple, abs=1e-9)
    assert residue < 1e-9


def test_what_ships_is_proven_as_it_ships():
    """The robust square has its zero at pi*, and another gradient far from it: the table says how much lies off."""
    tb = load_objective("tb")
    assert loss_at_optimum(WORLD, tb)[0] < 1e-10
    _, shipped = gradient_of_j(WORLD, tb)
    assert 0.1 < shipped < 0.9
    assert gradient_of_j(WORLD, load_objective("vargrad"))[1] < 1e-9  # it has nothing to cut


@pytest.mark.parametrize("name", sorted(installed("objective")))
def test_an_lstm_tuned_by_the_loop_reaches_the_optimum(name, monkeypatch):
    """An exact one in half of the updates that `seqtutor verify` takes; the other has all of them, and does not."""
    if load_objective(name).exact:
        monkeypatch.setattr(verification, "UPDATES", verification.UPDATES // 2)
    before, after = train(WORLD, name)
    assert before > 0.5
    assert (after < 0.01) == load_objective(name).exact
    if name == "q":
        assert after < before


def test_a_wrong_sign_is_found(monkeypatch):
    def wrong(s):
        return s._replace(reward=-s.reward).net.sum(-1).square()

    broken = Objective(wrong, OnPolicy)
    monkeypatch.setattr(verification, "load_objective", lambda name: broken)
    monkeypatch.setattr(verification, "train", lambda world, name: (0.9, 0.8))
    proof = verification.prove(WORLD, "broken")
    assert not proof.zero
    assert not proof.climbs
    assert not proof.holds


def test_the_command_prints_a_row_an_objective_and_ends_well(monkeypatch):
    monkeypatch.setattr(verification, "train", lambda world, name: (0.9, 0.001))
    result = CliRunner().invoke(main, ["verify", "tb", "reinforce", "q"])
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.rstrip() for line in result.output.splitlines() if line.strip()}
    assert rows["tb"].endswith("proven")
    assert rows["reinforce"].endswith("proven")  # whole, in 80 columns
    assert "-2.000000" in rows["tb"]
    assert "%" in rows["tb"]
    assert rows["q"].endswith("no claim")
    monkeypatch.setattr(verification, "train", lambda world, name: (0.9, 0.2))
    assert CliRunner().invoke(main, ["verify", "tb"]).exit_code == 1


def test_an_unknown_objective_is_named_before_anything_is_run():
    result = CliRunner().invoke(main, ["verify", "psii"])
    assert result.exit_code == 1
    assert "'psii'" in result.output
    assert "psi" in result.output


def test_a_broken_objective_is_named_and_the_others_are_proven(monkeypatch):
    entries = {name: EntryPoint(name, f"test_verification:{name}", "seqtutor.objectives") for name in ("bad", "late")}
    right = EntryPoint("right", "seqtutor.objectives:tb", "seqtutor.objectives")
    replace_installed(monkeypatch, "objective", {**entries, "right": right, "psi": installed("objective")["psi"]})
    monkeypatch.setattr(verification, "train", lambda world, name: (0.9, 0.001))
    result = CliRunner().invoke(main, ["verify"])
    assert result.exit_code == 1, result.output
    first, second, last = result.stderr.strip().splitlines()
    assert "objective 'bad': its loss cannot be used: ZeroDivisionError: in the loss (test_verification.py" in first
    assert "objective 'late': its loss cannot be used: AttributeError" in second
    assert last.endswith("not proven: bad, late")
    rows = [line.split()[0] for line in result.stdout.splitlines() if line.rstrip().endswith("proven")]
    assert rows == ["right", "psi"]
