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

from polytask.core import DataError
from polytask.core.errors import nearest

from . import _cells

Value: TypeAlias = bool | int | float | str
YES = frozenset(("1", "yes", "y", "true", "t", "positive", "pos", "present", "on", "event", "dead", "died", "deceased"))
NO = frozenset(("0", "no", "n", "false", "f", "negative", "neg", "absent", "off", "censored", "alive"))
_SHOWN = 5


def text(value: Value) -> str:
    """The text by which a value is known."""
    return str(_cells.texts("", _cells.plain(pa.chunked_array([pa.array([value])])))[0].as_py())


def count(array: pa.Array) -> int:
    """How many different values the plain cells have; 0 where cells are lists or the like."""
    return 0 if pa.types.is_nested(array.type) else int(pc.count_distinct(array, mode="only_valid").as_py())


def distinct(name: str, array: pa.Array) -> tuple[list[Value], list[int]]:
    """The different plain cells and the rows of each: numbers (also as strings) by size, others by alphabet."""
    kind = array.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        array = _cells.texts(name, array)
    counts = pc.value_counts(array.drop_null())
    values, rows = counts.field(0), counts.field(1).to_numpy()
    key = _cells.numbers(name, values) if _cells.numeric(values) else np.array(values.to_pylist())
    order = np.argsort(key, kind="stable")
    return values.take(pa.array(order)).to_pylist(), rows[order].tolist()


def learn(name: str, array: pa.Array) -> tuple[Value, ...]:
    """The classes of a training column, in order.

    Raises `DataError` where all cells are missing, where there is one class only, or where a class has one row only.
    """
    _cells.require_some(name, array)
    values, rows = distinct(name, array)
    if len(values) == 1:
        raise DataError.of(f"column '{name}'", f"is constant: {values[0]!r} in {rows[0]} rows", "Leave the task out")
    alone = [repr(value) for value, count in zip(values, rows, strict=True) if count == 1]
    if alone:
        shown = ", ".join(alone[:_SHOWN]) + (", ..." if len(alone) > _SHOWN else "")
        fix = "Merge rare classes, leave those cells empty, or declare the task another kind (regression, ordinal)"
        raise DataError.of(f"column '{name}'", f"{len(alone)} classes have one training row only: {shown}", fix)
    return tuple(values)


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

    A value that training rows did not teach leaves its row unlabelled; one warning names the column, the values and the rows.
    """
    cells = _cells.texts(name, _cells.plain(column))
    known = _cells.texts(name, _cells.plain(pa.chunked_array([pa.array(classes)])))
    numbers = pc.index_in(cells, value_set=known, skip_nulls=True)
    labelled = _cells.valid(numbers)
    unseen = np.flatnonzero(_cells.valid(cells) & ~labelled)
    if len(unseen):
        values = pc.unique(cells.take(pa.array(unseen[:1000]))).to_pylist()[:_SHOWN]
        warnings.warn(
            f"column '{name}': {len(unseen)} rows count as unlabelled, for no training row has their class "
            f"({', '.join(map(repr, values))}; first in row {unseen[0]})",
            stacklevel=2,
        )
    codes = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return torch.from_numpy(codes), torch.from_numpy(labelled)


def decode(numbers: Int[Tensor, "rows"], classes: Sequence[Value]) -> pa.Array:
    """Class numbers as the user's values."""
    return pa.array(classes).take(pa.array(numbers.cpu().numpy()))
