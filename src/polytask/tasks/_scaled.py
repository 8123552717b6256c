"""A numeric target on a scale that training rows teach."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from polytask.core import DataError, Task, arrow, fitted, opt

from . import _cells

_SKEWED = 2.0
_FENCE = 10.0
_MOST = 700.0
_FARTHEST = 1e15
"""Deviations whose squares, and sums of them, stay finite in float32."""


@dataclass(frozen=True, kw_only=True)
class Scaled(Task):
    """Values, or their logarithms, minus the training mean, over the training deviation.

    The logarithm is `sign(y) log(1 + |y|)`, which is `log1p` where no value is negative; `auto` takes it where none is and the
    skewness is above 2 (an exponential distribution's).
    Mean and deviation are of training values moved to the fence, 10 interquartile ranges beyond the quartiles (no fence where
    the quartiles are equal); losses see targets moved to it likewise, metrics see them as they are.
    """

    scale: Literal["auto", "identity", "log"] = opt(
        "auto", "the scale of the loss", ours="long tails need the log", choices=("auto", "identity", "log")
    )
    log: bool = fitted(False)
    mean: float = fitted(0.0)
    deviation: float = fitted(1.0)
    low: float = fitted(-float(np.finfo(np.float32).max))
    high: float = fitted(float(np.finfo(np.float32).max))
    """The fence, on the fitted scale."""

    def learn_scale(self, column: pa.ChunkedArray) -> dict[str, Any]:
        """The fitted fields. Raises `DataError` where the column is missing, constant, or no finite numbers."""
        name = self.columns[0]
        cells = arrow.plain(column)
        _cells.require_some(name, cells)
        values = _cells.targets(name, cells)
        values = values[~np.isnan(values)]
        if values.min() == values.max():
            raise DataError.of(f"column '{name}'", f"is constant: {values[0]:g} in {len(values)} rows", "Leave the task out")
        tailed = bool(values.min() >= 0 and _skewness(values) > _SKEWED)
        log = self.scale == "log" or (self.scale == "auto" and tailed)
        values = _log(values) if log else values
        low, high = _fence(values)
        tame = values.clip(low, high)
        mean, deviation = float(tame.mean()), float(tame.std()) or 1.0
        bounds = {"low": (low - mean) / deviation, "high": (high - mean) / deviation}
        return {"log": log, "mean": mean, "deviation": deviation} | bounds

    def encode_scaled(self, column: pa.ChunkedArray) -> tuple[Float32[Tensor, "rows"], Bool[Tensor, "rows"]]:
        """Targets on the fitted scale, 0 where there is none, and the `labelled` mask."""
        cells = arrow.plain(column)
        values = _cells.targets(self.columns[0], cells)
        labelled = ~np.isnan(values)
        scaled = ((_log(values) if self.log else values) - self.mean) / self.deviation
        problem = f"further than {_FARTHEST:g} deviations from the mean of training rows"
        arrow.check(self.columns[0], cells, ~(np.abs(scaled) > _FARTHEST), problem, "Correct them or leave them empty")
        return torch.from_numpy(np.where(labelled, scaled, 0.0).astype(np.float32)), torch.from_numpy(labelled)

    def fence(self, target: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Targets moved to the fence."""
        return target.clamp(self.low, self.high)

    def in_units(self, values: Float[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """Values of the fitted scale in the user's units."""
        values = values.double() * self.deviation + self.mean
        return values.sign() * values.abs().clamp(max=_MOST).expm1() if self.log else values


def _log(values: arrow.Numbers) -> arrow.Numbers:
    logs: arrow.Numbers = np.sign(values) * np.log1p(np.abs(values))
    return logs


def _skewness(values: arrow.Numbers) -> float:
    centred = (values - values.mean()) / values.std()
    return float((centred**3).mean())


def _fence(values: arrow.Numbers) -> tuple[float, float]:
    first, third = np.quantile(values, [0.25, 0.75])
    if first == third:
        return float(values.min()), float(values.max())
    return float(first - _FENCE * (third - first)), float(third + _FENCE * (third - first))
