"""NumPy archives (.npz): arrays of equal first dimension, a row each, such as logged transitions or episodes.

An array of two dimensions becomes a column of lists of one length, one of more a column of Arrow's fixed-shape tensors: frames
`(rows, channels, height, width)` are lists of `channels * height * width` bytes, in this order, that know their shape.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polytask.core import DataError
from polytask.core.errors import PolytaskError, collect

from . import _stream

suffixes = (".npz",)


def sniff(path: Path, head: bytes) -> bool:
    """A ZIP archive whose first file is a NumPy array."""
    return head.startswith(b"PK\x03\x04") and b".npy" in head[:1024]


def read(path: Path) -> pa.Table:
    """Read all arrays. Objects are refused, as nothing is unpickled.

    Raises `DataError` where the archive is damaged, and naming every array of objects, of no dimension or of another length.
    """
    try:
        with np.load(io.BytesIO(_stream.read(path)), allow_pickle=False) as archive:
            columns = {name: _array(path, archive, name) for name in archive.files}
    except PolytaskError:
        raise
    except Exception as error:  # zip, zlib and NumPy raise many kinds of error on damaged archives
        raise _stream.damaged(path, "NumPy archive", error) from None
    lengths = {name: len(values) for name, values in columns.items() if values.ndim}
    rows = max(lengths.values(), key=list(lengths.values()).count, default=0)
    with collect(DataError) as faults:
        for name in columns:
            if lengths.get(name) != rows:
                size = f"has {lengths[name]} rows" if name in lengths else "is a single value"
                faults.add(f"{path}: array '{name}'", f"{size}, others have {rows}", "Give every array a value a row")
    return pa.table({name: _column(values) for name, values in columns.items()})


def _array(path: Path, archive: Any, name: str) -> NDArray[Any]:
    try:
        values: NDArray[Any] = archive[name]
        return values
    except ValueError as error:
        fix = "Write arrays of numbers, booleans or strings"
        raise DataError.of(f"{path}: array '{name}'", f"cannot be read: {error}", fix) from None


def _column(values: NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values, from_pandas=True)
    flat, shape = pa.array(np.ascontiguousarray(values).reshape(-1)), values.shape[1:]
    lists = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
    if values.ndim == 2 or pa.types.is_string(flat.type):
        return lists
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, shape), lists)


def write(table: pa.Table, path: Path) -> None:
    """Write an array a column; a missing number is NaN, lists must be of one length.

    Raises `DataError` naming every column that no array holds: lists of unequal length, missing values that are no numbers.
    """
    arrays = {}
    with collect(DataError) as faults:
        for name in table.column_names:
            with faults.gather():
                arrays[name] = _values(name, table[name].combine_chunks())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # as `np.savez_compressed`, which takes not every name
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def _values(name: str, column: pa.Array) -> NDArray[Any]:
    kind, shape = column.type, ()
    if isinstance(kind, pa.FixedShapeTensorType):
        shape, column, kind = tuple(kind.shape), column.storage, kind.storage_type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_nested(kind):
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        lengths = set(column.value_lengths().to_pylist()) if lists else set()
        if len(lengths) != 1 or None in lengths:
            raise DataError.of(f"column '{name}'", "holds no lists of one length", "Write Parquet, which keeps any list")
        flat: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), *(shape or (-1,)))
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if column.null_count and not numbers:
        raise DataError.of(f"column '{name}'", f"lacks {column.null_count} values, which {kind} cannot say", "Write Parquet")
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values.astype(str) if values.dtype == object else values
