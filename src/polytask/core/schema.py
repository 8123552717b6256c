"""A schema: the inputs and tasks of a data set, inferred or declared, with what training rows taught of each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import pyarrow as pa
import torch
from jaxtyping import Bool
from torch import Tensor

from . import registry
from .batch import Batch, Column, Columns, found
from .errors import DataError, collect, nearest
from .task import Task


@dataclass(frozen=True, kw_only=True)
class Input(ABC):
    """The base of every kind of question; a kind is a frozen dataclass in `polytask/inputs/<kind>.py`.

    Declared settings are `opt(...)` fields, what training rows teach (quantiles, vocabulary) are `fitted()` fields.
    """

    kind: ClassVar[str]
    rank: ClassVar[int] = 100
    """The order in which kinds are asked by `recognises`: lower first."""
    missing_column: ClassVar[str] = ""
    """What to do where data lack the column, if more than the column's name may be wrong."""

    name: str
    modality: str | None = None

    @classmethod
    @abstractmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Whether an undeclared column is of this kind."""

    @abstractmethod
    def fit(self, column: pa.ChunkedArray) -> "Input":
        """The input with all that training rows teach. Raises `DataError` on an unusable column."""

    @abstractmethod
    def encode(self, column: pa.ChunkedArray) -> tuple[Column, Bool[Tensor, "rows"]]:
        """The column as tensors, with a valid filler where it is absent, and the `present` mask."""

    def exact(self) -> "Input":
        """The same input, set so that `decode` gets every value back; for systems that compute with values."""
        return self

    def link(self, column: Column, inputs: Columns, present: Columns) -> Column:
        """The column once all `inputs` of the rows are encoded, for a kind whose rows refer to other rows."""
        return column

    @classmethod
    @abstractmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Input":
        """A fitted input of given sizes, for a literal such as `category 5`."""

    @abstractmethod
    def example_column(self, rows: int, generator: torch.Generator) -> Column:
        """Random valid values."""


@dataclass(frozen=True)
class Schema:
    """Inputs and tasks by name, in order."""

    inputs: Mapping[str, Input]
    tasks: Mapping[str, Task]

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        """The names of the inputs of these kinds."""
        return tuple(name for name, item in self.inputs.items() if item.kind in kinds)

    def modalities(self) -> dict[str, tuple[str, ...]]:
        """Input names grouped by declared modality, else by kind; in order of first appearance."""
        groups: dict[str, list[str]] = {}
        for name, item in self.inputs.items():
            groups.setdefault(item.modality or item.kind, []).append(name)
        return {group: tuple(names) for group, names in groups.items()}

    def only(self, inputs: tuple[str, ...] | None = None, tasks: tuple[str, ...] | None = None) -> "Schema":
        """The schema with these inputs and tasks alone (None: all)."""
        return Schema(
            {name: item for name, item in self.inputs.items() if inputs is None or name in inputs},
            {name: item for name, item in self.tasks.items() if tasks is None or name in tasks},
        )

    @classmethod
    def parse(cls, example: Mapping[str, Mapping[str, str]]) -> "Schema":
        """A fitted schema from a card's literals: `{"inputs": {"ward": "category 5"}, "tasks": {"died": "binary"}}`."""

        def build(place: str, literals: Mapping[str, str]) -> dict[str, Any]:
            items = {}
            for name, literal in literals.items():
                kind, *sizes = literal.split()
                items[name] = registry.kind(place, kind).example(name, tuple(int(size) for size in sizes))
            return items

        return cls(build("inputs", example["inputs"]), build("tasks", example["tasks"]))

    def example(self, rows: int, seed: int = 0) -> Batch:
        """A random valid batch with everything present and labelled."""
        generator = torch.Generator().manual_seed(seed)
        true = torch.ones(rows, dtype=torch.bool)
        inputs = {name: item.example_column(rows, generator) for name, item in self.inputs.items()}
        targets: dict[str, Column] = {n: task.example_target(rows, generator) for n, task in self.tasks.items()}
        labelled = Columns(dict.fromkeys(targets, true), rows)
        present = Columns(dict.fromkeys(inputs, true), rows)
        return Batch(self._linked(inputs, present), present, Columns(targets, rows), labelled, found(labelled))

    def _by_kind(self) -> list[str]:
        """The inputs' names, those of a kind side by side: what is stacked together at each step is then a view."""
        return [name for kind in dict.fromkeys(item.kind for item in self.inputs.values()) for name in self.of_kind(kind)]

    def _linked(self, inputs: Mapping[str, Column], present: Columns) -> Columns:
        columns = Columns({name: inputs[name] for name in self._by_kind()}, present.rows)
        linked = {name: self.inputs[name].link(inputs[name], columns, present) for name in columns}
        return columns if all(linked[name] is inputs[name] for name in linked) else Columns(linked, present.rows)

    def encode(self, table: pa.Table) -> Batch:
        """The rows of a table as one batch; a task whose columns the table lacks is unlabelled in every row.

        Raises `DataError` that lists every missing input column.
        """
        rows, columns_there = table.num_rows, set(table.column_names)
        inputs, present, targets, labelled = {}, {}, {}, {}
        with collect(DataError) as faults:
            for name, item in self.inputs.items():
                if name not in columns_there:
                    faults.add(f"column '{name}'", "is missing", item.missing_column or nearest(name, table.column_names))
                    continue
                with faults.gather():
                    inputs[name], present[name] = item.encode(table[name])
            for name, task in self.tasks.items():
                has = columns_there.issuperset(task.columns)
                columns = [table[c] if has else pa.chunked_array([pa.nulls(rows)]) for c in task.columns]
                with faults.gather():
                    targets[name], labelled[name] = task.encode(columns)
        present = {name: present[name] for name in self._by_kind()}
        mask, there = Columns(labelled, rows), Columns(present, rows)
        return Batch(self._linked(inputs, there), there, Columns(targets, rows), mask, found(mask))

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings; `from_json` gives the equal schema back."""

        def plain(item: Input | Task) -> dict[str, Any]:
            values = {field.name: getattr(item, field.name) for field in fields(item) if field.name != "name"}
            return {"kind": item.kind} | {key: _to_list(value) for key, value in values.items()}

        return {
            "inputs": {name: plain(item) for name, item in self.inputs.items()},
            "tasks": {name: plain(task) for name, task in self.tasks.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Schema":
        def build(place: str, name: str, item: Mapping[str, Any]) -> Any:
            rest = {key: _to_tuple(value) for key, value in item.items() if key != "kind"}
            return registry.kind(place, item["kind"])(name=name, **rest)

        return cls(
            {name: build("inputs", name, item) for name, item in values["inputs"].items()},
            {name: build("tasks", name, item) for name, item in values["tasks"].items()},
        )


def _to_list(value: Any) -> Any:
    return [_to_list(item) for item in value] if isinstance(value, tuple) else value


def _to_tuple(value: Any) -> Any:
    return tuple(_to_tuple(item) for item in value) if isinstance(value, list) else value
