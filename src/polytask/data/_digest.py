"""A table's content as one number, whatever chunks, slices or dictionaries hold it."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polytask.core import arrow


def digest(table: pa.Table) -> str:
    """SHA-256 over the names, types and values of the columns, as 64 hexadecimal digits."""
    total = hashlib.sha256(str(table.num_rows).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        total.update(repr(name).encode())
        _feed(total, array)
    return total.hexdigest()


def _feed(total: "hashlib._Hash", array: pa.Array) -> None:
    """Add the type, which cells are missing, and the values; cells that are missing count as zeros."""
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _feed(total, array.cast(kind.value_type))
    total.update(str(kind).encode())
    total.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_struct(kind):
        for part in array.flatten():
            _feed(total, part)
    elif arrow.is_list(kind):
        _numbers(total, pc.list_value_length(array))
        _feed(total, array.flatten())
    elif pa.types.is_boolean(kind):
        _numbers(total, array.cast(pa.uint8()))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        _numbers(total, array)
    elif pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        _numbers(total, array.view(pa.int32() if kind.bit_width == 32 else pa.int64()))
    elif not pa.types.is_null(kind):
        _text(total, array)


def _numbers(total: "hashlib._Hash", array: pa.Array) -> None:
    total.update(array.fill_null(0).to_numpy(zero_copy_only=False).tobytes())


def _text(total: "hashlib._Hash", array: pa.Array) -> None:
    """Strings, bytes, and whatever else has a text."""
    is_bytes = pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)
    filled = (array if is_bytes else array.cast(pa.large_string())).cast(pa.large_binary()).fill_null(b"")
    _, ends, values = filled.buffers()
    offsets = np.frombuffer(ends, np.int64, len(filled) + 1, offset=8 * filled.offset)
    total.update((offsets - offsets[0]).tobytes())
    if values is not None:
        total.update(values[int(offsets[0]) : int(offsets[-1])])
