"""Measurements at irregular times: a list of (time, variable, value) a row."""

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from polytask.core import DataError, Input, Ragged, arrow, fitted, nearest, opt

from ._example import check_sizes

_TIME = re.compile(
    r"(^|_)(t|time\w*|hours?|hrs?|minutes?|mins?|seconds?|days?|weeks?|months?|years?|date\w*|age|when)(_|$)", re.I
)
_HOUR = 3.6e9
"""Microseconds: moments are counted in hours."""
_FAR = 1e6
"""Where standardised values end, so that float32 stays finite."""


@dataclass(frozen=True)
class _Events:
    """Measurements of all rows, one after another: which row, when, which variable (by name), what value."""

    row: Int64[np.ndarray, "events"]
    time: Float64[np.ndarray, "events"]
    variable: pa.Array
    value: Float64[np.ndarray, "events"]


@dataclass(frozen=True, kw_only=True)
class Series(Input):
    """Irregular measurements of several variables; the column is a `Ragged` of float32 events `(events, 3)`.

    An event is (time, number of the variable, value): values are standardised variable by variable, times keep their unit
    (moments are counted in hours) and start at the row's first event, or where the data put zero (`origin`). Events lie in
    order of time. Cells are Arrow lists of structs: long ones hold a time, the name of a variable and a value; wide ones hold a
    time and a number for each variable. Events without time or value, and of variables that training rows did not have, are
    dropped; a row without any other is absent.

    Errors: `DataError` where no field holds the times, or one that is named is missing, or training rows have no event.
    """

    kind: ClassVar[str] = "series"
    rank: ClassVar[int] = 15
    missing_column: ClassVar[str] = "Attach the table of values: --with NAME=FILE:KEY"

    time: str | None = opt(None, "the field of the times", ours="the first one named like a time, or of moments")
    variable: str | None = opt(None, "the field of the variables' names", ours="the first one of strings; without one: wide")
    value: str | None = opt(None, "the field of the values", ours="the first other one of numbers")
    origin: Literal["auto", "first", "zero"] = opt(
        "auto", "where time starts: at the row's first event, or at zero", ours="auto: moments at the first event",
        choices=("auto", "first", "zero"),
    )  # fmt: skip
    most: int = opt(64, "variables, at most: the most frequent", ours="a covariance of all pairs is learnt from them", ge=1)
    fields: tuple[str, ...] = fitted(())
    """The fields of time, variable and value; of time alone where lists are wide."""
    names: tuple[str, ...] = fitted(())
    mean: tuple[float, ...] = fitted(())
    deviation: tuple[float, ...] = fitted(())
    span: float = fitted(1.0)
    """The longest time between zero (or an earlier first event) and the last event of a training row."""

    @property
    def variables(self) -> int:
        """How many variables there are."""
        return len(self.names)

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Lists of structs with a time, and numbers beside it; not those that refer to other rows."""
        fields = _fields_of(arrow.plain(column).type)
        time = _time_in(fields)
        return time is not None and "row" not in fields and any(_is_number(f) for n, f in fields.items() if n != time)

    def fit(self, column: pa.ChunkedArray) -> "Series":
        array = arrow.plain(column)
        known = replace(self, fields=self._find(_fields_of(array.type)))
        events = known._events(array)
        if not len(events.row):
            raise DataError.of(f"column '{self.name}'", "no row has an event with a time and a value", "Leave the column out")
        counts = sorted(pc.value_counts(events.variable).to_pylist(), key=lambda item: (-item["counts"], item["values"]))
        known = replace(known, names=tuple(sorted(item["values"] for item in counts[: self.most])))
        number = known._numbers(events.variable)
        row, time, number, value = (part[number >= 0] for part in (events.row, events.time, number, events.value))
        count = np.bincount(number, minlength=len(known.names))
        mean = np.bincount(number, value, len(known.names)) / count
        variance = np.bincount(number, (value - mean[number]) ** 2, len(known.names)) / count
        deviation = np.sqrt(variance)
        deviation = np.where(deviation <= 1e-12 * np.abs(mean), 1.0, deviation)
        first = np.minimum(0.0, time) if len(time) else time
        span = float((np.maximum.reduceat(time, _starts(row)) - np.minimum.reduceat(first, _starts(row))).max())
        return replace(known, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()), span=span or 1.0)

    def encode(self, column: pa.ChunkedArray) -> tuple[Ragged, Bool[Tensor, "rows"]]:
        array = arrow.plain(column)
        events = self._events(array)
        number = self._numbers(events.variable)
        kept = number >= 0
        row, time, number, value = (part[kept] for part in (events.row, events.time, number, events.value))
        standard = (value - np.array(self.mean)[number]) / np.array(self.deviation)[number] if len(row) else value
        values = np.stack([time, number.astype(np.float64), standard.clip(-_FAR, _FAR)], axis=1).astype(np.float32)
        lengths = np.bincount(row, minlength=len(array))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Ragged(torch.from_numpy(values), torch.from_numpy(offsets)), torch.from_numpy(lengths > 0)

    def _find(self, fields: dict[str, pa.DataType]) -> tuple[str, ...]:
        """The fields in use, as declared or guessed."""
        where = f"column '{self.name}'"
        for role, name in (("time", self.time), ("variable", self.variable), ("value", self.value)):
            if name is not None and name not in fields:
                raise DataError.of(where, f"has no field '{name}' (option {role})", nearest(name, fields))
        time = self.time or _time_in(fields)
        if time is None:
            found = ", ".join(fields) or "none"
            raise DataError.of(where, f"no field of its lists looks like a time (fields: {found})", "Name it: time: FIELD")
        rest = {name: kind for name, kind in fields.items() if name != time}
        variable = self.variable or next((name for name, kind in rest.items() if arrow.is_text(_plain_type(kind))), None)
        if variable is None:
            return (time,)
        value = self.value or next((name for name, kind in rest.items() if name != variable and _is_number(kind)), None)
        if value is None:
            raise DataError.of(where, f"no field beside '{time}' and '{variable}' holds numbers", "Name it: value: FIELD")
        return (time, variable, value)

    def _events(self, array: pa.Array) -> _Events:
        """The events with a time and a value, sorted by row and time."""
        kinds = _fields_of(array.type)
        if not kinds:
            if array.null_count < len(array):
                raise DataError.of(f"column '{self.name}'", f"cells of type {array.type} are no series", "Declare another kind")
            empty = np.zeros(0)
            return _Events(empty.astype(np.int64), empty, pa.array([], pa.large_string()), empty)
        for name in self.fields:
            if name not in kinds:
                raise DataError.of(f"column '{self.name}'", f"its lists have no field '{name}'", nearest(name, kinds))
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        row = np.repeat(np.arange(len(array)), np.where(arrow.valid(array), lengths, 0))
        cells = array.flatten()  # the events of null cells are left out
        parts = {name: _field(cells, name) for name in kinds}
        try:
            time = self._times(parts[self.fields[0]], row)
            if len(self.fields) == 3:
                names = arrow.texts(self._path(self.fields[1]), parts[self.fields[1]])
                value = arrow.numbers(self._path(self.fields[2]), parts[self.fields[2]])
            else:
                wide = [name for name, kind in kinds.items() if name != self.fields[0] and _is_number(kind)]
                value = np.concatenate([arrow.numbers(self._path(name), parts[name]) for name in wide] or [np.zeros(0)])
                names = pa.array(np.repeat(np.array(wide, dtype=object), len(cells)), pa.large_string())
        except DataError as error:  # a faulty event is called by its row
            raise DataError(*(fault.numbered(row.tolist()) for fault in error.faults)) from None
        if len(self.fields) != 3:
            row, time = np.tile(row, len(wide)), np.tile(time, len(wide))
        good = np.flatnonzero(~np.isnan(time) & ~np.isnan(value) & arrow.valid(names))
        order = good[np.lexsort((time[good], row[good]))]
        return _Events(row[order], time[order], names.take(pa.array(order)), value[order])

    def _times(self, cells: pa.Array, row: Int64[np.ndarray, "events"]) -> Float64[np.ndarray, "events"]:
        moments = _is_moment(cells.type)
        if moments:
            micros = cells.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
            time: Float64[np.ndarray, "events"] = micros.to_numpy(zero_copy_only=False).astype(np.float64)
        else:
            time = arrow.numbers(self._path(self.fields[0]), cells)
        if len(time) and (self.origin == "first" or (self.origin == "auto" and moments)):
            first = np.full(int(row.max()) + 1, np.inf)
            np.fmin.at(first, row, time)
            time = time - first[row]
        return time / _HOUR if moments else time

    def _path(self, field: str) -> str:
        return f"{self.name}.{field}"

    def _numbers(self, names: pa.Array) -> Int64[np.ndarray, "events"]:
        """The number of each event's variable, -1 where training rows did not have it."""
        known = pa.array(self.names, names.type)
        found: Int64[np.ndarray, "events"] = pc.fill_null(pc.index_in(names, value_set=known), -1).to_numpy().astype(np.int64)
        return found

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Series":
        check_sizes(name, sizes, len(sizes) == 2, "series 4 12")
        variables, span = sizes
        names = tuple(f"variable {i}" for i in range(variables))
        plain = cls(name=name, fields=("time", "variable", "value"), names=names, span=float(span))
        return replace(plain, mean=(0.0,) * variables, deviation=(1.0,) * variables)

    def example_column(self, rows: int, generator: torch.Generator) -> Ragged:
        lengths = torch.randint(2, 2 * self.variables + 3, (rows,), generator=generator)
        count = int(lengths.sum())
        row = torch.arange(rows).repeat_interleave(lengths)
        time = torch.rand(count, generator=generator) * self.span
        number = torch.randint(0, self.variables, (count,), generator=generator).float()
        order = (row.double() * (2 * self.span) + time).argsort()
        values = torch.stack([time[order], number, torch.randn(count, generator=generator)], dim=1)
        return Ragged(values, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


def _fields_of(kind: pa.DataType) -> dict[str, pa.DataType]:
    """The fields of a list of structs; none for any other type."""
    if not arrow.is_list(kind) or not pa.types.is_struct(kind.value_type):
        return {}
    return {field.name: field.type for field in kind.value_type}


def _time_in(fields: dict[str, pa.DataType]) -> str | None:
    """The first field that is named like a time and may be one, else the first of moments."""
    named = (name for name, kind in fields.items() if _TIME.search(name) and (_is_number(kind) or _is_moment(kind)))
    return next(named, next((name for name, kind in fields.items() if _is_moment(kind)), None))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _field(cells: pa.Array, name: str) -> pa.Array:
    return arrow.plain(pa.chunked_array([pc.struct_field(cells, name)]))


def _starts(row: Int64[np.ndarray, "events"]) -> Int64[np.ndarray, "rows"]:
    """Where each row begins among events sorted by row."""
    starts: Int64[np.ndarray, "rows"] = np.flatnonzero(np.diff(row, prepend=-1))
    return starts
