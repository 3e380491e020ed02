"""Adam as torch has it, without torch's compiler, which nothing here uses.

The first call of any method of an optimiser imports that: some 900 modules, 70 MB, two seconds of a processor, and more
from a cold disk. The methods below are told that they are exempt from compilation already, or called as they were
before they were wrapped for it; where a newer torch wraps them in another way, the import comes back and nothing else.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, number for number."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move the parameters by their gradients."""
        return inspect.unwrap(torch.optim.Adam.step)(self, closure)


for _method in filter(inspect.isfunction, vars(Optimizer).values()):
    vars(inspect.unwrap(_method))["__dynamo_disable"] = inspect.unwrap(_method)
