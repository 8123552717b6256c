"""How the gradients of K tasks are got, and how a gradient is given back: nothing else knows.

At the parameters: one pass back through everything a task, with respect to the shared parameters; exact.
At the representation: one pass back through a task's own part only, with respect to the last tensor that all tasks share
(MGDA-UB of Sener & Koltun 2018, https://arxiv.org/abs/1810.04650, sec. 3.3, here for every rule). The trunk is passed once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from polytask.core import OptionError, Update
from polytask.core.balancer import At


@dataclass(frozen=True)
class Gradients:
    """The gradients of the unscaled losses of k tasks.

    variables: what the rows are gradients of: the shared parameters, or the representation.
    rows: a task's gradient a row, in single precision or better.
    own: the parameters of every known task with the task's plain gradient, by task.
    gramian: the inner products of the rows, over all processes.
    """

    variables: list[Tensor]
    rows: Float[Tensor, "k n"]
    own: Mapping[str, list[tuple[Tensor, Tensor]]]
    gramian: Float[Tensor, "k k"]

    def carrier(self, direction: Float[Tensor, "n"]) -> Float[Tensor, ""]:
        """A scalar (of value 0) whose gradient is `direction` for the variables and the plain gradients for `own`.

        One backward pass of it fires every hook that a wrapper has put on the parameters, and does not pass the tasks' own
        parts again.
        """
        parts = torch.split(direction, [variable.numel() for variable in self.variables])
        given = [(v, part.view_as(v)) for v, part in zip(self.variables, parts, strict=True)]
        given += chain.from_iterable(self.own.values())
        tensors = [tensor for tensor, _ in given]
        return _Carry.apply(direction.new_zeros(()), [part for _, part in given], *tensors)  # type: ignore[no-any-return, no-untyped-call]


def precise(tensor: Tensor) -> Tensor:
    """Half precision becomes single: Gramians and weights need it."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def gradients(update: Update, tasks: Sequence[str], known: Sequence[str], at: At) -> Gradients:
    """The gradients of `tasks`, of which some may be missing in this process (their rows are 0).

    Over processes the rows are averaged at the parameters. At the representation each process has its own rows of data: there
    the Gramians are averaged, which is the Gramian of the whole batch times the number of processes.
    """
    if at == "auto":
        at = "parameters" if update.representation is None else "representation"
    variables = _variables(update, at)
    found = {task: _of_one(update, task, variables if task in tasks else []) for task in known}
    own = {task: pairs for task, (_, pairs) in found.items()}
    rows = torch.stack([found[task][0] for task in tasks])
    if update.reduce and at == "parameters":
        rows = update.reduce(rows)
    gramian = rows @ rows.T
    if update.reduce and at == "representation":
        gramian = update.reduce(gramian)
    return Gradients(variables, rows, own, gramian)


def device_of(update: Update) -> torch.device:
    """Where the step takes place; a batch without any label has no losses."""
    return next(chain(update.losses.values(), update.shared, *update.own.values())).device


def _variables(update: Update, at: At) -> list[Tensor]:
    if at == "parameters":
        return [p for p in update.shared if p.requires_grad]
    if update.representation is None:
        raise OptionError.of("balancer.at", "the system names no shared representation", "Write at = 'parameters'")
    return [update.representation] if update.representation.requires_grad else []


def _of_one(update: Update, task: str, variables: list[Tensor]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """A task's row, and its own parameters with their gradients: zeros where the task is missing."""
    own: list[Tensor] = [p for p in update.own.get(task, ()) if p.requires_grad]
    loss = update.losses.get(task)
    if loss is None or not loss.requires_grad or not variables + own:
        parts = [precise(torch.zeros_like(tensor)) for tensor in variables + own]
    else:
        # Half precision loses small gradients unless the loss is scaled, as the engine's own backward does.
        scaled = torch.autograd.grad(loss * update.scale, variables + own, retain_graph=True, materialize_grads=True)
        parts = [precise(part) / update.scale for part in scaled]
    row = torch.cat([part.flatten() for part in parts[: len(variables)]] or [torch.zeros(0, device=device_of(update))])
    return row, list(zip(own, parts[len(variables) :], strict=True))


class _Carry(torch.autograd.Function):
    """A scalar whose gradients are given: `_Carry.apply(value, gradients, *tensors)`."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *tensors: Tensor) -> Tensor:
        ctx.gradients, ctx.dtypes = gradients, [tensor.dtype for tensor in tensors]
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        # Multiplied before it is rounded: what `outer` scales up may lie below half precision's smallest number.
        given = zip(ctx.gradients, ctx.dtypes, strict=True)
        return None, None, *((gradient * outer[0]).to(dtype) for gradient, dtype in given)
