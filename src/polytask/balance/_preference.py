"""Options that hold a number a task."""

from collections.abc import Sequence

import torch
from torch import Tensor

from polytask.core import OptionError


def vector(where: str, values: Sequence[float] | None, tasks: Sequence[str], default: float) -> Tensor:
    """`values` in the order of `tasks`, or `default` for each. Raises `OptionError` where the numbers do not match."""
    if values is None:
        return torch.full((len(tasks),), default)
    if len(values) != len(tasks):
        raise OptionError.of(where, f"{len(values)} numbers for {len(tasks)} tasks", f"In order: {', '.join(tasks)}")
    return torch.tensor([float(value) for value in values])
