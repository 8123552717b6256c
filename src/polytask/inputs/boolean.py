"""Yes or no: booleans, 0 and 1, or the words for them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polytask.core import Input, arrow

from . import _recognise
from ._example import check_sizes

_TRUE = pa.array(["true", "yes", "y", "t", "1"], pa.large_string())
_FALSE = pa.array(["false", "no", "n", "f", "0"], pa.large_string())
_SPELLINGS = 20
"""More different cells than this are no flag; they need not be read as words."""


@dataclass(frozen=True, kw_only=True)
class Boolean(Input):
    """A flag; the column is float32 `(rows,)` of 0 and 1, 0 where it is absent.

    Errors: `DataError` names the rows whose cells are neither yes nor no.
    """

    kind: ClassVar[str] = "boolean"
    rank: ClassVar[int] = 30

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Booleans; numbers that are all 0 or 1; true/false, yes/no, y/n, t/f in any case."""
        array = arrow.plain(column)
        if not (pa.types.is_boolean(array.type) or arrow.is_text(array.type) or _recognise.looks_numeric(array)):
            return False
        if arrow.count_distinct(array) > _SPELLINGS:
            return False
        return arrow.all_cells(_words(name, array), lambda cells: pc.or_(pc.is_in(cells, _TRUE), pc.is_in(cells, _FALSE)))

    def fit(self, column: pa.ChunkedArray) -> "Boolean":
        self.encode(column)  # for its errors; there is nothing to learn
        return self

    def encode(self, column: pa.ChunkedArray) -> tuple[Float[Tensor, "rows"], Bool[Tensor, "rows"]]:
        array = arrow.plain(column)
        words = _words(self.name, array)
        true = pc.is_in(words, _TRUE)
        good = pc.or_(pc.or_(true, pc.is_in(words, _FALSE)), pc.is_null(words))
        arrow.check(
            self.name, array, np.asarray(good), "neither yes nor no", "Correct them, or declare the column a category or number"
        )
        return torch.from_numpy(np.asarray(true).astype(np.float32)), torch.from_numpy(arrow.valid(words))

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Boolean":
        check_sizes(name, sizes, not sizes, "boolean")
        return cls(name=name)

    def example_column(self, rows: int, generator: torch.Generator) -> Float[Tensor, "rows"]:
        return torch.randint(0, 2, (rows,), generator=generator).float()


def _words(name: str, array: pa.Array) -> pa.Array:
    return pc.utf8_lower(arrow.texts(name, array))
