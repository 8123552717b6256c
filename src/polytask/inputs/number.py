"""A number a row: integers, floats, decimals, durations, or strings that hold numbers."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from polytask.core import Input, arrow, fitted, opt

from . import _recognise
from ._example import check_sizes

_CLIP = 3.5
"""Where the normal scale ends: values outside the training range lie here too."""
_FAR = 1e6
"""Where the standard scale ends, so that float32 stays finite."""
_NARROW = 1e-3
"""Bins narrower than this, on the scaled values, are merged into the next."""


@dataclass(frozen=True, kw_only=True)
class Number(Input):
    """A number, scaled by what training rows teach; the column is float32 `(rows,)`, 0 where it is absent.

    `quantile` maps a value to the normal score of its mean rank among training quantiles (one for 30 rows, 10 to 1000), as
    scikit-learn's `QuantileTransformer(output_distribution="normal")` does, with two differences: the scores end at +-3.5, not
    +-5.2, and ties at the smallest or largest value get the score of their mean rank, like ties elsewhere, not the end of the
    scale.
    `standard` subtracts the training mean and divides by the standard deviation.

    Errors: `DataError` names rows whose cells are infinite or not numbers.
    """

    kind: ClassVar[str] = "number"
    rank: ClassVar[int] = 60

    scale: Literal["quantile", "standard"] = opt(
        "quantile", "scaling of the values", ours="robust to outliers and skew", choices=("quantile", "standard")
    )
    bins: int = opt(32, "bins of the piecewise-linear embedding, at most", ours="enough for a few thousand rows", ge=1)
    quantiles: tuple[float, ...] = fitted(())
    mean: float = fitted(0.0)
    deviation: float = fitted(1.0)
    edges: tuple[float, ...] = fitted((-0.5, 0.5))
    """Edges of the bins, on the scaled values: training quantiles, at least two, increasing."""
    missing: float = fitted(0.0)
    """The share of training rows without a number."""

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Numbers, or strings of which 99 % are, unless they name rows; codes and flags are asked for earlier."""
        array = arrow.plain(column)
        return _recognise.looks_numeric(array) and not _recognise.identifies(name, array)

    def fit(self, column: pa.ChunkedArray) -> "Number":
        cells = arrow.numbers(self.name, arrow.plain(column))
        values = cells[~np.isnan(cells)]
        missing = 1 - len(values) / max(len(cells), 1)
        if not len(values):
            return replace(self, quantiles=(0.0,), missing=missing)
        exponent = _exponent(values)
        tame = _tame(values, exponent)
        count = min(max(min(len(tame) // 30, 1000), 10), len(tame))
        quantiles = np.quantile(tame, np.linspace(0, 1, count))
        # Interpolation may break the order of equal neighbours by a rounding error.
        quantiles = np.ldexp(np.maximum.accumulate(quantiles), exponent)
        deviation = float(np.ldexp(tame.std(), exponent)) if tame.min() < tame.max() else 1.0
        mean = float(np.ldexp(tame.mean(), exponent))
        known = replace(self, quantiles=tuple(quantiles.tolist()), mean=mean, deviation=deviation or 1.0, missing=missing)
        return replace(known, edges=_edges(known._scaled(values), self.bins))

    def encode(self, column: pa.ChunkedArray) -> tuple[Float[Tensor, "rows"], Bool[Tensor, "rows"]]:
        cells = arrow.numbers(self.name, arrow.plain(column))
        present = ~np.isnan(cells)
        values = np.where(present, self._scaled(np.where(present, cells, 0.0)), 0.0).astype(np.float32)
        return torch.from_numpy(values), torch.from_numpy(present)

    def _scaled(self, values: Float64[np.ndarray, "rows"]) -> Float64[np.ndarray, "rows"]:
        if self.scale == "standard":
            with np.errstate(over="ignore"):
                standard: Float64[np.ndarray, "rows"] = np.clip((values - self.mean) / self.deviation, -_FAR, _FAR)
                return standard
        known = np.array(self.quantiles)
        exponent = _exponent(known)
        x, xp = _tame(values, exponent), _tame(known, exponent)
        ranks = np.linspace(0, 1, len(xp)) if len(xp) > 1 else np.array([0.5])
        # Forward interpolation gives the last rank of a tie, backward the first: their mean is the rank.
        forward = np.interp(x, xp, ranks, left=0, right=1)
        backward = np.interp(-x, -xp[::-1], -ranks[::-1], left=-1, right=0)
        scores = torch.special.ndtri(torch.from_numpy(0.5 * (forward - backward))).numpy()
        clipped: Float64[np.ndarray, "rows"] = np.clip(scores, -_CLIP, _CLIP)
        return clipped

    def exact(self) -> "Number":
        return replace(self, scale="standard")

    def decode(self, column: Float[Tensor, "rows"]) -> Float64[np.ndarray, "rows"]:
        """The numbers that were encoded, up to the accuracy of float32; of `quantile`, up to the distance of quantiles."""
        values = column.double().cpu()
        quantiles = np.array(self.quantiles)
        found: Float64[np.ndarray, "rows"]
        if self.scale == "standard":
            found = values.numpy() * self.deviation + self.mean
        else:
            found = np.interp(torch.special.ndtr(values).numpy(), np.linspace(0, 1, len(quantiles)), quantiles)
        return found

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Number":
        check_sizes(name, sizes, not sizes, "number")
        values = torch.special.ndtri(torch.linspace(0.001, 0.999, 300, dtype=torch.float64)).tolist()
        return cls(name=name).fit(pa.chunked_array([values]))

    def example_column(self, rows: int, generator: torch.Generator) -> Float[Tensor, "rows"]:
        return torch.randn(rows, generator=generator).clamp(-_CLIP, _CLIP)


def _exponent(values: Float64[np.ndarray, "values"]) -> int:
    return int(np.frexp(np.abs(values).max())[1])


def _tame(values: Float64[np.ndarray, "values"], exponent: int) -> Float64[np.ndarray, "values"]:
    """Values divided by a power of two, which is exact, and tiny ones set to 0: their differences and slopes stay finite."""
    with np.errstate(over="ignore"):
        scaled = np.ldexp(values, -exponent)
    return np.where(np.abs(scaled) < 1e-290, 0.0, scaled)


def _edges(scaled: Float64[np.ndarray, "rows"], bins: int) -> tuple[float, ...]:
    """The different ones of `bins + 1` quantiles; around a constant, one bin of width 1."""
    found = np.unique(np.quantile(scaled, np.linspace(0, 1, bins + 1))).tolist()
    edges = found[:1]
    for edge in found[1:]:
        if edge - edges[-1] > _NARROW:
            edges.append(edge)
    return tuple(edges) if len(edges) > 1 else (edges[0] - 0.5, edges[0] + 0.5)
