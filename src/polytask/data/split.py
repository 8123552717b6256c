"""Which rows train, which stop training, which test: at random, stratified over several tasks, by group, by time."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from polytask.core import DataError, OptionError, Task, arrow, nearest, opt
from polytask.core.errors import collect

from . import _strata

PARTS = ("train", "validation", "test")
Numbers: TypeAlias = NDArray[np.int64]
"""A whole number a row: its part, its group, its place in time."""


@dataclass(frozen=True)
class SplitOptions:
    """How rows are divided."""

    how: Literal["auto", "random", "stratified", "group", "time", "given"] = opt(
        "auto",
        "auto: by time where `column` holds dates, by group where it holds anything else, stratified where none is named; "
        "given: as `column` says, by train, validation or test",
        ours="the split that is honest for what is known",
        choices=("auto", "random", "stratified", "group", "time", "given"),
    )
    column: str | None = opt(
        None, "the column of groups (person, place), of times or of parts", ours="rows are taken as independent"
    )
    test: float = opt(0.2, "share of the rows that test", ours="customary", gt=0, lt=1)
    validation: float = opt(0.15, "share of the other rows that validate", ours="customary", gt=0, lt=1)
    seed: int = opt(0, "seed of the split", ours="apart from training's, so that runs share their test rows", ge=0)

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares of training, validation and test rows."""
        rest = 1 - self.test
        return rest * (1 - self.validation), rest * self.validation, self.test


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of each part, in ascending order; every row of the table is in exactly one."""

    train: Int64[Tensor, "train"]
    validation: Int64[Tensor, "validation"]
    test: Int64[Tensor, "test"]

    @classmethod
    def of(cls, parts: Numbers) -> "Split":
        """The split from each row's part: 0 train, 1 validation, 2 test."""
        train, validation, test = (torch.from_numpy(np.flatnonzero(parts == part)) for part in range(3))
        return cls(train, validation, test)

    def to_table(self) -> pa.Table:
        """One column `part`: train, validation or test for each row."""
        parts = np.empty(len(self.train) + len(self.validation) + len(self.test), dtype=np.int32)
        for number, name in enumerate(PARTS):
            parts[getattr(self, name).numpy()] = number
        return pa.table({"part": pa.DictionaryArray.from_arrays(parts, list(PARTS))})

    @classmethod
    def from_table(cls, table: pa.Table) -> "Split":
        """What `to_table` wrote."""
        names = np.array(table["part"].to_pylist())
        return cls.of(np.select([names == name for name in PARTS], range(3), -1))


def split(
    table: pa.Table, tasks: Mapping[str, Task], options: SplitOptions, source: Int64[Tensor, "rows"] | None = None
) -> Split:
    """Divide the rows of a table.

    random: by chance. stratified: every class, quantile bin, censoring state and missing label of every task in proportion
    (`_strata`). group: rows of one value of `column` stay together (those without a value count as one group); the largest
    groups are placed first, each in the part that lacks most rows. time: the latest test, those before validate; rows of one
    moment stay together. given: `column` names each row's part. `source` numbers the table that each row came from: random and
    stratified splits divide each source by itself.

    Raises `OptionError` (a column is named that `how` does not use, or the other way round) and `DataError` (unknown column,
    too few rows, groups or moments, a missing time, a task without a label among the training rows).
    """
    how = resolve(table.schema, options)
    if how != "given" and (table.num_rows < 3 or min(options.shares) * table.num_rows < 0.5):
        least = max(3, int(np.ceil(0.5 / min(options.shares))))
        problem = f"{table.num_rows} rows are too few for validation={options.validation:g} and test={options.test:g}"
        raise DataError.of("split", problem, f"Give at least {least} rows, or larger shares")
    random = np.random.default_rng(options.seed)
    if how == "group":
        parts = _by_group(str(options.column), _groups(table, str(options.column)), options.shares, random)
    elif how == "given":
        parts = given(str(options.column), table[str(options.column)])
    elif how == "time":
        parts = _by_time(str(options.column), _moments(table, str(options.column)), options.shares)
    else:
        parts = np.empty(table.num_rows, dtype=np.int64)
        numbers = np.zeros(table.num_rows, dtype=np.int64) if source is None else source.numpy()
        strata = _strata.of(table, tasks) if how == "stratified" else np.zeros((table.num_rows, 1), dtype=np.int64)
        for number in np.unique(numbers):
            rows = np.flatnonzero(numbers == number)
            parts[rows] = _strata.divide(strata[rows], options.shares, random)
            if not np.bincount(parts[rows], minlength=3).all():  # so few rows of each stratum that none fell to a part
                parts[rows] = _strata.divide(np.zeros((len(rows), 1), dtype=np.int64), options.shares, random)
    require_parts(np.bincount(parts, minlength=3))
    require_labels(table, tasks, parts)
    return Split.of(parts)


def resolve(schema: pa.Schema, options: SplitOptions) -> str:
    """How a table of these columns is divided: anything but `auto`. Raises what `split` raises for a wrong column."""
    how, column = options.how, options.column
    if column is None:
        if how in ("group", "time", "given"):
            raise OptionError.of("split.column", f"none is given, and how={how} needs one", "Name the column to split by")
        return "stratified" if how == "auto" else how
    if how in ("random", "stratified"):
        raise OptionError.of(
            "split.column", f"'{column}' is of no effect with how={how}", "Leave it out, or take how=group or time"
        )
    if column not in schema.names:
        raise DataError.of("split.column", f"no column '{column}'", nearest(column, schema.names))
    if how == "auto":
        return "time" if pa.types.is_temporal(schema.field(column).type) else "group"
    return how


