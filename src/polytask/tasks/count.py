"""A count: 0, 1, 2, ..."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torchmetrics import Metric

from polytask.core import DataError, arrow, fitted, opt

from . import _cells
from ._metrics import MeanOf, Skill
from ._scalar import Scalar, against

_MOST = 20.0
"""Bounds the log-rate, relative to the training mean's."""
_LARGEST = 1e30
"""So that counts stay finite in float32."""


@dataclass(frozen=True, kw_only=True)
class Count(Scalar):
    """The logarithm of the expected count over the training mean: an output of 0 is the training mean. Targets are the counts.

    The loss is the deviance of the distribution over that of the training mean on training rows, so a constant's loss is about
    1 as in `regression`, whatever the counts' size. `negative_binomial` has variance mu + a mu^2 with the dispersion a of the
    training counts themselves (by moments), which is what a model without inputs would leave: an upper bound.

    The primary metric `d2_poisson` is the Poisson deviance explained, against the training mean; scikit-learn's
    `d2_tweedie_score(power=1)` takes the evaluated rows' own mean instead. `mae` is in counts.

    Errors: `DataError` for constant or missing columns, text, and values that are negative or not whole.
    """

    kind: ClassVar[str] = "count"
    primary: ClassVar[str] = "d2_poisson"
    rank: ClassVar[int] = 60

    distribution: Literal["poisson", "negative_binomial"] = opt(
        "poisson", "the distribution of counts", ours="consistent for means", choices=("poisson", "negative_binomial")
    )
    mean: float = fitted(1.0)
    dispersion: float = fitted(0.0)
    """The a of the negative binomial; 0 is Poisson."""
    null: float = fitted(1.0)
    """The mean deviance of training rows from `mean`."""

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """One column of whole numbers from 0 with a mean of at most 5 and more than 10 different values."""
        if len(columns) != 1:
            return False
        cells = arrow.plain(columns[0])
        if not arrow.whole(cells) or arrow.count_distinct(cells) <= 10:
            return False
        values = arrow.numbers("", cells.drop_null())
        return bool(values.min() == 0 and values.mean() <= 5)

    def _read(self, column: pa.ChunkedArray) -> arrow.Numbers:
        name, cells = self.columns[0], arrow.plain(column)
        values = _cells.targets(name, cells)
        good = np.isnan(values) | ((values >= 0) & (values == np.round(values)))
        arrow.check(name, cells, ~(values > _LARGEST), "infinite or too large", "Correct them or leave them empty")
        arrow.check(name, cells, good, "not counts", "Correct them, leave them empty, or declare the task a regression")
        return values

    def fit(self, columns: list[pa.ChunkedArray]) -> "Count":
        name = self.columns[0]
        _cells.require_some(name, arrow.plain(columns[0]))
        values = self._read(columns[0])
        values = values[~np.isnan(values)]
        mean, variance = float(values.mean()), float(values.var())
        if variance == 0:
            raise DataError.of(f"column '{name}'", f"is constant: {mean:g} in {len(values)} rows", "Leave the task out")
        over = max(variance - mean, 0.0) / mean**2 if self.distribution == "negative_binomial" else 0.0
        null = float(deviance(torch.tensor(mean).double(), torch.from_numpy(values), over).mean())
        return replace(self, mean=mean, dispersion=over, null=null)

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows"], Bool[Tensor, "rows"]]:
        values = self._read(columns[0])
        labelled = ~np.isnan(values)
        return torch.from_numpy(np.where(labelled, values, 0.0).astype(np.float32)), torch.from_numpy(labelled)

    def row_losses(
        self, output: Float[Tensor, "*members batch 1"], target: Float[Tensor, "batch"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        values, counts = against(output, target)
        return deviance(self.activate(values), counts, self.dispersion) / self.null

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return self.mean * output.clamp(-_MOST, _MOST).exp()

    def metrics(self) -> Mapping[str, Metric]:
        return {
            "d2_poisson": Skill(deviance, torch.tensor(self.mean)),
            "mae": MeanOf(lambda p, y: (p - y).abs()),
        }

    def decode(self, prediction: Float[Tensor, "rows 1"]) -> dict[str, pa.Array]:
        """`{name}`, the expected count."""
        return {self.name: _cells.array(prediction.squeeze(-1))}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Count":
        _cells.check_sizes(name, cls.kind, sizes, (0,))
        return cls(name=name, columns=(name,), mean=3.0, null=1.1)

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows"]:
        return torch.poisson(torch.full((rows,), self.mean), generator=generator)


def deviance(mean: Float[Tensor, "..."], counts: Float[Tensor, "*rows"], dispersion: float = 0.0) -> Float[Tensor, "*rows"]:
    """The deviance of each count: Poisson, or negative binomial with variance mean + dispersion mean^2."""
    if dispersion > 0:
        size = 1 / dispersion
        rest = (counts + size) * ((counts + size).log() - (mean + size).log())
    else:
        rest = counts - mean
    return 2 * (torch.xlogy(counts, counts) - counts * mean.log() - rest)
