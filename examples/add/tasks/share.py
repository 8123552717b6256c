"""A share: a number from 0 to 1, such as the part of a form that was filled in."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torchmetrics import Metric

from polytask.core import DataError, arrow, fitted
from polytask.tasks import _cells
from polytask.tasks._metrics import R2, MeanOf
from polytask.tasks._scalar import Scalar, against


@dataclass(frozen=True, kw_only=True)
class Share(Scalar):
    """The logit of the share, relative to the training mean: an output of 0 is that mean.

    The loss is the squared error over the variance of training rows, so a constant's loss is about 1, as in other tasks.

    Errors: `DataError` for text, for values below 0 or above 1, and where training rows are constant.
    """

    kind: ClassVar[str] = "share"
    primary: ClassVar[str] = "r2"

    mean: float = fitted(0.5)
    variance: float = fitted(1 / 12)

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Never: other numbers lie between 0 and 1 too, so it is declared, as in `--tasks filled=share`."""
        return False

    def fit(self, columns: list[pa.ChunkedArray]) -> "Share":
        values = self._read(columns[0])
        values = values[~np.isnan(values)]
        if len(values) < 2 or values.var() == 0:
            raise DataError.of(f"column '{self.columns[0]}'", "is constant or missing", "Leave the task out")
        return replace(self, mean=float(values.mean()), variance=float(values.var()))

    def _read(self, column: pa.ChunkedArray) -> arrow.Numbers:
        cells = arrow.plain(column)
        values = _cells.targets(self.columns[0], cells)
        arrow.check(self.columns[0], cells, ~((values < 0) | (values > 1)), "not from 0 to 1", "Divide percentages by 100")
        return values

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows"], Bool[Tensor, "rows"]]:
        values = self._read(columns[0])
        labelled = ~np.isnan(values)
        return torch.from_numpy(np.where(labelled, values, 0.0).astype(np.float32)), torch.from_numpy(labelled)

    def row_losses(
        self, output: Float[Tensor, "*members batch 1"], target: Float[Tensor, "batch"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        values, shares = against(output, target)
        return (self.activate(values) - shares) ** 2 / self.variance

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return torch.sigmoid(output + math.log(self.mean / (1 - self.mean)))

    def metrics(self) -> Mapping[str, Metric]:
        return {"r2": R2(), "mae": MeanOf(lambda p, y: (p - y).abs())}

    def decode(self, prediction: Float[Tensor, "rows 1"]) -> dict[str, pa.Array]:
        """`{name}`, the expected share."""
        return {self.name: _cells.array(prediction.squeeze(-1))}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Share":
        _cells.check_sizes(name, cls.kind, sizes, (0,))
        return cls(name=name, columns=(name,))

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows"]:
        return torch.rand(rows, generator=generator)
