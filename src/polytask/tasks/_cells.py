"""What the kinds of answer share about Arrow columns: missing cells, texts, numbers, and how a faulty cell is reported.

A cell is missing when it is null, NaN or a blank string. Rows are counted from 0.
"""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from polytask.core import DataError

Numbers: TypeAlias = Float64[np.ndarray, "rows"]
Flags: TypeAlias = Bool[np.ndarray, "rows"]
_SHOWN = 5
_EXACT = 2.0**53
_MOST = 1e100
"""So that squares and cubes of targets stay finite."""


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
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
        column = pc.add(pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column), 0.0)  # -0.0 becomes 0.0
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this Arrow type are strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def texts(name: str, array: pa.Array) -> pa.Array:
    """Plain cells as strings, equal for equal meaning: the integer 3, the float 3.0 and the string "3" give "3".

    Raises `DataError` for cells that have no text, such as lists.
    """
    if pa.types.is_floating(array.type) and is_whole(array.drop_null().to_numpy()):
        array = array.cast(pa.int64())
    try:
        return array.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError.of(f"column '{name}'", f"cells of type {array.type} have no text", "Give strings or numbers") from None


def numbers(name: str, array: pa.Array) -> Numbers:
    """Plain cells as float64, NaN where missing. Raises `DataError` naming the rows and values that are no finite numbers."""
    values: Numbers = _numbers(array)
    missing = ~valid(array)
    check(name, array, missing | ~np.isnan(values), "not numbers", "Correct them, leave them empty, or declare another kind")
    check(name, array, missing | (np.abs(values) < _MOST), "infinite or too large", "Correct them or leave them empty")
    return values


def numeric(array: pa.Array) -> bool:
    """Whether there are plain cells and all of them are numbers, or strings that hold numbers."""
    return bool(array.null_count < len(array) and np.isfinite(_numbers(array.drop_null())).all())


def is_whole(values: Numbers) -> bool:
    """Whether all numbers are whole, and small enough to be exact."""
    return bool(np.all((values == np.round(values)) & (np.abs(values) < _EXACT)))


def valid(array: pa.Array) -> Flags:
    """Which cells are not null."""
    return np.array(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def check(name: str, array: pa.Array, good: Flags, problem: str, fix: str) -> None:
    """Raise `DataError` with the first rows that are not `good` and the values found there."""
    bad = np.flatnonzero(~good)
    if len(bad):
        shown = ", ".join(f"row {row}: {array[int(row)].as_py()!r}" for row in bad[:_SHOWN])
        more = ", ..." if len(bad) > _SHOWN else ""
        raise DataError.of(f"column '{name}'", f"{len(bad)} of {len(array)} cells are {problem} ({shown}{more})", fix)


def require_some(name: str, array: pa.Array) -> None:
    """Raise `DataError` where every cell is missing."""
    if array.null_count == len(array):
        fix = "Leave the task out, or give rows that have it"
        raise DataError.of(f"column '{name}'", f"all of its {len(array)} cells are missing", fix)


def array(values: Float[Tensor, "rows"]) -> pa.Array:
    """Predicted numbers as a column."""
    return pa.array(values.double().cpu().numpy())


def check_sizes(name: str, kind: str, sizes: tuple[int, ...], allowed: tuple[int, ...]) -> None:
    """Raise `DataError` where the literal of an example task has a wrong number of sizes."""
    if len(sizes) not in allowed:
        wanted = " or ".join(map(str, allowed))
        fix = f"Write for example '{kind}{' 5' * max(allowed)}'"
        raise DataError.of(f"task '{name}'", f"'{kind}' takes {wanted} sizes; got {sizes}", fix)


def _numbers(array: pa.Array) -> Any:
    kind = array.type
    if is_text(kind):
        return _parsed(array)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.full(len(array), np.nan)


def _parsed(array: pa.Array) -> Any:
    """Strings as numbers, NaN for those that are none."""
    pattern = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?[iI][nN][fF]$"
    good = pc.match_substring_regex(array, pattern)
    cells = pc.if_else(good, pc.utf8_lower(array), pa.scalar(None, array.type))
    return cells.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
