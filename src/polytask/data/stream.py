"""Tables that do not fit in memory: Parquet files whose training rows are read anew each epoch, shuffled on the way.

One pass over the files draws the rows that teach kinds and statistics, and the validation and test rows, which stay in memory.
What else is held is one byte a row (its part) and a pool of encoded rows, whatever the size of the files.
"""

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray

from polytask.core import Batch, DataError, OptionError, Schema, Source, arrow
from polytask.core.errors import collect

from . import _memory, _pool, infer, leak, nested, prepare
from . import split as splitting
from ._groups import Group, columns, groups
from .formats import parquet
from .prepare import Prepared
from .sample import MixOptions
from .split import PARTS, Split, SplitOptions

KEPT = 100_000
"""Validation rows, test rows, and training rows that teach kinds and statistics: so many of each, at most."""
OPEN = 8
"""Row groups that are read at once, for their rows to mix."""
BLOCK = 16_384
"""Rows read at once from a row group, at most."""
UNUSED = 3
_TIMES = 1_000_000
"""Rows that say where training ends and validation and test begin in time, at most."""

Item = TypeVar("Item")
Rows: TypeAlias = NDArray[np.int64]
Codes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Parts(Split):
    """The places in memory of the rows of each part, and each row's part in the files: 0 to 2, or 3 where it is not used."""

    everywhere: Codes

    def to_table(self) -> pa.Table:
        """One column `part`: train, validation, test, or nothing, for each row of the files."""
        codes = pa.array(self.everywhere.astype(np.int8), mask=self.everywhere == UNUSED)
        return pa.table({"part": pa.DictionaryArray.from_arrays(codes, list(PARTS))})


