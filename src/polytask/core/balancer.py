"""Balancing: how K losses become one update.

A `Weighting` is a pure rule; a `Balancer` is a rule plus the way its Gramian is got (`balance/_gramian.py`). A balancer sees
losses, parameters and representations, never a system.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

Sees = Literal["losses", "gramian", "jacobian"]


class Weighting(nn.Module, ABC):
    """A rule from the losses of `total` tasks, and the Gramian of their gradients where it `sees` one, to one weight a task.

    State (running means, learnt weights) lives in buffers and parameters, so `state_dict` is all there is to save.
    Values are for the tasks found in the batch: `present` holds their numbers, of which there may be any from 1 to `total`.
    """

    sees: ClassVar[Sees]
    Options: ClassVar[type]

    def __init__(self, total: int) -> None:
        super().__init__()
        self.total = total

    @abstractmethod
    def forward(
        self, losses: Float[Tensor, "k"], gramian: Float[Tensor, "k k"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        """The weights."""

    def observe(self, losses: Float[Tensor, "k"], present: Int[Tensor, "k"]) -> None:
        """The same batch's losses after the update (called only where `looks_back`)."""

    looks_back: ClassVar[bool] = False
    """Whether `observe` wants the losses after each update (one more forward pass a step)."""

    def start_epoch(self, number: int) -> None:
        """Called as an epoch starts."""


@dataclass(frozen=True)
class Update:
    """What balancing needs to know of one step.

    losses: scalar losses by name, with their graphs.
    shared: the shared parameters that are trained.
    representation: the shared representation, where the system names one.
    scale: the loss scale of half precision (1 elsewhere): `.grad` is left multiplied by it.
    backward: what to call in place of `Tensor.backward` (the engine's, which knows about precision and processes).
    reduce: averages a tensor over processes (None: one process).
    """

    losses: Mapping[str, Float[Tensor, ""]]
    shared: Sequence[nn.Parameter]
    representation: Tensor | None = None
    scale: Tensor | float = 1.0
    backward: Callable[[Tensor], None] = Tensor.backward
    reduce: Callable[[Tensor], Tensor] | None = None


class Balancer(nn.Module, ABC):
    """Turns K losses into gradients: after `step`, `.grad` of every trained parameter holds the balanced gradient."""

    needs_representation: bool = False
    looks_back: bool = False

    @abstractmethod
    def step(self, update: Update) -> Float[Tensor, "tasks"]:
        """Accumulate balanced gradients into `.grad`; the weights used, one for every known task (0 where it is missing)."""

    def observe(self, losses: Mapping[str, Float[Tensor, ""]]) -> None:
        """The same batch's losses after the update (called only where `looks_back`)."""

    def start_epoch(self, number: int) -> None:
        """Called as an epoch starts."""
