"""Cells of Arrow columns: which are missing, as texts, as numbers, and how faulty ones are reported.

A cell is missing when it is null, NaN or a blank string. Strings are read without the blanks around them. Rows are counted
from 0.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64

from .errors import DataError, Fault

Numbers: TypeAlias = Float64[np.ndarray, "rows"]
Flags: TypeAlias = Bool[np.ndarray, "rows"]
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d+(\.0*)?$"
_EXACT = 2.0**53
_LARGEST = float(np.finfo(np.float64).max)


def plain(column: pa.ChunkedArray) -> pa.Array:
    """The cells as one array without dictionary or extension type, missing ones null, strings trimmed, decimals as float64."""
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
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
        column = pc.add(pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column), 0.0)  # -0.0 becomes 0.0
    return column.combine_chunks()


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this Arrow type are strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether cells of this Arrow type are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def valid(array: pa.Array) -> Flags:
    """Which cells are not null; the array may be written to."""
    return np.array(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def count_distinct(array: pa.Array) -> int:
    """How many different values the plain cells have; 0 where cells are lists or the like."""
    if pa.types.is_nested(array.type) or pa.types.is_null(array.type):
        return 0
    return int(pc.count_distinct(array, mode="only_valid").as_py())


def all_cells(array: pa.Array, test: Callable[[Any], Any], share: float = 1.0) -> bool:
    """Whether there are cells, and `test` holds in at least this share of those that are not null."""
    cells = array.drop_null()
    return len(cells) > 0 and int(pc.sum(test(cells)).as_py() or 0) >= share * len(cells)


def numeric(array: pa.Array, share: float = 1.0) -> bool:
    """Whether the plain cells are numbers, flags, durations, times of day, or strings of which this share are numbers."""
    if is_text(array.type):
        return all_cells(array, lambda cells: pc.match_substring_regex(cells, _NUMBER), share)
    return (_is_number(array.type) or _is_time(array.type)) and array.null_count < len(array)


def whole(array: pa.Array, share: float = 1.0) -> bool:
    """Whether the plain cells are whole numbers, small enough to be exact, or strings of which this share are."""
    if is_text(array.type):
        return all_cells(array, lambda cells: pc.match_substring_regex(cells, _WHOLE), share)
    if pa.types.is_floating(array.type):
        return all_cells(array, lambda x: pc.and_(pc.equal(x, pc.round(x)), pc.less(pc.abs(x), _EXACT)))
    return bool(pa.types.is_integer(array.type)) and array.null_count < len(array)


def texts(name: str, array: pa.Array) -> pa.Array:
    """Plain cells as strings, equal for equal meaning: the integer 3, the float 3.0 and the string "3" give "3".

    Raises `DataError` for cells that have no text, such as lists.
    """
    if pa.types.is_floating(array.type) and whole(array):
        array = array.cast(pa.int64())
    try:
        return array.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError.of(f"column '{name}'", f"cells of type {array.type} have no text", "Give strings or numbers") from None


def numbers(name: str, array: pa.Array, most: float = _LARGEST) -> Numbers:
    """Plain cells as float64, NaN where missing. Durations and times of day are counted in microseconds.

    Raises `DataError` naming the rows and values that are no numbers, or beyond `most` (by default: infinite).
    """
    kind, missing, cells = array.type, ~valid(array), array
    if missing.all():
        return np.full(len(array), np.nan)
    if is_text(kind):
        good = np.asarray(pc.fill_null(pc.match_substring_regex(array, _NUMBER), True))
        check(name, array, good, "not numbers", "Correct them, leave them empty, or declare the column another kind")
    elif _is_time(kind):
        cells = array.cast(pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us"), safe=False).view(pa.int64())
    elif not _is_number(kind):
        raise DataError.of(f"column '{name}'", f"cells of type {kind} are not numbers", "Declare the column another kind")
    values: Numbers = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    check(name, array, missing | (np.abs(values) <= most), "infinite or too large", "Correct them or leave them empty")
    return values


def check(name: str, array: pa.Array, good: Flags, problem: str, fix: str) -> None:
    """Raise `DataError` with the first rows that are not `good` and the values found there."""
    bad = np.flatnonzero(~good)
    if len(bad):
        cells = tuple((int(row), array[int(row)].as_py()) for row in bad[: Fault.SHOWN + 1])
        raise DataError(Fault(f"column '{name}'", f"{len(bad)} of {len(array)} cells are {problem}", fix, cells))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_duration(kind) or pa.types.is_time(kind))
