"""What the kinds of input share about Arrow columns: missing cells, numbers, texts, and how a faulty cell is reported.

A cell is missing when it is null, NaN, or a blank string. Strings are read without the blanks around them. Rows are counted
from 0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool
from torch import Tensor

from polytask.core import DataError

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d+(\.0*)?$"
_SHOWN = 5


def plain(column: pa.ChunkedArray) -> pa.Array:
    """The cells as one array without dictionary or extension type, missing ones null, strings trimmed."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if is_text(kind):
        column = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    elif pa.types.is_floating(kind):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.combine_chunks()


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this Arrow type are strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def present(array: pa.Array) -> Bool[Tensor, "rows"]:
    """Which cells are not null."""
    return torch.from_numpy(array.is_valid().to_numpy(zero_copy_only=False).copy())


def distinct(array: pa.Array) -> int:
    """How many different values the cells that are not null have."""
    return int(pc.count_distinct(array, mode="only_valid").as_py())


def all_cells(array: pa.Array, test: Callable[[Any], Any], share: float = 1.0) -> bool:
    """Whether there are cells, and `test` holds in at least this share of those that are not null."""
    cells = array.drop_null()
    return len(cells) > 0 and int(pc.sum(test(cells)).as_py() or 0) >= share * len(cells)


def looks_numeric(array: pa.Array) -> bool:
    """Whether the cells are numbers, or strings of which at least 99 % are numbers."""
    kind = array.type
    if is_text(kind):
        return all_cells(array, lambda cells: pc.match_substring_regex(cells, _NUMBER), 0.99)
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(numeric or pa.types.is_duration(kind) or pa.types.is_time(kind)) and array.null_count < len(array)


def whole(array: pa.Array) -> bool:
    """Whether the cells are whole numbers, or strings of which at least 99 % are."""
    if is_text(array.type):
        return all_cells(array, lambda cells: pc.match_substring_regex(cells, _WHOLE), 0.99)
    if pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
        return all_cells(array, lambda cells: pc.equal(cells, pc.round(cells)))
    return bool(pa.types.is_integer(array.type)) and array.null_count < len(array)


def texts(name: str, array: pa.Array) -> pa.Array:
    """Cells as strings, equal for equal meaning: the integer 3, the float 3.0 and the string "3" give "3".

    Raises `DataError` for cells that have no text, such as lists.
    """
    kind = array.type
    if is_text(kind) or pa.types.is_null(kind):
        return array.cast(pa.large_string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        array = pc.add(array.cast(pa.float64()), 0.0)  # -0.0 becomes 0.0
        small = pc.less(pc.abs(array), 2.0**53)
        if whole(array) and pc.all(small).as_py():
            array = array.cast(pa.int64())
    try:
        return array.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError.of(f"column '{name}'", f"cells of type {kind} have no text") from None


def numbers(name: str, array: pa.Array) -> pa.Array:
    """Cells as finite float64. Raises `DataError` naming the rows and values that are not.

    Durations and times of day are counted in microseconds.
    """
    kind = array.type
    if is_text(kind):
        good = pc.fill_null(pc.match_substring_regex(array, _NUMBER), True)
        check(name, array, good, "not numbers", "Correct them, leave them empty, or declare the column a category or text")
    elif pa.types.is_duration(kind) or pa.types.is_time(kind):
        micros = pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
        array = array.cast(micros, safe=False).view(pa.int64())
    elif not (looks_numeric(array) or array.null_count == len(array) or pa.types.is_boolean(kind)):
        raise DataError.of(f"column '{name}'", f"cells of type {kind} are not numbers", "Declare it as another kind")
    found = array.cast(pa.float64(), safe=False)
    good = pc.fill_null(pc.is_finite(found), True)
    check(name, array, good, "infinite or too large", "Correct them or leave them empty")
    return found


def check(name: str, array: pa.Array, good: pa.Array, problem: str, fix: str) -> None:
    """Raise `DataError` with the first rows that are not `good` and the values found there."""
    bad = np.flatnonzero(~good.to_numpy(zero_copy_only=False).astype(bool))
    if len(bad):
        shown = ", ".join(f"row {row}: {array[int(row)].as_py()!r}" for row in bad[:_SHOWN])
        more = ", ..." if len(bad) > _SHOWN else ""
        count = f"{len(bad)} of {len(array)} cells are {problem}"
        raise DataError.of(f"column '{name}'", f"{count} ({shown}{more})", fix)
