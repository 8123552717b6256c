"""How the gradients of K tasks are got, and how a gradient is given back: nothing else knows.

At the parameters: one pass back through everything a task, with respect to the shared parameters; exact. All K gradients are
kept where they fit into `KEPT` bytes; else the Gramian is summed up layer by layer (`_layers.py`) and the weighted losses go
back once more, so memory grows with K times the largest layer, not with K times all parameters. (Not where the graph holds
nodes that Python code or a compiler made: there all are kept.)

At the representation: one pass back through a task's own part only, with respect to the last tensor that all tasks share
(MGDA-UB of Sener & Koltun 2018, https://arxiv.org/abs/1810.04650, sec. 3.3, here for every rule). The trunk is passed once.
Where every task takes the representation in by a linear layer (`_entries.py`), all tasks are passed back at once.
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

from . import _entries, _layers
from ._passes import back, device_of, has_loss, own_of

KEPT = 256 * 2**20
"""Bytes of gradients at the parameters up to which all K rows are kept."""


@dataclass(frozen=True)
class Gradients:
    """The gradients of the unscaled losses of k tasks.

    variables: what the gradients are of: the shared parameters, or the representation.
    own: the parameters of every known task with the task's plain gradient, by task.
    gramian: the inner products of the tasks' gradients, over all processes.
    given: a task's gradient a row, in single precision or better; or what turns weights into their weighted sum.
    """

    variables: list[Tensor]
    own: Mapping[str, list[tuple[Tensor, Tensor]]]
    gramian: Float[Tensor, "k k"]
    given: Float[Tensor, "k n"] | _entries.Rows | _layers.Weighted

    @property
    def rows(self) -> Float[Tensor, "k n"]:
        """A task's gradient a row; only where they were asked for."""
        assert isinstance(self.given, Tensor)
        return self.given

    def combined(self, weights: Float[Tensor, "k"]) -> Float[Tensor, "n"]:
        """The weighted sum of the tasks' gradients."""
        if isinstance(self.given, Tensor):
            return weights.to(self.given.dtype) @ self.given
        return self.given.combined(weights)

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


def gradients(update: Update, tasks: Sequence[str], known: Sequence[str], at: At, rows: bool = True) -> Gradients:
    """The gradients of `tasks`, of which some may be missing in this process (their rows are 0).

    rows: whether all of them are wanted, not their Gramian and a weighted sum alone.
    Over processes the rows are averaged at the parameters. At the representation each process has its own rows of data: there
    the Gramians are averaged, which is the Gramian of the whole batch times the number of processes.
    """
    at, variables = _place(update, at)
    if not rows and at == "representation" and variables and _entries.usable(update.entries or {}, tasks):
        found = _entries.gradients(update, tasks, known)
        return Gradients(variables, found.own, _reduced(update, found.gramian()), found)
    size = sum(v.numel() * max(4, v.element_size()) for v in variables)
    if not rows and at == "parameters" and len(tasks) * size > KEPT and _layers.walkable(update, known):
        gramian, own = _layers.gramian(update, tasks, known, variables)
        return Gradients(variables, own, gramian, _layers.Weighted(update, tasks, variables))
    return _each(update, tasks, known, variables, at)


def weighable(update: Update, tasks: Sequence[str], known: Sequence[str], at: At) -> Gradients:
    """As `gradients` where the weights are known before: no rows, an empty Gramian, at the price of a plain step."""
    at, variables = _place(update, at)
    none = torch.zeros(0, 0, device=device_of(update))
    if at == "representation" and variables and _entries.usable(update.entries or {}, tasks):
        found = _entries.gradients(update, tasks, known)
        return Gradients(variables, found.own, none, found)
    here = [task for task in known if has_loss(update, task)]
    mine = {task: own_of(update, task) for task in known}
    flat = [parameter for each in mine.values() for parameter in each]
    plain = iter(back(update, [update.losses[task] for task in here], flat))
    own = {task: [(parameter, next(plain)) for parameter in each] for task, each in mine.items()}
    return Gradients(variables, own, none, _layers.Weighted(update, tasks, variables))


def _each(update: Update, tasks: Sequence[str], known: Sequence[str], variables: list[Tensor], at: At) -> Gradients:
    """One pass back a task; its row is written where it stays."""
    dtype = torch.promote_types(torch.float32, variables[0].dtype) if variables else torch.float32
    rows = torch.zeros(len(tasks), sum(v.numel() for v in variables), dtype=dtype, device=device_of(update))
    own = {}
    for task in known:
        shared, mine = variables if task in tasks else [], own_of(update, task)
        found = back(update, [update.losses[task]] if has_loss(update, task) else [], [*shared, *mine])
        if shared:
            torch.cat([part.flatten() for part in found[: len(shared)]], out=rows[tasks.index(task)])
        own[task] = list(zip(mine, found[len(shared) :], strict=True))
    if update.reduce and at == "parameters":
        rows = update.reduce(rows)
    gramian = rows @ rows.T
    return Gradients(variables, own, _reduced(update, gramian) if at == "representation" else gramian, rows)


def _reduced(update: Update, gramian: Tensor) -> Tensor:
    return update.reduce(gramian) if update.reduce else gramian


def _place(update: Update, at: At) -> tuple[At, list[Tensor]]:
    """Where gradients are taken, and what they are of."""
    if at == "auto":
        at = "parameters" if update.representation is None else "representation"
    if at == "parameters":
        return at, [p for p in update.shared if p.requires_grad]
    if update.representation is None:
        raise OptionError.of("balancer.at", "the system names no shared representation", "Write at = 'parameters'")
    return at, [update.representation] if update.representation.requires_grad else []


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
