"""A batch: columns of inputs with `present` masks, columns of targets with `labelled` masks.

A column is one of four containers, each with `index(rows)`, `to(device)` and `len`: a tensor `(rows, ...)`, `Ragged`, `Graph`
or `Record`. Everything is whole-tensor work: no container runs Python per row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


def _spans(starts: Int[Tensor, "rows"], lengths: Int[Tensor, "rows"]) -> Int[Tensor, "values"]:
    """The positions `start, start+1, ..., start+length-1` of every row, one after another."""
    before = torch.cumsum(lengths, 0) - lengths
    return torch.arange(int(lengths.sum()), device=starts.device) + torch.repeat_interleave(starts - before, lengths)


def _offsets(lengths: Int[Tensor, "rows"]) -> Int[Tensor, "ends"]:
    return torch.cat([lengths.new_zeros(1), torch.cumsum(lengths, 0)])


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length: row `i` is `values[offsets[i]:offsets[i + 1]]`."""

    values: Shaped[Tensor, "values ..."]
    offsets: Int[Tensor, "ends"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int[Tensor, "rows"]:
        return self.offsets.diff()

    def index(self, rows: Int[Tensor, "chosen"]) -> "Ragged":
        lengths = self.lengths[rows]
        return Ragged(self.values[_spans(self.offsets[rows], lengths)], _offsets(lengths))

    def to(self, device: torch.device | str) -> "Ragged":
        return Ragged(self.values.to(device), self.offsets.to(device))


@dataclass(frozen=True)
class Graph:
    """One graph a row: nodes `x`, edges between node numbers, and the first node of each row in `offsets`.

    Edges lie sorted by row, `edge_offsets` giving the first edge of each.
    """

    x: Shaped[Tensor, "nodes ..."]
    edge_index: Int[Tensor, "2 edges"]
    edge_attr: Shaped[Tensor, "edges ..."] | None
    offsets: Int[Tensor, "ends"]
    edge_offsets: Int[Tensor, "ends"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def index(self, rows: Int[Tensor, "chosen"]) -> "Graph":
        nodes, edges = self.offsets.diff()[rows], self.edge_offsets.diff()[rows]
        node_rows, edge_rows = _spans(self.offsets[rows], nodes), _spans(self.edge_offsets[rows], edges)
        offsets = _offsets(nodes)
        shift = torch.repeat_interleave(offsets[:-1] - self.offsets[rows], edges)
        attributes = None if self.edge_attr is None else self.edge_attr[edge_rows]
        return Graph(self.x[node_rows], self.edge_index[:, edge_rows] + shift, attributes, offsets, _offsets(edges))

    def to(self, device: torch.device | str) -> "Graph":
        attributes = None if self.edge_attr is None else self.edge_attr.to(device)
        parts = (self.x, self.edge_index, self.offsets, self.edge_offsets)
        x, edge_index, offsets, edge_offsets = (part.to(device) for part in parts)
        return Graph(x, edge_index, attributes, offsets, edge_offsets)


@dataclass(frozen=True)
class Record:
    """Several tensors that belong to one row."""

    parts: Mapping[str, Shaped[Tensor, "rows ..."]]

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def __getitem__(self, name: str) -> Tensor:
        return self.parts[name]

    def index(self, rows: Int[Tensor, "chosen"]) -> "Record":
        return Record({name: part[rows] for name, part in self.parts.items()})

    def to(self, device: torch.device | str) -> "Record":
        return Record({name: part.to(device) for name, part in self.parts.items()})


Column: TypeAlias = Tensor | Ragged | Graph | Record


class Columns(Mapping[str, Column]):
    """Named columns of equal length.

    One-dimensional tensors of a dtype lie side by side in one matrix, so indexing a batch costs one gather a dtype, not one a
    column, and `stack` of all of them costs nothing.
    """

    def __init__(self, columns: Mapping[str, Column], rows: int) -> None:
        self.rows = rows
        self._names = tuple(columns)
        by_dtype: dict[torch.dtype, dict[str, Tensor]] = {}
        self._loose: dict[str, Column] = {}
        for name, column in columns.items():
            if len(column) != rows:
                raise ValueError(f"column '{name}' has {len(column)} rows, not {rows}")
            if isinstance(column, Tensor) and column.dim() == 1:
                by_dtype.setdefault(column.dtype, {})[name] = column
            else:
                self._loose[name] = column
        self._members = {dtype: tuple(block) for dtype, block in by_dtype.items()}
        self._blocks = {dtype: torch.stack(list(block.values()), dim=1) for dtype, block in by_dtype.items()}
        self._place = {name: (dtype, j) for dtype, names in self._members.items() for j, name in enumerate(names)}
        self._chosen: Int[Tensor, "rows"] | None = None
        """The rows that a view takes from its blocks and columns; None: all, as they are."""

    def __getitem__(self, name: str) -> Column:
        if name in self._loose:
            return self._loose[name] if self._chosen is None else _index(self._loose[name], self._chosen)
        dtype, position = self._place[name]
        column = self._blocks[dtype][:, position]
        return column if self._chosen is None else column[self._chosen]

    def tensor(self, name: str) -> Tensor:
        """The column `name`, which must be a tensor."""
        column = self[name]
        if not isinstance(column, Tensor):
            raise TypeError(f"column '{name}' is a {type(column).__name__}, not a tensor")
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def stack(self, names: Sequence[str]) -> Shaped[Tensor, "rows names"]:
        """The one-dimensional columns `names`, of one dtype, side by side; a view where they are neighbours."""
        dtype, first = self._place[names[0]]
        block = self._blocks[dtype]
        if self._members[dtype][first : first + len(names)] == tuple(names):
            block = block[:, first : first + len(names)]
            return block if self._chosen is None else block[self._chosen]
        positions = [self._place[name][1] for name in names]
        return block[:, positions] if self._chosen is None else block[self._chosen][:, positions]

    def _map(
        self,
        rows: int,
        block: dict[torch.dtype, Tensor],
        loose: dict[str, Column],
        chosen: Int[Tensor, "rows"] | None = None,
    ) -> "Columns":
        new = object.__new__(Columns)
        new.rows, new._names, new._members, new._place = rows, self._names, self._members, self._place
        new._blocks, new._loose, new._chosen = block, loose, chosen
        return new

    def index(self, rows: Int[Tensor, "chosen"]) -> "Columns":
        rows = rows if self._chosen is None else self._chosen[rows]
        blocks = {dtype: block[rows] for dtype, block in self._blocks.items()}
        return self._map(len(rows), blocks, {name: _index(column, rows) for name, column in self._loose.items()})

    def copied(self) -> "Columns":
        """What a view shows, in memory of its own; other columns as they are."""
        return self if self._chosen is None else self.index(torch.arange(self.rows, device=self._chosen.device))

    @property
    def nbytes(self) -> int:
        """The size in memory; of a view, that of what it looks at."""
        return sum(map(_bytes, [*self._blocks.values(), *self._loose.values()]))

    def view(self, rows: Int[Tensor, "chosen"]) -> "Columns":
        """These rows, taken when they are read: nothing is copied now, and what is read is copied each time."""
        chosen = rows if self._chosen is None else self._chosen[rows]
        return self._map(len(rows), self._blocks, self._loose, chosen)

    def to(self, device: torch.device | str) -> "Columns":
        if self._chosen is not None:
            return self.copied().to(device)
        blocks = {dtype: block.to(device) for dtype, block in self._blocks.items()}
        return self._map(self.rows, blocks, {name: column.to(device) for name, column in self._loose.items()})


def _index(column: Column, rows: Int[Tensor, "chosen"]) -> Column:
    return column[rows] if isinstance(column, Tensor) else column.index(rows)


class _Joined:
    """Columns of several batches, one after another, copied into memory that is taken once."""

    def __init__(self, first: Columns, rows: int) -> None:
        self.first, self.rows, self.at = first, rows, 0
        self.blocks = {dtype: block.new_empty(rows, block.shape[1]) for dtype, block in first._blocks.items()}
        self.tensors = {n: c.new_empty(rows, *c.shape[1:]) for n, c in first._loose.items() if isinstance(c, Tensor)}
        self.others: dict[str, list[Column]] = {name: [] for name in first._loose if name not in self.tensors}

    def add(self, columns: Columns) -> None:
        to = slice(self.at, self.at + columns.rows)
        for dtype, block in columns._blocks.items():
            self.blocks[dtype][to] = block
        for name, column in columns._loose.items():
            if isinstance(column, Tensor):
                self.tensors[name][to] = column
            else:
                self.others[name].append(column)
        self.at = to.stop

    def columns(self) -> Columns:
        loose = {n: self.tensors[n] if n in self.tensors else _join(self.others[n]) for n in self.first._loose}
        return self.first._map(self.rows, self.blocks, loose)


def _bytes(column: Column) -> int:
    tensors = [column] if isinstance(column, Tensor) else [t for t in vars(column).values() if isinstance(t, Tensor)]
    tensors += column.parts.values() if isinstance(column, Record) else ()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _join(parts: Sequence[Any]) -> Column:
    """Ragged columns or records as one."""
    kinds = {type(part) for part in parts}
    if kinds == {Ragged}:
        return Ragged(torch.cat([part.values for part in parts]), _offsets(torch.cat([part.lengths for part in parts])))
    if kinds == {Record}:
        return Record({name: torch.cat([part[name] for part in parts]) for name in parts[0].parts})
    raise TypeError(f"rows of a {type(parts[0]).__name__} belong to one table: they cannot be joined")


@dataclass(frozen=True)
class Batch:
    """Rows with what is known of them.

    inputs, present: each input's column and whether the row has it (absent cells hold a valid filler, never NaN).
    targets, labelled: each task's column and whether the row has that label.
    tasks: the tasks with at least one label here; a loss of another task would be empty.
    """

    inputs: Columns
    present: Columns
    targets: Columns
    labelled: Columns
    tasks: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return self.inputs.rows

    def index(self, rows: Int[Tensor, "chosen"]) -> "Batch":
        """These rows, in this order; `tasks` is worked out anew from their labels (on the device of `labelled`)."""
        labelled = self.labelled.index(rows)
        return Batch(self.inputs.index(rows), self.present.index(rows), self.targets.index(rows), labelled, found(labelled))

    def view(self, rows: Int[Tensor, "chosen"]) -> "Batch":
        """As `index`, but nothing is copied now: each read takes, and copies, what it asks for."""
        labelled = self.labelled.view(rows)
        return Batch(self.inputs.view(rows), self.present.view(rows), self.targets.view(rows), labelled, found(labelled))

    def to(self, device: torch.device | str) -> "Batch":
        moved = (part.to(device) for part in (self.inputs, self.present, self.targets, self.labelled))
        inputs, present, targets, labelled = moved
        return Batch(inputs, present, targets, labelled, self.tasks)


def found(labelled: Columns) -> tuple[str, ...]:
    """The tasks that have a label in some row."""
    if not len(labelled):
        return ()
    any_label: Bool[Tensor, "tasks"] = labelled.stack(tuple(labelled)).any(0)
    return tuple(name for name, has in zip(labelled, any_label.tolist(), strict=True) if has)


def concat(batches: Iterable[Batch], rows: int) -> Batch:
    """The rows of several batches of one schema, `rows` in all; each batch may go as soon as it has been copied.

    Errors: `TypeError` for columns whose rows refer to other rows of one table.
    """
    joined: dict[str, _Joined] = {}
    for batch in batches:
        for name in _PARTS:
            part: Columns = getattr(batch, name).copied()
            joined.setdefault(name, _Joined(part, rows)).add(part)
    columns = {name: join.columns() for name, join in joined.items()}
    return Batch(**columns, tasks=found(columns["labelled"]))


_PARTS = ("inputs", "present", "targets", "labelled")

Loss: TypeAlias = Float[Tensor, ""]
