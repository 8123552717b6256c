"""A task with one output a row."""

from jaxtyping import Float, Shaped
from torch import Tensor

from polytask.core import Task


class Scalar(Task):
    """One output a row: outputs are `(*members, batch, 1)`, targets `(batch,)`; metrics compare `(rows,)` with `(rows,)`."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (1,)

    def evaluate(self, prediction: Float[Tensor, "rows 1"], target: Shaped[Tensor, "rows"]) -> dict[str, float]:
        return super().evaluate(prediction.squeeze(-1), target)


def against(output: Float[Tensor, "*output"], target: Float[Tensor, "batch"]) -> tuple[Tensor, Tensor]:
    """Outputs `(*members, batch)` in float32, and the targets in that shape."""
    values = output.squeeze(-1).float()
    return values, target.float().expand_as(values)
