"""A system: a published way to learn several tasks with one model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
from jaxtyping import Float
from torch import Tensor, nn

from .batch import Batch
from .schema import Schema
from .stage import Fit, Stage
from .task import Task


class PerTask(nn.Module):
    """A module a task. What lies in it belongs to that task alone; any other parameter is shared.

    Task names are free text, so modules are kept by number.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(modules)
        self.each = nn.ModuleList(modules.values())

    def __getitem__(self, task: str) -> nn.Module:
        return self.each[self.names.index(task)]

    def __contains__(self, task: object) -> bool:
        return task in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)


class System(nn.Module, ABC):
    """The base of every system and baseline; each is one final class in one file.

    `__init__` takes plain sizes and parts and reads like the paper; `build` adapts a schema and options to it.
    """

    options_type: ClassVar[type]
    """The frozen dataclass of its options."""
    representation: ClassVar[str | None] = None
    """The submodule whose output is the last tensor that all tasks share (for balancing at the representation)."""
    xfail: ClassVar[Mapping[str, str]] = {}
    """Conformance checks that cannot hold here, with the reason: `{"check": "reason"}`."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.tasks = dict(tasks)

    @classmethod
    @abstractmethod
    def build(cls, schema: Schema, options: Any) -> "System":
        """The system for a fitted schema; `options` is an instance of `options_type`."""

    @abstractmethod
    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Float[Tensor, "*output"]]:
        """The raw outputs of `tasks` (None: all)."""

    def losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The loss of every task that has a label in the batch; auxiliary objectives come under their own names."""
        return self.task_losses(self(batch, batch.tasks), batch)

    def objectives(self) -> tuple[str, ...]:
        """The names of the losses that a balancer weighs: the tasks; a system may add or put others in their place."""
        return tuple(self.tasks)

    def tables(self, batch: Batch) -> dict[str, pa.Table]:
        """What else the system has to say on these rows, beside predictions: a schedule, a read-out a step; by name."""
        return {}

    def task_losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Each output's loss against the batch's targets."""
        return {
            name: self.tasks[name].loss(output, batch.targets.tensor(name), batch.labelled.tensor(name))
            for name, output in outputs.items()
        }

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters that `task` (or another objective) alone uses: those inside a `PerTask`."""
        own = (module[task] for module in self.modules() if isinstance(module, PerTask) and task in module)
        return list({id(p): p for module in own for p in module.parameters()}.values())

    def shared_parameters(self) -> list[nn.Parameter]:
        """Every parameter that is no task's (or objective's) own."""
        owned = {id(p) for name in {*self.tasks, *self.objectives()} for p in self.task_parameters(name)}
        return [p for p in self.parameters() if id(p) not in owned]

    def stages(self) -> Sequence[Stage]:
        """The phases of training, in order."""
        return [Fit()]
