"""Rows of one table as lists in the rows of another: a patient's measurements, a user's clicks, a node's edges.

A data source may say `with: {labs: {file: labs.csv, key: patient}}`: the rows of labs.csv go to the row that has the same
`patient`, as one column `labs` of lists of structs. `to: target` besides makes a reference: the column `target` names rows by
the same key, and gives way to `row`, the row's number.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polytask.core import DataError, OptionError, nearest
from polytask.core.errors import collect

from . import read

KEYS = ("file", "key", "to")


def table(source: Any, nested: Mapping[str, Mapping[str, Any]] | None = None) -> pa.Table:
    """The table of `source` with a list column for each nested table. Raises `DataError` where columns or keys are wrong."""
    rows = read.table(source)
    with collect(DataError) as faults:
        for name, part in (nested or {}).items():
            with faults.gather():
                rows = _attach(rows, name, read.table(part["file"]), part["key"], part.get("to"))
    return rows


def of(data: Any) -> pa.Table:
    """The table of a file or object, or of a source `{"file": ..., "with": ...}`."""
    if isinstance(data, Mapping) and "file" in data and "with" in data:
        return table(data["file"], data["with"])
    return read.table(data)


def check(where: str, nested: Any) -> None:
    """Raise `OptionError` unless `nested` is what `table` takes."""
    form = "Write with: {NAME: {file: PATH, key: COLUMN}}, and to: COLUMN where it refers to other rows"
    if not isinstance(nested, Mapping):
        raise OptionError.of(f"{where}.with", f"must be a mapping; got {nested!r}", form)
    for name, part in nested.items():
        if not isinstance(part, Mapping) or not {"file", "key"} <= set(part):
            raise OptionError.of(f"{where}.with.{name}", f"needs a file and a key; got {part!r}", form)
        for key in part:
            if key not in KEYS:
                raise OptionError.of(f"{where}.with.{name}.{key}", "unknown key", nearest(str(key), KEYS))


def refers(table: pa.Table) -> bool:
    """Whether cells of the table hold numbers of its rows."""
    kinds = [column.type.value_type for column in table.columns if pa.types.is_list(column.type)]
    return any(pa.types.is_struct(kind) and kind.get_field_index("row") >= 0 for kind in kinds)


def keys(nested: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """The columns that only connect tables: no inputs."""
    return list(dict.fromkeys(part["key"] for part in (nested or {}).values()))


def _attach(rows: pa.Table, name: str, other: pa.Table, key: str, to: str | None) -> pa.Table:
    with collect(DataError) as faults:
        if name in rows.column_names:
            faults.add(f"nested table '{name}'", "the table has a column of this name", "Choose another name")
        wanted = [("the table", rows, key), (f"'{name}'", other, key), *([(f"'{name}'", other, to)] if to else [])]
        for where, found, column in wanted:
            if column not in found.column_names:
                fix = nearest(column, found.column_names)
                faults.add(f"nested table '{name}'", f"{where} has no column '{column}' to connect by", fix)
    known = _unique(rows, name, key)
    other = other.set_column(other.column_names.index(key), key, _matched(name, other, key, known))
    if to is not None:
        other = other.set_column(other.column_names.index(to), "row", _matched(name, other, to, known))
        other = other.filter(pc.is_valid(other["row"]))
    other = other.filter(pc.is_valid(other[key]))
    owner = other[key].to_numpy()
    order = np.argsort(owner, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(rows)))])
    other = other.drop_columns([key]).take(pa.array(order)).combine_chunks()
    cells = pa.StructArray.from_arrays([column.combine_chunks() for column in other.columns], other.column_names)
    return rows.append_column(name, pa.ListArray.from_arrays(pa.array(ends, pa.int32()), cells))


def _unique(rows: pa.Table, name: str, key: str) -> pa.Array:
    known = _text(rows[key])
    counts = pc.value_counts(known).to_pylist()
    repeated = [entry["values"] for entry in counts if entry["counts"] > 1]
    if repeated or known.null_count:
        problem = f"has {len(repeated)} values more than once, such as {repeated[0]!r}" if repeated else "is empty in some rows"
        raise DataError.of(
            f"column '{key}'", f"{problem}, so '{name}' cannot be connected", "Give each row one value of its own"
        )
    return known


def _text(column: pa.ChunkedArray) -> pa.Array:
    """As text, so that 7 of one file is '7' of another."""
    plain = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return plain.cast(pa.large_string())


def _matched(name: str, other: pa.Table, column: str, known: pa.Array) -> pa.Array:
    """The row number of each cell; a warning where no cell names a row."""
    found = _numbers(other[column], known)
    if found.null_count == len(found):
        sample, rows = (
            next(iter(cells.drop_null().to_pylist()), None) for cells in (other[column].slice(0, 1), known.slice(0, 1))
        )
        problem = f"no '{column}' of its {len(found)} rows names a row of the table"
        warnings.warn(f"nested table '{name}': {problem} ({sample!r} here, {rows!r} there); it is empty", stacklevel=2)
    return found


def _numbers(column: pa.ChunkedArray, known: pa.Array) -> pa.Array:
    """The row number that each cell names; null where there is no such row."""
    return pc.index_in(_text(column), value_set=known).cast(pa.int64())
