"""One of several values without order: strings, dictionaries, codes."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from polytask.core import Input, arrow, fitted, opt

from . import _recognise
from ._example import check_sizes


@dataclass(frozen=True, kw_only=True)
class Category(Input):
    """A category as its number in `values`; the column is int64 `(rows,)`.

    0 stands for every value that training rows do not teach: unseen ones and those in fewer than `min_rows` rows (so that an
    embedding of "unseen" is trained). 1, 2, ... are the values by falling frequency. Absent cells hold 0. Values are compared
    as text, so codes may be integers in one file and strings in another.

    Errors: none for unseen values; `DataError` for cells that have no text, such as lists.
    """

    kind: ClassVar[str] = "category"
    rank: ClassVar[int] = 50

    min_rows: int = opt(2, "training rows that a value needs for a code of its own", ours="one row teaches nothing", ge=1)
    max_values: int = opt(1000, "values with a code of their own, at most", ours="bounds memory", ge=1)
    values: tuple[str, ...] = fitted(())
    """The known values, the most frequent first; `values[i]` has code `i + 1`."""

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Dictionaries; strings that are neither numbers, prose nor names of rows; whole numbers that are codes."""
        array = arrow.plain(column)
        if array.null_count == len(array) or _recognise.identifies(name, array):
            return False
        if _recognise.looks_numeric(array):
            return pa.types.is_dictionary(column.type) or _recognise.is_code(name, array)
        return arrow.is_text(array.type) and not _recognise.is_prose(array)

    def fit(self, column: pa.ChunkedArray) -> "Category":
        counts = pc.value_counts(arrow.texts(self.name, arrow.plain(column)).drop_null())
        rows = Counter(dict(zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)))
        often = sorted((-count, value) for value, count in rows.items() if count >= self.min_rows)
        return replace(self, values=tuple(value for _, value in often[: self.max_values]))

    def encode(self, column: pa.ChunkedArray) -> tuple[Int64[Tensor, "rows"], Bool[Tensor, "rows"]]:
        cells = arrow.texts(self.name, arrow.plain(column))
        known = pc.index_in(cells, value_set=pa.array(self.values, cells.type), skip_nulls=True)
        codes = pc.add(pc.fill_null(known, -1), 1).cast(pa.int64())
        return torch.from_numpy(codes.to_numpy().copy()), torch.from_numpy(arrow.valid(cells))

    def exact(self) -> "Category":
        return replace(self, min_rows=1, max_values=1_000_000)

    def decode(self, column: Int64[Tensor, "rows"]) -> list[str | None]:
        """The values that were encoded; None for unseen ones."""
        known = (None, *self.values)
        return [known[code] for code in column.tolist()]

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Category":
        check_sizes(name, sizes, len(sizes) == 1, "category 5")
        return cls(name=name, values=tuple(f"value {i}" for i in range(sizes[0])))

    def example_column(self, rows: int, generator: torch.Generator) -> Int64[Tensor, "rows"]:
        return torch.randint(0, len(self.values) + 1, (rows,), generator=generator)
