"""What the kinds of answer with classes share: which values there are, and their numbers.

Values are compared as text, so a class may be the integer 3 in one file, the float 3.0 or the string "3" in another; what is
decoded is the value as training rows had it.
"""

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from polytask.core import DataError, arrow
from polytask.core.errors import nearest

from . import _cells

Value: TypeAlias = bool | int | float | str
YES = frozenset(("1", "yes", "y", "true", "t", "positive", "pos", "present", "on", "event", "dead", "died", "deceased"))
NO = frozenset(("0", "no", "n", "false", "f", "negative", "neg", "absent", "off", "censored", "alive"))
_SHOWN = 5


def text(value: Value) -> str:
    """The text by which a value is known."""
    return str(arrow.texts("", arrow.plain(pa.chunked_array([pa.array([value])])))[0].as_py())


def distinct(name: str, array: pa.Array) -> tuple[list[Value], list[int]]:
    """The different plain cells and the rows of each: numbers (also as strings) by size, others by alphabet."""
    kind = array.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        array = arrow.texts(name, array)
    counts = pc.value_counts(array.drop_null())
    values, rows = counts.field(0), counts.field(1).to_numpy()
    key = arrow.numbers(name, values) if arrow.numeric(values) else np.array(values.to_pylist())
    order = np.argsort(key, kind="stable")
    return values.take(pa.array(order)).to_pylist(), rows[order].tolist()


def learn(name: str, array: pa.Array, min_rows: int = 2) -> tuple[Value, ...]:
    """The classes of a training column that have `min_rows` rows or more, in order.

    Raises `DataError` where all cells are missing, where there is one class only, or where fewer than two have enough rows.
    """
    _cells.require_some(name, array)
    values, rows = distinct(name, array)
    if len(values) == 1:
        raise DataError.of(f"column '{name}'", f"is constant: {values[0]!r} in {rows[0]} rows", "Leave the task out")
    kept = tuple(value for value, count in zip(values, rows, strict=True) if count >= min_rows)
    if len(kept) < 2:
        problem = f"fewer than two of its {len(values)} classes have {min_rows} training rows ({_counted(values, rows)})"
        raise DataError.of(f"column '{name}'", problem, "Merge rare classes, or declare the task another kind")
    return kept


def _counted(values: Sequence[Value], rows: Sequence[int]) -> str:
    """The most frequent values with their numbers of rows: `'a' in 12, 'b' in 1`."""
    often = sorted(zip(rows, values, strict=True), key=lambda pair: -pair[0])
    shown = ", ".join(f"{value!r} in {count}" for count, value in often[:_SHOWN])
    return shown + (", ..." if len(often) > _SHOWN else "")


def two(name: str, array: pa.Array, positive: Value | None = None) -> tuple[Value, Value]:
    """The negative and the positive value of a training column.

    The positive one is `positive`; else True; else the larger number; else the only string that says yes; else the later one in
    alphabetical order. Raises `DataError` as `learn` does, and where there are more than two values.
    """
    classes = learn(name, array)
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
        problem = f"has {len(classes)} different values ({shown}), not two"
        raise DataError.of(f"column '{name}'", problem, "Declare the task multiclass, ordinal or regression")
    first, second = classes
    known = (text(first), text(second))
    if positive is not None and text(positive) not in known:
        raise DataError.of(f"column '{name}'", f"has no value {positive!r} (option positive)", nearest(text(positive), known))
    says_yes = known[0].lower() in YES and known[1].lower() not in YES
    swap = text(positive) == known[0] if positive is not None else says_yes and isinstance(first, str)
    return (second, first) if swap else (first, second)


def encode(name: str, column: pa.ChunkedArray, classes: Sequence[Value]) -> tuple[Int64[Tensor, "rows"], Bool[Tensor, "rows"]]:
    """Each row's class number, 0 where there is none, and whether it has one.

    A value that training rows did not teach leaves its row unlabelled; one warning names the column, the values, their rows.
    """
    cells = arrow.texts(name, arrow.plain(column))
    known = arrow.texts(name, arrow.plain(pa.chunked_array([pa.array(classes)])))
    numbers = pc.index_in(cells, value_set=known, skip_nulls=True)
    labelled = arrow.valid(numbers)
    unseen = np.flatnonzero(arrow.valid(cells) & ~labelled)
    if len(unseen):
        counts = pc.value_counts(cells.take(pa.array(unseen)))
        shown = _counted(counts.field(0).to_pylist(), counts.field(1).to_pylist())
        warnings.warn(
            f"column '{name}': {len(unseen)} {'row counts' if len(unseen) == 1 else 'rows count'} as unlabelled, for too few "
            f"training rows have their class ({shown}; "
            f"first in row {unseen[0]})",
            stacklevel=2,
        )
    codes = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return torch.from_numpy(codes), torch.from_numpy(labelled)


def decode(numbers: Int[Tensor, "rows"], classes: Sequence[Value]) -> pa.Array:
    """Class numbers as the user's values."""
    return pa.array(classes).take(pa.array(numbers.cpu().numpy()))
