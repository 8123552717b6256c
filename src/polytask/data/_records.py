"""Python values as Arrow columns; a column of mixed types becomes one of strings."""

import datetime
import decimal
import numbers
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from polytask.core import DataError
from polytask.core.errors import collect

_SCALARS = (str, numbers.Number, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)


def from_rows(rows: Any, where: str) -> pa.Table:
    """A list of mappings as a table; keys that a row lacks are missing cells. Raises `DataError` naming what is no mapping."""
    if not isinstance(rows, Sequence):
        raise DataError.of(where, f"holds a {type(rows).__name__}, not a list of objects", "Give a list of {column: value}")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            problem = f"is {row!r}, not an object"[:200]
            raise DataError.of(f"{where}: row {number}", problem, "Give each row as {column: value}")
    names = dict.fromkeys(name for row in rows for name in row)
    return from_columns({name: [row.get(name) for row in rows] for name in names}, where)


def from_columns(columns: Mapping[Any, Iterable[Any]], where: str) -> pa.Table:
    """Columns of values as a table. Raises `DataError` with every column of another length or of values that no type holds."""
    arrays = {}
    with collect(DataError) as faults:
        for name, values in columns.items():
            with faults.gather():
                try:
                    str(name).encode()
                    arrays[str(name)] = from_values(str(name), values)
                except UnicodeEncodeError as error:  # such as "\ud800" alone in JSON
                    problem = f"holds half of a character: {error.object!r:.99}"
                    raise DataError.of(f"column {str(name)!r}", problem, "Remove it") from None
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            faults.add(where, f"has columns of unequal length: {lengths}", "Give each column a value a row")
    return pa.table(arrays)


def from_values(name: str, values: Any) -> pa.Array:
    """A column as an array; NaN is missing. Mixed types become strings, with a warning that names a row and its value."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError):
        pass
    cells = [None if _is_missing(value) else value for value in values]
    kinds: dict[str, int] = {}
    for row, value in enumerate(cells):
        if value is None:
            continue
        if not isinstance(value, _SCALARS):
            problem = f"row {row} holds a value of type {type(value).__name__}: {value!r}"[:200]
            raise DataError.of(f"column '{name}'", problem, "Give numbers, strings, dates, or lists of one type throughout")
        kinds.setdefault(type(value).__name__, row)
    shown = " and ".join(f"{kind} (row {row}: {cells[row]!r})" for kind, row in kinds.items())
    warnings.warn(f"column '{name}' mixes {shown}; it is read as strings", stacklevel=3)
    return pa.array([None if value is None else str(value) for value in cells], pa.string())


def _is_missing(value: Any) -> bool:
    return (
        value is None or (isinstance(value, numbers.Number) and value != value) or type(value).__name__ in ("NAType", "NaTType")
    )
