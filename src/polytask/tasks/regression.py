"""A number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss
from torchmetrics import Metric

from polytask.core import arrow, opt

from . import _cells
from ._metrics import R2, MeanOf
from ._scalar import Scalar, against
from ._scaled import Scaled

_LOSSES: dict[str, Callable[..., Tensor]] = {"mse": mse_loss, "huber": huber_loss, "mae": l1_loss}


@dataclass(frozen=True, kw_only=True)
class Regression(Scaled, Scalar):
    """One number on the fitted scale (see `Scaled`): training targets have mean 0 and deviation 1 there, so an output of 0 is
    the training mean. The loss is taken on that scale, huber with its bend at one deviation.

    Outliers: a long tail is met by the logarithm; the fence of `Scaled` bounds any single row's pull on scale and loss; `huber`
    and `mae` go further.

    The primary metric `r2` is on the fitted scale too (of the logarithm where that was chosen), where it counts the rows' own
    mean as 0; `mae` and `rmse` are in the user's units. Where the logarithm is taken, the prediction is nearer to the median of
    the user's units than to their mean.

    Errors: `DataError` where training rows are constant or missing, and for text and infinities.
    """

    kind: ClassVar[str] = "regression"
    primary: ClassVar[str] = "r2"
    rank: ClassVar[int] = 90

    criterion: Literal["mse", "huber", "mae"] = opt("mse", "the loss", ours="what r2 measures", choices=("mse", "huber", "mae"))

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """One column of numbers."""
        return len(columns) == 1 and arrow.numeric(arrow.plain(columns[0]))

    def fit(self, columns: list[pa.ChunkedArray]) -> "Regression":
        return replace(self, **self.learn_scale(columns[0]))

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows"], Bool[Tensor, "rows"]]:
        return self.encode_scaled(columns[0])

    def row_losses(
        self, output: Float[Tensor, "*members batch 1"], target: Float[Tensor, "batch"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        return _LOSSES[self.criterion](*against(output, self.fence(target)), reduction="none")

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output

    def metrics(self) -> Mapping[str, Metric]:
        def error(prediction: Tensor, target: Tensor) -> Tensor:
            return (self.in_units(prediction) - self.in_units(target)).abs()

        return {
            "r2": R2(),
            "mae": MeanOf(error),
            "rmse": MeanOf(lambda p, y: error(p, y) ** 2, torch.sqrt),
        }

    def decode(self, prediction: Float[Tensor, "rows 1"]) -> dict[str, pa.Array]:
        """`{name}` in the user's units."""
        return {self.name: _cells.array(self.in_units(prediction.squeeze(-1)))}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Regression":
        _cells.check_sizes(name, cls.kind, sizes, (0, 1))
        return cls(name=name, columns=(name,))

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows"]:
        return torch.randn(rows, generator=generator)
