"""Adam is torch's, number for number, and brings no compiler with it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from seqtutor.training.optimiser import Adam

LEARN = """
import sys
from seqtutor import tune
tune("music", options={"bars": 1}, updates=2, samples=8, rollouts=8, best_of=2, folder=sys.argv[1])
print(sorted({"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)))
"""


def test_it_is_torchs_adam_number_for_number():
    found = []
    for kind in (Adam, torch.optim.Adam):
        torch.manual_seed(0)
        weights = torch.randn(40, 30, requires_grad=True)
        optimiser = kind([{"params": [weights], "speed": 2.0}], lr=1e-2, betas=(0.9, 0.99))
        for step in range(6):
            optimiser.param_groups[0]["lr"] = 1e-2 / (step + 1)
            optimiser.zero_grad()
            (weights**3).sum().backward()
            optimiser.step()
            if step == 3:
                kept, optimiser = optimiser.state_dict(), kind([{"params": [weights], "speed": 2.0}])
                optimiser.load_state_dict(kept)
        found.append((weights.detach().clone(), optimiser.state_dict()["state"][0]))
    (ours, our_state), (theirs, their_state) = found
    assert torch.equal(ours, theirs)
    assert all(torch.equal(our_state[key], their_state[key]) for key in their_state)


def test_a_run_imports_no_compiler(tmp_path):
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, torch; print('torch._inductor' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    if bare.stdout.strip() == "True":
        pytest.skip("this torch brings its compiler with it, whatever is done")
    done = subprocess.run(
        [sys.executable, "-c", LEARN, str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