@dataclass(frozen=True)
class Streamed(Prepared):
    """Data whose training rows stay in files; table and batch hold the rows drawn from them.

    `rows("train")` are those that teach kinds and statistics.
    """

    groups: Sequence[Group] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of the files each part uses."""
        assert isinstance(self.split, Parts)
        return {name: int(np.count_nonzero(self.split.everywhere == part)) for part, name in enumerate(PARTS)}

    def training_source(self, batch_size: int, seed: int, mix: MixOptions, rank: int = 0, world: int = 1) -> Source:
        """The training batches, read from the files. Raises `DataError` where processes cannot share the row groups."""
        assert isinstance(self.split, Parts)
        batch = self.batch
        taken = sum(part.nbytes for part in (batch.inputs, batch.present, batch.targets, batch.labelled))
        pool = max(_pool.size_for(taken / len(batch)), 2 * batch_size)
        return Stream(self.groups, self.split.everywhere, self.schema, batch_size, seed, pool=pool, rank=rank, world=world)


class Stream(Source):
    """The training rows of Parquet files, each once an epoch.

    Row groups come in a new order each epoch, `OPEN` of them are read at once, a block of each in turn, and their rows mix in a
    pool (`_pool.py`). All of it follows from the seed and the number of the epoch. One thread reads and encodes ahead.

    Processes share the row groups, not the rows of a batch: each has its own, of about as many rows, and all have as many
    batches. Raises `DataError` where a process would have no row for some batch, and where cells cannot be encoded.
    """

    def __init__(
        self,
        found: Sequence[Group],
        parts: Codes,
        schema: Schema,
        batch_size: int,
        seed: int,
        *,
        pool: int = _pool.MOST,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.parts, self.schema, self.seed, self.pool, self.rank = parts, schema, seed, pool, rank
        sizes = [int((parts[g.start : g.start + g.rows] == 0).sum()) for g in found]
        used = sorted((size, -number) for number, size in enumerate(sizes) if size)
        shares: list[list[Group]] = [[] for _ in range(world)]
        loads = [0] * world
        for size, number in reversed(used):
            least = loads.index(min(loads))
            shares[least].append(found[-number])
            loads[least] += size
        self.groups, self.rows = shares[rank], loads[rank]
        self._batches = -(-sum(loads) // batch_size)
        if min(loads) < self._batches:
            problem = f"{len(used)} row groups in batches of {batch_size} rows cannot be shared by {world} processes"
            raise DataError.of("stream", problem, "Write smaller row groups, or take larger batches or fewer devices")

    def epoch(self, number: int) -> Iterator[Batch]:
        random = np.random.default_rng((self.seed, number, self.rank))
        order = [self.groups[i] for i in random.permutation(len(self.groups))]
        with closing(_ahead(self._blocks(order))) as blocks:
            yield from _pool.batches(blocks, self.pool, self.rows, self._batches, random)

    def __len__(self) -> int:
        return self._batches

    def _blocks(self, order: Sequence[Group]) -> Iterator[Batch]:
        """Encoded training rows of the row groups, a block of each open one in turn."""
        waiting, reading = deque(order), deque[Iterator[Batch]]()
        while waiting or reading:
            while waiting and len(reading) < OPEN:
                reading.append(self._encoded(waiting.popleft()))
            blocks = reading.popleft()
            if (block := next(blocks, None)) is not None:
                reading.append(blocks)
                yield block

    def _encoded(self, group: Group) -> Iterator[Batch]:
        answers = (column for task in self.schema.tasks.values() for column in task.columns)
        wanted = list(dict.fromkeys([*self.schema.inputs, *answers]))
        for start, piece in group.pieces(max(1, min(BLOCK, self.pool // OPEN)), wanted):
            rows = np.flatnonzero(self.parts[start : start + piece.num_rows] == 0)
            if len(rows):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # labels of too rare classes, told once of the rows drawn before
                    block = prepare.encode_at(self.schema, piece.take(pa.array(rows)), (rows + start).tolist())
                yield block


def _ahead(items: Iterator[Item], count: int = 2) -> Generator[Item, None, None]:
    """The items, up to `count` of them made ahead of their use, by one thread."""
    with ThreadPoolExecutor(1) as worker:
        waiting = deque(worker.submit(next, items, None) for _ in range(count))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(worker.submit(next, items, None))
            yield item


def prepare_stream(
    sources: Sequence[Mapping[str, Any]],
    tasks: Mapping[str, Any],
    inputs: Mapping[str, Any],
    ignore: Sequence[str],
    options: SplitOptions,
) -> Streamed:
    """Split, draw, infer and fit in one pass over the files. Raises `DataError` with all faults."""
    source = sources[0]
    if len(sources) > 1:
        raise OptionError.of("data", "a stream has one source", "Name a folder of Parquet files with the same columns")
    if source.get("with"):
        raise OptionError.of("data[0].with", "cannot be attached to a stream", "Store the lists as a column of the file")
    with _memory.lean():
        found, digest = groups(source["file"])
        parts = _parts(found, options)
        splitting.require_parts(np.array([np.count_nonzero(parts == part) for part in range(3)]))
        chosen = [_chosen(found, parts, part, options.seed) for part in range(3)]
        numbers = np.sort(np.concatenate(chosen))
        table = _drawn(found, numbers)
        places = [torch.from_numpy(np.searchsorted(numbers, rows)) for rows in chosen]
        with collect(DataError) as faults, faults.gather(numbers.tolist()):
            kinds = infer.tasks(table, tasks)
            schema, notes = infer.schema(table, kinds, inputs, prepare.ignored(ignore, options), places[0])
        if nested.refers(table):
            raise DataError.of(str(source["file"]), "refers to its own rows, which are needed all at once", "Leave out stream")
        leaks = leak.leaks(table, schema, places[0])
        answers = table.select(list(dict.fromkeys(column for task in kinds.values() for column in task.columns)))
        pieces = table.to_batches(prepare.PIECE)
        del table
        batch = prepare.encode(schema, answers, pieces, numbers.tolist())
    notes += _notes(found, parts, chosen)
    for part in (1, 2):
        parts[np.setdiff1d(np.flatnonzero(parts == part), chosen[part], assume_unique=True)] = UNUSED
    split, one = Parts(places[0], places[1], places[2], parts), torch.zeros(len(batch), dtype=torch.int64)
    kept = Prepared(answers, schema, batch, split, one, tuple(notes), tuple(leaks), digest, torch.from_numpy(numbers))
    return Streamed(**vars(kept), groups=tuple(found))


def _parts(found: Sequence[Group], options: SplitOptions) -> Codes:
    """Each row's part. Chance is a hash of the seed and the row's number or group: rows of files that grow keep their part."""
    how = splitting.resolve(columns(found), options)
    if options.how == "stratified":
        raise OptionError.of("split.how", "stratified needs all rows at once, and they are streamed", "Take how=random")
    if how in ("random", "stratified"):
        edges = np.cumsum(options.shares)[:2]
        parts = [_by_chance(np.arange(g.start, g.start + g.rows), options.seed, edges) for g in found]
        return np.concatenate(parts)
    column = str(options.column)
    return _read(found, column, _rule(how, column, found, options))


def _rule(how: str, column: str, found: Sequence[Group], options: SplitOptions) -> Callable[[Rows, pa.ChunkedArray], Codes]:
    edges = np.cumsum(options.shares)[:2]
    if how == "given":
        return lambda rows, cells: splitting.given(column, cells).astype(np.uint8)
    if how == "group":
        return lambda rows, cells: _by_chance(_hashes(column, cells), options.seed, edges)
    share = _TIMES / (found[-1].start + found[-1].rows)
    some = _read(found, column, lambda rows, cells: splitting.times(column, cells)[_chance(rows, options.seed, 1) < share])
    borders = np.sort(some)[(edges * len(some)).astype(np.int64)]
    return lambda rows, cells: np.searchsorted(borders, splitting.times(column, cells), side="right").astype(np.uint8)


def _read(found: Sequence[Group], column: str, rule: Callable[[Rows, pa.ChunkedArray], NDArray[Any]]) -> NDArray[Any]:
    """What a rule makes of the numbers and the cells of one column."""
    made = []
    for group in found:
        for start, piece in group.pieces(prepare.PIECE, [column]):
            try:
                made.append(rule(np.arange(start, start + piece.num_rows), piece[column]))
            except DataError as error:
                where = f"rows from {start:,}"
                raise DataError(*(replace(fault, where=f"{where}: {fault.where}") for fault in error.faults)) from None
    return np.concatenate(made)


def _by_chance(numbers: NDArray[Any], seed: int, edges: NDArray[np.float64]) -> Codes:
    return np.searchsorted(edges, _chance(numbers, seed, 0), side="right").astype(np.uint8)


def _chance(numbers: NDArray[Any], *key: int) -> NDArray[np.float64]:
    """A number from 0 to 1 for each whole number, as if by chance: SplitMix64 (Steele, Lea & Flood 2014) from a seed."""
    start = np.random.SeedSequence(key).generate_state(1, np.uint64)
    z = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + start
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) / 2.0**64


def _hashes(column: str, cells: pa.ChunkedArray) -> NDArray[np.uint64]:
    """A number for each group; rows without one are one group."""
    coded = arrow.texts(column, arrow.plain(cells)).fill_null("").dictionary_encode()
    texts = pd.util.hash_array(np.array(coded.dictionary.to_pylist(), dtype=object), categorize=False)
    hashes: NDArray[np.uint64] = texts[coded.indices.to_numpy()]
    return hashes


def _chosen(found: Sequence[Group], parts: Codes, part: int, seed: int) -> Rows:
    """The rows of a part, `KEPT` of them by chance where there are more; in order."""
    share = 2 * KEPT / max(1, int(np.count_nonzero(parts == part)))  # twice as many, so that chance leaves enough
    chosen = []
    for group in found:
        rows = group.start + np.flatnonzero(parts[group.start : group.start + group.rows] == part)
        chosen.append(rows[_chance(rows, seed, 2) < share])
    rows = np.concatenate(chosen)
    return np.sort(rows[np.argsort(_chance(rows, seed, 2), kind="stable")[:KEPT]])


def _drawn(found: Sequence[Group], rows: Rows) -> pa.Table:
    """These rows, which are in order, of the files."""
    drawn = []
    names = [name for name in columns(found).names if not parquet._INDEX.fullmatch(name)]
    for group in found:
        first, last = np.searchsorted(rows, (group.start, group.start + group.rows))
        for start, piece in group.pieces(prepare.PIECE, names) if first < last else ():
            own = rows[slice(*np.searchsorted(rows, (start, start + piece.num_rows)))]
            drawn.append(piece.take(pa.array(own - start)))
    return pa.concat_tables(drawn).combine_chunks()


def _notes(found: Sequence[Group], parts: Codes, chosen: Sequence[Rows]) -> list[str]:
    """What a user should know of a stream."""
    train, validation, test = (np.count_nonzero(parts == part) for part in range(3))
    notes = [f"streamed: {train:,} of {len(parts):,} rows train, from {len(found):,} row groups"]
    for name, rows, total in zip(PARTS, chosen, (train, validation, test), strict=True):
        if len(rows) < total:
            use = "kinds and statistics come from" if name == "train" else "scores come from"
            notes.append(f"{use} {len(rows):,} of {total:,} {name} rows, drawn by chance")
    largest = max(group.rows for group in found)
    if len(found) < 4 * OPEN and largest > BLOCK:
        notes.append(
            f"{len(found)} row groups of up to {largest:,} rows mix badly where the file is sorted; write smaller ones: "
            "pyarrow.parquet.write_table(table, path, row_group_size=50_000)"
        )
    return notes