def given(column: str, cells: pa.ChunkedArray) -> Numbers:
    """The part that each row names. Raises `DataError` for another word."""
    names = np.array(arrow.texts(column, arrow.plain(cells)).to_pylist(), dtype=object)
    wrong = np.flatnonzero(~np.isin(names.astype(str), PARTS))
    if len(wrong):
        problem = f"has {len(wrong)} cells that name no part, such as {names[wrong[0]]!r} in row {wrong[0]}"
        raise DataError.of(f"column '{column}'", problem, f"Write {', '.join(PARTS)}")
    parts: Numbers = np.select([names == part for part in PARTS], range(3)).astype(np.int64)
    return parts


def _groups(table: pa.Table, column: str) -> Numbers:
    codes = arrow.texts(column, arrow.plain(table[column])).dictionary_encode(null_encoding="encode").indices
    groups: Numbers = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    return groups


def _by_group(column: str, groups: Numbers, shares: tuple[float, ...], random: np.random.Generator) -> Numbers:
    sizes = np.bincount(groups)
    if len(sizes) < 3:
        problem = f"has {len(sizes)} {'group' if len(sizes) == 1 else 'groups'}, and each of the three parts needs one"
        raise DataError.of(f"column '{column}'", problem, "Split by another column, or how=stratified")
    shuffled = random.permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    lacking = [share * len(groups) for share in shares]
    home, empty = np.empty(len(sizes), dtype=np.int64), {0, 1, 2}
    for left, group in zip(range(len(order), 0, -1), order.tolist(), strict=True):
        open_parts = empty if left == len(empty) else range(3)
        part = max(open_parts, key=lacking.__getitem__)
        home[group] = part
        lacking[part] -= float(sizes[group])
        empty.discard(part)
    parts: Numbers = home[groups]
    return parts


def _moments(table: pa.Table, column: str) -> Numbers:
    """The place of each row in the order of time."""
    codes: Numbers = np.unique(times(column, table[column]), return_inverse=True)[1]
    return codes


def times(column: str, cells: pa.ChunkedArray) -> NDArray[Any]:
    """Each row's time, as numpy compares it. Raises `DataError` where a row has none."""
    cells = arrow.plain(cells)
    if arrow.is_text(cells.type):
        cells = _parsed(column, cells)
    missing = np.flatnonzero(~arrow.valid(cells))
    if len(missing):
        problem = f"{len(missing)} of {len(cells)} rows have no time (first in row {missing[0]})"
        raise DataError.of(f"column '{column}'", problem, "Fill them in or remove those rows")
    if pa.types.is_nested(cells.type):
        raise DataError.of(
            f"column '{column}'", f"cells of type {cells.type} have no order", "Name a column of dates or numbers"
        )
    values: NDArray[Any] = cells.to_numpy(zero_copy_only=False)
    return values


def _parsed(column: str, cells: pa.Array) -> pa.Array:
    if arrow.numeric(cells):
        return pa.array(arrow.numbers(column, cells), from_pandas=True)
    try:
        return cells.cast(pa.timestamp("us"))
    except pa.ArrowInvalid as error:
        raise DataError.of(
            f"column '{column}'", f"holds no times: {error}", "Write them as 2024-01-31 or 2024-01-31T12:00:00"
        ) from None


def _by_time(column: str, moments: Numbers, shares: tuple[float, ...]) -> Numbers:
    before = np.cumsum(np.bincount(moments))[:-1]  # rows before each moment but the first
    if len(before) < 2:
        problem = f"has {len(before) + 1} different times, and each of the three parts needs one"
        raise DataError.of(f"column '{column}'", problem, "Split by another column, or how=stratified")
    test = 1 + int(np.argmin(np.abs(before[1:] - (shares[0] + shares[1]) * len(moments))))
    validation = int(np.argmin(np.abs(before[:test] - shares[0] / (shares[0] + shares[1]) * before[test])))
    parts: Numbers = np.searchsorted([validation, test], moments, side="left")
    return parts


def require_parts(counts: Numbers) -> None:
    """Raise `DataError` where a part has no row."""
    with collect(DataError) as faults:
        for number, rows in enumerate(counts):
            if not rows:
                faults.add("split", f"no row is left for {PARTS[number]}", "Give more rows, or other shares")


def require_labels(table: pa.Table, tasks: Mapping[str, Task], parts: Numbers) -> None:
    """Raise `DataError` where a task has no label among the training rows."""
    with collect(DataError) as faults:
        for name, task in tasks.items():
            valid = [arrow.valid(arrow.plain(table[column])) for column in task.columns]
            labelled = np.logical_or.reduce(valid)
            if not labelled[parts == 0].any():
                problem = f"none of its {int(labelled.sum())} labels is in a training row"
                faults.add(f"task '{name}'", problem, "Leave the task out, or split another way")
            for part in (1, 2):
                if not labelled[parts == part].any():
                    said = f"task '{name}': no {PARTS[part]} row has a label, so it has no {PARTS[part]} score"
                    warnings.warn(said, stacklevel=3)
