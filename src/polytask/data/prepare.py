"""From files to tensors: read, split, infer, fit on training rows, encode, look for leaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from polytask.core import Batch, DataError, Schema, Source

from . import infer, leak, nested, read
from .sample import Mix, MixOptions, Rows
from .split import Split, SplitOptions, split


@dataclass(frozen=True)
class Prepared:
    """All that training needs of the data.

    table: all rows of all sources, one after another. source: which source each row is of.
    notes: what was inferred and left out, for the user to read.
    """

    table: pa.Table
    schema: Schema
    batch: Batch
    split: Split
    source: Int[Tensor, "rows"]
    notes: tuple[str, ...]
    leaks: tuple[leak.Leak, ...]
    digest: str

    def rows(self, part: str) -> Batch:
        """All rows of `train`, `validation` or `test`."""
        return self.batch.index(getattr(self.split, part))

    def training_source(self, batch_size: int, seed: int, mix: MixOptions, rank: int = 0, world: int = 1) -> Source:
        """The training batches: of one source, or mixed from several."""
        train = self.split.train
        groups = [train[self.source[train] == number] for number in self.source[train].unique().tolist()]
        each = [Rows(self.batch, rows, batch_size, seed, rank=rank, world=world) for rows in groups]
        return each[0] if len(each) == 1 else Mix(each, mix, seed)


def gather(sources: Sequence[Mapping[str, Any]], task_columns: Mapping[str, Sequence[str]]) -> tuple[pa.Table, Tensor]:
    """The rows of all sources in one table, and each row's source number.

    A source is `{"file": data, "tasks": names, "with": nested tables}`: where it names its tasks, columns of others in it are
    not read as labels.
    Raises `DataError` where two sources give one column types that do not agree.
    """
    tables = []
    for source in sources:
        table = nested.table(source["file"], source.get("with"))
        if (tasks := source.get("tasks")) is not None:
            own = {column for name in tasks for column in task_columns.get(name, (name,))}
            others = {column for columns in task_columns.values() for column in columns} - own
            table = table.drop_columns([name for name in table.column_names if name in others])
        if len(sources) > 1 and nested.refers(table):
            fix = "Give one file: numbers of rows do not go across files"
            raise DataError.of(str(source["file"]), "refers to its own rows, and there are several sources", fix)
        tables.append(table)
    number = torch.repeat_interleave(torch.arange(len(tables)), torch.tensor([table.num_rows for table in tables]))
    if len(tables) == 1:
        return tables[0], number
    try:
        return pa.concat_tables(tables, promote_options="permissive"), number
    except pa.ArrowException as error:
        raise DataError.of("data", f"the sources' columns do not agree: {error}", "Give them one type in all files") from None


def prepare(
    sources: Sequence[Mapping[str, Any]],
    tasks: Mapping[str, Any],
    inputs: Mapping[str, Any],
    ignore: Sequence[str],
    options: SplitOptions,
) -> Prepared:
    """Read, split, infer and encode. Statistics come from training rows only. Raises `DataError` with all faults."""
    declared = infer.task_columns(tasks)
    table, source = gather(sources, declared)
    kinds = infer.tasks(table, tasks)
    parts = split(table, kinds, options, source)
    connecting = [key for source in sources for key in nested.keys(source.get("with"))]
    schema, notes = infer.schema(table, kinds, inputs, _ignored((*ignore, *connecting), options), parts.train)
    batch = schema.encode(table)
    leaks = leak.leaks(table, schema, parts.train)
    return Prepared(table, schema, batch, parts, source, tuple(notes), tuple(leaks), read.digest(table))


def _ignored(ignore: Sequence[str], options: SplitOptions) -> tuple[str, ...]:
    """A column that rows are split by (person, time, place) is no input: the test rows' values of it are new by design."""
    return (*ignore, options.column) if options.column else tuple(ignore)
