"""Heads: from features to each task's raw output."""

from collections.abc import Mapping, Sequence
from math import prod

from jaxtyping import Float
from torch import Tensor, nn

from polytask.core import PerTask, Task

from .members import MemberLinear
from .mlp import MLP


class Head(nn.Module):
    """A tower and a linear layer: `(*members, batch, width) -> (*members, batch, *shape)`."""

    def __init__(self, width: int, shape: tuple[int, ...], members: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.shape = shape
        self.tower = MLP(width, hidden, dropout)
        self.out = MemberLinear(members, self.tower.width, prod(shape))

    def forward(self, features: Float[Tensor, "*members batch width"]) -> Float[Tensor, "*output"]:
        y: Tensor = self.out(self.tower(features))
        return y if len(self.shape) == 1 else y.unflatten(-1, self.shape)


class Heads(nn.Module):
    """One head a task, on features that tasks share or on each task's own."""

    def __init__(
        self, tasks: Mapping[str, Task], width: int, members: int = 1, hidden: Sequence[int] = (), dropout: float = 0.0
    ) -> None:
        super().__init__()
        heads = {name: Head(width, task.output_shape, members, hidden, dropout) for name, task in tasks.items()}
        self.heads = PerTask(heads)

    def forward(
        self, features: Tensor | Mapping[str, Tensor], tasks: Sequence[str] | None = None
    ) -> dict[str, Float[Tensor, "*output"]]:
        names = self.heads.names if tasks is None else tasks
        return {name: self.heads[name](features if isinstance(features, Tensor) else features[name]) for name in names}
