"""A task whose answer is one of several classes."""

from dataclasses import dataclass, replace

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from polytask.core import Task, arrow, fitted, opt

from . import _cells, _classes


@dataclass(frozen=True, kw_only=True)
class OneOf(Task):
    """Targets are class numbers `(batch,)`, predictions probabilities `(rows, classes)`.

    A value that training rows did not teach, or that fewer than `min_rows` of them have, is unlabelled, with a warning: it
    counts in no metric.
    """

    min_rows: int = opt(2, "training rows that a class needs", ours="one row teaches nothing", ge=1)
    classes: tuple[_classes.Value, ...] = fitted(())

    def fit(self, columns: list[pa.ChunkedArray]) -> "OneOf":
        return replace(self, classes=_classes.learn(self.columns[0], arrow.plain(columns[0]), self.min_rows))

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Int64[Tensor, "rows"], Bool[Tensor, "rows"]]:
        return _classes.encode(self.columns[0], columns[0], self.classes)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.classes),)

    def decode(self, prediction: Float[Tensor, "rows classes"]) -> dict[str, pa.Array]:
        """`{name}`, the likeliest class, and `{name}_probability_{class}` of every class."""
        chances = zip(self.classes, prediction.unbind(-1), strict=True)
        likeliest = _classes.decode(prediction.argmax(-1), self.classes)
        return {self.name: likeliest} | {
            f"{self.name}_probability_{_classes.text(value)}": _cells.array(chance) for value, chance in chances
        }

    def example_target(self, rows: int, generator: torch.Generator) -> Int64[Tensor, "rows"]:
        return torch.randint(0, len(self.classes), (rows,), generator=generator)


def pick(logarithms: Float[Tensor, "*output"], target: Int64[Tensor, "batch"]) -> Float[Tensor, "*rows"]:
    """Minus the logarithm of the right class's probability, of every row (and member)."""
    return -logarithms.gather(-1, target.expand(logarithms.shape[:-1]).unsqueeze(-1)).squeeze(-1)
