"""Starting from a finished run: its view of the inputs, its shared weights, fresh heads for new tasks."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from polytask.core import DataError, PerTask, RunError, Schema, System
from polytask.core.errors import collect
from polytask.data.prepare import Prepared

from .run import Run


def own_modules(system: System, task: str) -> dict[str, nn.Module]:
    """The modules that belong to one task alone, by the path of the `PerTask` that holds them."""
    return {
        path: module[task] for path, module in system.named_modules() if isinstance(module, PerTask) and task in module
    }  # fmt: skip


def shared_state(system: System) -> dict[str, Tensor]:
    """Parameters and buffers (detached, not copied) that lie in no task's own module."""
    prefixes = tuple(
        f"{path + '.' if path else ''}each.{module.names.index(task)}."
        for path, module in system.named_modules()
        if isinstance(module, PerTask)
        for task in system.tasks
        if task in module
    )
    return {name: tensor for name, tensor in system.state_dict().items() if not name.startswith(prefixes)}


def fitting(system: System, state: Mapping[str, Tensor], whose: str) -> None:
    """Raises `RunError` unless `state` has the names and shapes of the system's shared tensors."""
    own = shared_state(system)
    for name in dict.fromkeys([*own, *state]):
        if name not in own or name not in state or own[name].shape != state[name].shape:
            shapes = [str(tuple(part[name].shape)) if name in part else "absent" for part in (state, own)]
            problem = f"is {shapes[0]} in {whose} and {shapes[1]} in the new model"
            raise RunError.of(f"tensor '{name}'", problem, "Use a system whose shared part does not depend on its tasks")


def prepared_for(prepared: Prepared, run: Run) -> Prepared:
    """The same rows, read with the inputs of `run` as they were fitted there.

    Raises `DataError` naming the columns that are an input there and a task here.
    """
    columns = {column for task in prepared.schema.tasks.values() for column in task.columns}
    with collect(DataError) as faults:
        for name in run.schema.inputs:
            if name in columns:
                faults.add(f"column '{name}'", f"is an input of {run.folder}, and a task here", "Start from a run without it")
    schema = Schema(run.schema.inputs, prepared.schema.tasks)
    return replace(prepared, schema=schema, batch=schema.encode(prepared.table))


@torch.no_grad()
def start_from(system: System, run: Run) -> tuple[str, ...]:
    """Copy the shared weights of `run`, and the heads of tasks that are equal there; the names of those tasks.

    Raises `RunError` naming the first tensor that differs in name or shape.
    """
    state = shared_state(run.system)
    fitting(system, state, str(run.folder or "the run"))
    for name, tensor in shared_state(system).items():
        tensor.copy_(state[name])
    kept = tuple(name for name, task in system.tasks.items() if run.schema.tasks.get(name) == task)
    for name in kept:
        take_heads(system, run.system, name)
    return kept


@torch.no_grad()
def take_heads(system: System, other: System, task: str) -> None:
    """Copy what belongs to `task` alone."""
    theirs = own_modules(other, task)
    for path, module in own_modules(system, task).items():
        module.load_state_dict(theirs[path].state_dict())
