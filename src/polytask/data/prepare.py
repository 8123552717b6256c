"""From files to tensors: read, split, infer, fit on training rows, encode, look for leaks.

A large table is never copied: its rows are encoded piece by piece, each piece of Arrow memory going as it is done, and the
parts of the split are views.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from polytask.core import Batch, DataError, Schema, Source
from polytask.core.batch import concat
from polytask.core.errors import collect

from . import _memory, infer, leak, nested, read
from ._groups import require_room
from .sample import Mix, MixOptions, Rows
from .split import PARTS, Split, SplitOptions, split

SAMPLE = 100_000
"""Training rows that kinds, statistics and leaks are learnt from, at most; of more rows, so many are drawn by chance."""
PIECE = 65_536
"""Rows encoded at once; tables with fewer are encoded whole."""


@dataclass(frozen=True)
class Prepared:
    """All that training needs of the data.

    table: all rows of all sources, one after another; or only the tasks' columns of them. source: which source each row is of.
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
    numbers: Int[Tensor, "rows"] | None = None
    """Where the rows are drawn from files: each one's number there."""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each part has."""
        return {part: len(getattr(self.split, part)) for part in PARTS}

    def rows(self, part: str) -> Batch:
        """All rows of `train`, `validation` or `test`, as a view."""
        return self.batch.view(getattr(self.split, part))

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
        require_room(source["file"])
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
    *,
    whole: bool = True,
) -> Prepared:
    """Read, split, infer and encode. Statistics come from training rows only. Raises `DataError` with all faults.

    whole: keep all columns of the table beside the encoded rows, not the tasks' alone.
    """
    with _memory.lean():
        declared = infer.task_columns(tasks)
        table, source = gather(sources, declared)
        kinds = infer.tasks(table, tasks)
        parts = split(table, kinds, options, source)
        connecting = [key for source in sources for key in nested.keys(source.get("with"))]
        taught = _sample(parts.train, options.seed)
        _memory.release()
        schema, notes = infer.schema(table, kinds, inputs, ignored((*ignore, *connecting), options), taught)
        if len(taught) < len(parts.train):
            notes.append(
                f"kinds and statistics come from {len(taught):,} of {len(parts.train):,} training rows, drawn by chance"
            )
        _memory.release()
        leaks, digest = leak.leaks(table, schema, taught), read.digest(table)
        kept = table if whole else table.select(list(dict.fromkeys(c for task in kinds.values() for c in task.columns)))
        if table.num_rows <= PIECE or nested.refers(table):
            batch = schema.encode(table)
        else:
            pieces = table.to_batches(PIECE)
            del table  # the pieces alone hold the columns that are not kept
            batch = encode(schema, kept, pieces)
    return Prepared(kept, schema, batch, parts, source, tuple(notes), tuple(leaks), digest)


def encode(schema: Schema, answers: pa.Table, pieces: list[pa.RecordBatch], numbers: Sequence[int] | None = None) -> Batch:
    """The rows of a table in pieces as one batch, their labels from `answers`; pieces leave the list as they are done.

    numbers: what errors call the rows (None: 0, 1, ...). Raises `DataError` as `Schema.encode` does, for the first piece with a
    fault.
    """
    asked, rows, start = schema.only(tasks=()), answers.num_rows, 0
    numbers = range(rows) if numbers is None else numbers
    targets = encode_at(schema.only(inputs=()), answers, numbers)

    def encoded() -> Iterator[Batch]:
        nonlocal start
        for _ in range(len(pieces)):
            piece = pa.Table.from_batches([pieces.pop(0)])
            yield encode_at(asked, piece, numbers[start : start + piece.num_rows])
            start += piece.num_rows
            _memory.release()

    inputs = concat(encoded(), rows)
    return replace(targets, inputs=inputs.inputs, present=inputs.present)


def encode_at(schema: Schema, piece: pa.Table, numbers: Sequence[int]) -> Batch:
    """`Schema.encode`; errors call the rows by their `numbers`."""
    found = []
    with collect(DataError) as faults, faults.gather(numbers):
        found.append(schema.encode(piece))
    return found[0]


def _sample(rows: Int[Tensor, "rows"], seed: int) -> Int[Tensor, "taught"]:
    if len(rows) <= SAMPLE:
        return rows
    chosen = np.random.default_rng((seed, 1)).choice(len(rows), SAMPLE, replace=False)
    return rows[torch.from_numpy(np.sort(chosen))]


def ignored(ignore: Sequence[str], options: SplitOptions) -> tuple[str, ...]:
    """A column that rows are split by (person, time, place) is no input: the test rows' values of it are new by design."""
    return (*ignore, options.column) if options.column else tuple(ignore)
