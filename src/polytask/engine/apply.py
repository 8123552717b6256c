"""Applies a system that learns nothing to a file: its columns are named by the system, and no run has to be trained."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import torch

from polytask.core import DataError, Input, OptionError, Schema, System, nearest, registry
from polytask.core.errors import collect
from polytask.core.option import make
from polytask.data import read


def apply(system: str, data: Any, options: Mapping[str, Any] | None = None) -> tuple[pa.Table, dict[str, pa.Table]]:
    """A system's answers to all rows of `data`, and what else it has to say on them, by name.

    system: an id or the path of a user's file. data: anything that `read.table` takes; the columns that it needs are the inputs
    of the system's card, by name. options: the system's, by name.
    Kinds are those of the card, fitted on the rows themselves; rows are given to the system all at once.

    Raises `OptionError` for a system that has to be trained, or an unknown option; `DataError` with every missing column and
    the nearest name, and every cell that is not what its column needs.
    """
    card, cls = registry.card_of(registry.file_of(system)), registry.load(system)
    if learns(cls, card.example):
        fix = f"polytask fit DATA --tasks a,b --system {system}, then polytask predict"
        raise OptionError.of(f"system '{system}'", "learns from data before it can be applied", fix)
    chosen: Any = make(cls.options_type, options or {}, system)
    table = read.table(data)
    schema = Schema(_inputs(card.example["inputs"], table), Schema.parse({**card.example, "inputs": {}}).tasks)
    model = cls.build(schema, chosen).eval()
    batch = schema.only(tasks=()).encode(table)
    columns: dict[str, pa.Array] = {}
    with torch.inference_mode():
        for name, output in model(batch).items():
            columns |= schema.tasks[name].decode(schema.tasks[name].predict(output))
        more = model.tables(batch)
    return pa.table(columns), dict(more)


def learns(cls: type[System], example: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a system has stages of training; one that does not say so has the usual one."""
    if cls.stages is System.stages:
        return True
    return bool(cls.build(Schema.parse(example), make(cls.options_type, {}, cls.__name__)).stages())


def _inputs(literals: Mapping[str, str], table: pa.Table) -> dict[str, Input]:
    """The card's inputs, fitted on the table's columns of their names."""
    inputs: dict[str, Input] = {}
    with collect(DataError) as faults:
        for name, literal in literals.items():
            kind = literal.split()[0]
            if name not in table.column_names:
                faults.add(f"column '{name}'", f"is missing (a {kind})", nearest(name, table.column_names))
                continue
            item: Input = registry.kind("inputs", kind)(name=name)
            with faults.gather():
                inputs[name] = item.exact().fit(table[name])
    return inputs
