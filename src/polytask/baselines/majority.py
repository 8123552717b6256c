"""The best constant prediction of each task: what every model must beat."""

card = {
    "title": "The best constant",
    "field": "tables",
    "kind": "baseline",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polytask.core import Batch, PerTask, Schema, Solve, Stage, System, Task

from ._solve import minimise


@dataclass(frozen=True)
class Options:
    """None."""


class Constant(nn.Module):
    """One raw output for every row."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(shape))

    def forward(self, rows: int) -> Tensor:
        return self.value.expand(rows, *self.value.shape)


class Majority(System):
    """Each task's constant minimises its loss on the training rows: the class shares, the mean, the survival curve of all."""

    options_type = Options
    xfail = {
        "overfits": "a constant tells no rows apart",
    }

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        super().__init__(tasks)
        self.constants = PerTask({name: Constant(task.output_shape) for name, task in tasks.items()})

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "Majority":
        return cls(schema.tasks)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {name: self.constants[name](len(batch)) for name in (self.tasks if tasks is None else tasks)}

    def stages(self) -> Sequence[Stage]:
        return [Solve(self.solve, "constants")]

    def solve(self, train: Batch, validation: Batch, seed: int) -> None:
        """Find the constants."""
        minimise(list(self.parameters()), lambda: torch.stack(list(self.losses(train).values())).sum())
