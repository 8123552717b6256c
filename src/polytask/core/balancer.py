"""Balancing: how K losses become one update.

A `Weighting` is a pure rule; a `Balancer` is a rule plus the way its Gramian is got (`balance/_gramian.py`). A balancer sees
losses, parameters and representations, never a system.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

Sees = Literal["losses", "gramian", "jacobian"]
At = Literal["auto", "representation", "parameters"]


class Weighting(nn.Module, ABC):
    """A rule from the losses of `tasks`, and what it `sees` of their gradients, to one weight a task.

    State (running means, learnt weights) lives in buffers and parameters, so `state_dict` is all there is to save.
    Values are for the tasks found in the batch: `present` holds their numbers, of which there may be any from 1 to `total`.

    sees: what `seen` is: None, the Gramian of the tasks' gradients (n = k), or the gradients themselves.
    at: where they are taken ("auto": at the representation where the system names one, else at the parameters).
    looks_back: whether `observe` wants the losses after each update (one more forward pass a step).
    """

    sees: Sees
    at: At = "auto"
    looks_back: bool = False
    Options: ClassVar[type]

    def __init__(self, tasks: Sequence[str], options: Any) -> None:
        super().__init__()
        self.tasks, self.total, self.options = tuple(tasks), len(tasks), options

    @abstractmethod
    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        """The weights; they carry a graph to the rule's own parameters, if it has any."""

    def objective(self, weights: Float[Tensor, "k"], losses: Float[Tensor, "k"]) -> Float[Tensor, ""]:
        """What the rule's own parameters minimise, if it has any; its gradient for the losses is the weights."""
        return weights @ losses

    def combine(
        self, weights: Float[Tensor, "k"], jacobian: Float[Tensor, "k n"], present: Int[Tensor, "k"]
    ) -> Float[Tensor, "n"]:
        """The gradient that the shared parameters get, from those of the tasks."""
        return weights @ jacobian

    def observe(self, losses: Float[Tensor, "k"], present: Int[Tensor, "k"]) -> None:
        """The same batch's losses after the update (called only where `looks_back`)."""

    def start_epoch(self, number: int) -> None:
        """Called as an epoch starts."""


@dataclass(frozen=True)
class Entry:
    """Where a task's own part takes the shared representation in: by a linear layer of its own.

    output: what the layer gave, with its graph. weight: output = representation @ weight[block of the row].
    place: where each row lies among the blocks' rows, each block having ceil(rows / blocks) (None: there is one block).
    """

    output: Float[Tensor, "... outputs"]
    weight: Float[Tensor, "blocks inputs outputs"]
    place: Int[Tensor, "rows"] | None = None


@dataclass(frozen=True)
class Update:
    """What balancing needs to know of one step.

    losses: scalar losses by name, with their graphs.
    shared: the shared parameters that are trained.
    own: the trained parameters that one task alone uses, by task.
    representation: the shared representation, where the system names one.
    entries: by task, where its own part takes the representation in, if all tasks do so by a linear layer alone.
    scale: the loss scale of half precision (1 elsewhere): `.grad` is left multiplied by it.
    backward: what to call in place of `Tensor.backward` (the engine's, which multiplies by `scale`).
    again: the losses of the same batch at the weights of the moment, with the same random numbers and without any effect on
        running statistics; a tensor given to it takes the place of the shared representation.
    reduce: averages a tensor over processes (None: one process). What `step` leaves in `.grad` is this process's own share:
        the engine (or DistributedDataParallel) averages it.
    """

    losses: Mapping[str, Float[Tensor, ""]]
    shared: Sequence[nn.Parameter]
    representation: Tensor | None = None
    scale: Tensor | float = 1.0
    backward: Callable[[Tensor], None] = Tensor.backward
    reduce: Callable[[Tensor], Tensor] | None = None
    own: Mapping[str, Sequence[nn.Parameter]] = field(kw_only=True)
    again: Callable[[Tensor | None], Mapping[str, Float[Tensor, ""]]] | None = field(kw_only=True, default=None)
    entries: Mapping[str, Entry] | None = field(kw_only=True, default=None)


class Balancer(nn.Module, ABC):
    """Turns K losses into gradients: after `step`, `.grad` of every trained parameter holds the balanced gradient."""

    needs_representation: bool = False
    looks_back: bool = False
    looks_again: bool = False
    """Whether `step` calls `Update.again`."""

    @abstractmethod
    def step(self, update: Update) -> Float[Tensor, "tasks"]:
        """Accumulate balanced gradients into `.grad`; the weights used, one for every known task (0 where it is missing)."""

    def observe(self, losses: Mapping[str, Float[Tensor, ""]]) -> None:
        """The same batch's losses after the update (called only where `looks_back`)."""

    def start_epoch(self, number: int) -> None:
        """Called as an epoch starts."""
