"""One network a task: what sharing must beat."""

card = {
    "title": "One network a task",
    "field": "tables",
    "kind": "baseline",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from polytask.core import Batch, Fit, Parameters, PerTask, Schema, Stage, System, Task
from polytask.nn.heads import Heads
from polytask.nn.mlp import MLP
from polytask.nn.trunk import Stem, TrunkOptions


@dataclass(frozen=True)
class Options(TrunkOptions):
    """The options of a plain trunk, of which every task has its own."""


class Network(nn.Module):
    """`Batch -> {task: output}` for one task."""

    def __init__(self, schema: Schema, options: Options) -> None:
        super().__init__()
        self.stem = Stem(schema, options, options.members)
        self.trunk = MLP(self.stem.width, options.widths, options.dropout)
        self.heads = Heads(schema.tasks, self.trunk.width, options.members)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.heads(self.trunk(self.stem(batch)))
        return outputs


class SingleTask(System):
    """Each task's network is trained by itself and stopped by its own validation score, as without sharing."""

    options_type = Options

    def __init__(self, networks: Mapping[str, Network], tasks: Mapping[str, Task]) -> None:
        super().__init__(tasks)
        self.networks = PerTask(networks)

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "SingleTask":
        return cls({name: Network(schema.only(tasks=(name,)), options) for name in schema.tasks}, schema.tasks)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {name: self.networks[name](batch)[name] for name in (self.tasks if tasks is None else tasks)}

    def stages(self) -> Sequence[Stage]:
        return [Fit(name, tasks=(name,), parameters=[Parameters(self.task_parameters(name))]) for name in self.tasks]
