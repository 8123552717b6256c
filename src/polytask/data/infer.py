"""From declarations and columns to a fitted schema: kinds are inferred where none is declared, all faults are raised at once.

A declaration is None (inferred), a kind's name, or a mapping with `kind`, the kind's options and, for tasks, `columns` (the
task's name if left out, `time:event` naming two), for inputs, `modality`.
"""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Int
from torch import Tensor

from polytask.core import DataError, Fault, Input, OptionError, Schema, Task, arrow, nearest, registry
from polytask.core.errors import Faults, collect
from polytask.core.option import make
from polytask.inputs import _looks, _recognise
from polytask.tasks import _cells


def task_columns(declared: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The columns of each declared task."""
    found = {}
    for name, declaration in declared.items():
        given = declaration.get("columns") if isinstance(declaration, Mapping) else None
        found[name] = (given,) if isinstance(given, str) else tuple(given) if given else tuple(name.split(":", 1))
    return found


def tasks(table: pa.Table, declared: Mapping[str, Any]) -> dict[str, Task]:
    """The declared tasks, not yet fitted. Raises `DataError` with every unknown column, kind and option."""
    if not declared:
        raise DataError.of("tasks", "none is named", nearest("", table.column_names))
    found = {}
    columns = task_columns(declared)
    with collect(DataError) as faults:
        for name, declaration in declared.items():
            missing = [column for column in columns[name] if column not in table.column_names]
            for column in missing:
                faults.add(f"task '{name}'", f"no column '{column}'", nearest(column, table.column_names))
            with faults.gather():
                kind, options = _split(f"task '{name}'", declaration, "columns")
                cells = [table[column] for column in columns[name] if not missing]
                cls = _kind("tasks", kind, f"task '{name}'") if kind else None
                if kind is None and cells:
                    cls = _recognised_task(name, dict(zip(columns[name], cells, strict=True)))
                if cls is not None:
                    found[name] = make(cls, options, f"tasks.{name}", {"name": name, "columns": columns[name]})
    return found


def schema(
    table: pa.Table,
    kinds: Mapping[str, Task],
    inputs: Mapping[str, Any] | None,
    ignore: Collection[str],
    rows: Int[Tensor, "train"],
) -> tuple[Schema, list[str]]:
    """The schema, fitted on the training rows `rows`, and a note on each column that is left out.

    Every column that is no task's, not ignored, and neither empty nor constant in training rows is an input, of the declared
    kind or of the first that recognises it. Raises `DataError` with all faults: unknown names, kinds, options, unusable
    columns; those of other rows than the training rows too.
    """
    try:
        return _fitted(table, kinds, inputs or {}, ignore, rows)
    except DataError as error:
        everywhere = Faults()
        with everywhere.gather():
            _fitted(table, kinds, inputs or {}, ignore, torch.arange(table.num_rows))
        # Of a column, what all rows show replaces what training rows show.
        found = {f.where if f.where.startswith("column") else str(f): f for f in (*error.faults, *everywhere)}
        raise DataError(*found.values()) from None


def _fitted(
    table: pa.Table, kinds: Mapping[str, Task], declared: Mapping[str, Any], ignore: Collection[str], rows: Int[Tensor, "train"]
) -> tuple[Schema, list[str]]:
    numbers = rows.tolist()
    train = table if len(numbers) == table.num_rows else table.take(pa.array(numbers, pa.int64()))
    answers = {column for task in kinds.values() for column in task.columns}
    fitted_tasks: dict[str, Task] = {}
    fitted_inputs: dict[str, Input] = {}
    notes = []
    with collect(DataError) as faults:
        _check_names(table.column_names, declared, ignore, answers, faults)
        for name, task in kinds.items():
            with faults.gather(numbers):
                fitted_tasks[name] = task.fit([train[column] for column in task.columns])
        for name in table.column_names:
            if name in answers or name in ignore:
                continue
            with faults.gather(numbers):
                item = _input(name, train[name], declared.get(name))
                looks = _looks.hint(name, arrow.plain(train[name])) if name not in declared else None
                why = f"; {_said(looks.numbered(numbers))}" if looks else ""
                if isinstance(item, str):
                    notes.append(f"ignored column '{name}': {item}{why}")
                else:
                    fitted_inputs[name] = item.fit(train[name])
                    if why and item.kind in ("category", "text"):
                        notes.append(f"column '{name}' is read as {item.kind}{why}")
        if not fitted_inputs and not faults.found:
            faults.add("inputs", "no column is left to predict from", "; ".join(notes))
    return Schema(fitted_inputs, fitted_tasks), notes


def _split(where: str, declaration: Any, *others: str) -> tuple[str | None, dict[str, Any]]:
    """A declaration as a kind and its options, without the keys `others`."""
    if declaration is None or isinstance(declaration, str):
        return declaration, {}
    if not isinstance(declaration, Mapping):
        raise OptionError.of(where, f"cannot be declared by {declaration!r}", "Write a kind, or {kind: KIND, OPTION: VALUE}")
    options = {key: value for key, value in declaration.items() if key not in ("kind", *others)}
    return declaration.get("kind"), options


def _kind(place: str, kind: str, where: str) -> Any:
    if kind not in registry.kinds(place):
        raise OptionError.of(where, f"unknown kind '{kind}'", nearest(kind, registry.kinds(place)))
    return registry.kind(place, kind)


@cache
def _by_rank(place: str) -> list[Any]:
    return sorted((registry.kind(place, name) for name in registry.kinds(place)), key=lambda cls: (cls.rank, cls.kind))


def _recognised_task(name: str, columns: Mapping[str, pa.ChunkedArray]) -> Any:
    """The first kind that recognises the columns. Two columns that none does are survival, whose errors tell more."""
    _require_two_values(columns)
    for cls in _by_rank("tasks"):
        if cls.recognises(list(columns.values())):
            return cls
    if len(columns) == 2:
        return registry.kind("tasks", "survival")
    column, cells = next(iter(columns.items()))
    if looks := _looks.hint(column, arrow.plain(cells)):
        raise DataError(looks)
    types = ", ".join(str(column.type) for column in columns.values())
    different = arrow.count_distinct(arrow.plain(cells))
    shown = f"{types}, {different} different values" if different else types
    fix = f"Declare one: {', '.join(registry.kinds('tasks'))}"
    raise DataError.of(f"task '{name}'", f"no kind fits its columns ({shown})", fix)


def _require_two_values(columns: Mapping[str, pa.ChunkedArray]) -> None:
    """Raise `DataError` where a column is empty, or a single one constant: nothing can be learnt, whatever the kind."""
    with collect(DataError) as faults:
        for name, column in columns.items():
            cells = arrow.plain(column)
            with faults.gather():
                _cells.require_some(name, cells)
            if len(columns) == 1 and arrow.count_distinct(cells) == 1:
                value, rows = cells.drop_null()[0].as_py(), len(cells) - cells.null_count
                faults.add(f"column '{name}'", f"is constant: {value!r} in {rows} rows", "Leave the task out")


def _check_names(
    columns: list[str], declared: Mapping[str, Any], ignore: Collection[str], answers: set[str], faults: Faults
) -> None:
    for place, names in (("inputs", declared), ("ignore", ignore)):
        for name in names:
            if name not in columns:
                faults.add(place, f"no column '{name}'", nearest(name, columns))
    for name in declared:
        if name in answers:
            faults.add(f"input '{name}'", "is a column of a task", "Remove it from the inputs, or give the task another column")


def _input(name: str, column: pa.ChunkedArray, declaration: Any) -> Input | str:
    """The input, not yet fitted, or why the column is none."""
    kind, options = _split(f"input '{name}'", declaration, "modality")
    modality = declaration.get("modality") if isinstance(declaration, Mapping) else None
    if kind is None:
        why = _useless(column)
        if why:
            return why
        cls = next((cls for cls in _by_rank("inputs") if cls.recognises(name, column)), None)
        if cls is None:
            identifies = _recognise.identifies(name, arrow.plain(column))
            return "it looks like an identifier" if identifies else f"no kind fits its type ({column.type})"
    else:
        cls = _kind("inputs", kind, f"input '{name}'")
    item: Input = make(cls, options, f"inputs.{name}", {"name": name, "modality": modality})
    return item


def _said(fault: Fault) -> str:
    """A fault without the place."""
    return str(fault).removeprefix(f"{fault.where}: ")


def _useless(column: pa.ChunkedArray) -> str:
    cells = arrow.plain(column)
    if cells.null_count == len(cells):
        return "no training row has a value"
    if not pa.types.is_nested(cells.type) and pc.count_distinct(cells, mode="all").as_py() == 1:
        return f"every training row has the value {cells[0].as_py()!r}"
    return ""
