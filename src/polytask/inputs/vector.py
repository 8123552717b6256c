"""Numbers in fixed places: a list of the same length in every row."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from polytask.core import DataError, Input, arrow, fitted

from ._example import check_sizes

_LARGE = 1e150
"""Larger numbers have no float64 variance."""
_FAR = 1e6
"""Where standardised numbers end, so that float32 stays finite."""


@dataclass(frozen=True, kw_only=True)
class Vector(Input):
    """A list of `size` numbers; the column is float32 `(rows, size)`, standardised place by place; zeros where it is absent.

    A missing number inside a list takes the mean of its place.

    Errors: `DataError` names the rows whose lists have another length or hold infinities.
    """

    kind: ClassVar[str] = "vector"
    rank: ClassVar[int] = 20

    size: int = fitted(0)
    mean: tuple[float, ...] = fitted(())
    deviation: tuple[float, ...] = fitted(())

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Arrow lists of numbers, of one length."""
        array = arrow.plain(column)
        if not _holds_numbers(array.type) or array.null_count == len(array):
            return False
        lengths = pc.list_value_length(array)
        return arrow.count_distinct(lengths) == 1 and bool(pc.max(lengths).as_py())

    def fit(self, column: pa.ChunkedArray) -> "Vector":
        array = arrow.plain(column)
        cells = array.drop_null()
        if not len(cells) or not _holds_numbers(array.type):
            fix = "Leave the column out" if not len(cells) else "Declare it as another kind"
            raise DataError.of(f"column '{self.name}'", f"no row holds a list of numbers (type {array.type})", fix)
        size = int(pc.mode(pc.list_value_length(cells))[0]["mode"].as_py())
        values = _matrix(self.name, array, size)
        known = ~np.isnan(values)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, values, 0).sum(0) / count
        deviation = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / count)
        constant = deviation <= 1e-12 * np.abs(mean)
        return replace(self, size=size, mean=tuple(mean.tolist()), deviation=tuple(np.where(constant, 1.0, deviation).tolist()))

    def encode(self, column: pa.ChunkedArray) -> tuple[Float[Tensor, "rows size"], Bool[Tensor, "rows"]]:
        array = arrow.plain(column)
        present = torch.from_numpy(arrow.valid(array))
        encoded = torch.zeros(len(array), self.size)
        if present.any():
            standard = (_matrix(self.name, array, self.size) - np.array(self.mean)) / np.array(self.deviation)
            encoded[present] = torch.from_numpy(np.nan_to_num(standard.clip(-_FAR, _FAR)).astype(np.float32))
        return encoded, present

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Vector":
        check_sizes(name, sizes, len(sizes) == 1, "vector 6")
        return cls(name=name, size=sizes[0], mean=(0.0,) * sizes[0], deviation=(1.0,) * sizes[0])

    def example_column(self, rows: int, generator: torch.Generator) -> Float[Tensor, "rows size"]:
        return torch.randn(rows, self.size, generator=generator)


def _holds_numbers(kind: pa.DataType) -> bool:
    return bool(arrow.is_list(kind) and (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)))


def _matrix(name: str, array: pa.Array, size: int) -> Float64[np.ndarray, "present size"]:
    """The lists that are not null, side by side; NaN where a number is missing."""
    if not _holds_numbers(array.type):
        raise DataError.of(f"column '{name}'", f"cells of type {array.type} are not lists of numbers")
    good = pc.fill_null(pc.equal(pc.list_value_length(array), size), True)
    arrow.check(name, array, np.asarray(good), f"not of length {size}", "Bring all lists to one length")
    numbers = array.drop_null().flatten().cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    values: Float64[np.ndarray, "present size"] = numbers.reshape(-1, size)
    small = np.ones(len(array), bool)
    small[arrow.valid(array)] = ~(np.abs(values) > _LARGE).any(1)
    arrow.check(name, array, small, "infinite or too large", "Correct them or leave them empty")
    return values
