"""Links to other rows: the rows of the table are the nodes of one graph."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool
from torch import Tensor

from polytask.core import Column, Columns, DataError, Input, arrow
from polytask.core.links import Links as Container

from ._example import check_sizes

_ROW = "row"
_DEGREE = 3
"""Neighbours of a row of an example, on average."""


@dataclass(frozen=True, kw_only=True)
class Links(Input):
    """The neighbours of each row: a list of structs with a field `row`, the neighbour's row number, counted from 0.

    The column is `polytask.core.links.Links`: the graph of all rows, their other inputs, and which rows are asked for. So a
    batch of a few rows still sees the others; their answers are not in it. A null cell is a row about whose links nothing is
    known (absent), an empty list one without any. An edge that both its ends list is one edge in either direction; repeated
    ones count once. Other fields of the structs (weights, kinds of edges) are not read.

    Row numbers are those of the table that is encoded: predictions for new rows need a table that holds their neighbours.

    Errors: `DataError` names the rows whose lists point outside the table, or hold no number.
    """

    kind: ClassVar[str] = "links"
    rank: ClassVar[int] = 10
    missing_column: ClassVar[str] = "Attach the table of links: --with NAME=FILE:KEY:TO"

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Lists of structs that have a field `row` of whole numbers."""
        return _holds_rows(column.type)

    def fit(self, column: pa.ChunkedArray) -> "Links":
        if not _holds_rows(column.type):
            fix = f"Give lists of structs with a field '{_ROW}', or attach the edges: --with edges=edges.csv:node:target"
            raise DataError.of(f"column '{self.name}'", f"cells of type {column.type} are no links to rows", fix)
        return self

    def encode(self, column: pa.ChunkedArray) -> tuple[Container, Bool[Tensor, "rows"]]:
        array = column.combine_chunks()
        present = torch.from_numpy(arrow.valid(array))
        if not present.any():
            return Container.of(torch.zeros(2, 0, dtype=torch.int64), len(array)), present
        self.fit(column)
        return Container.of(self._edges(array), len(array)), present

    def _edges(self, array: pa.Array) -> Tensor:
        """Each different pair of a row and its neighbour once, by row and neighbour."""
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        cells = pc.struct_field(array.drop_null().flatten(), _ROW)
        target = pc.fill_null(cells.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        origin = np.repeat(np.arange(len(array)), lengths)
        good = np.ones(len(array), dtype=bool)
        good[origin[(target < 0) | (target >= len(array))]] = False
        arrow.check(self.name, array, good, f"links to rows outside 0 to {len(array) - 1}", "Number the rows of this table")
        return torch.from_numpy(np.unique(np.stack([origin, target]), axis=1))

    def link(self, column: Column, inputs: Columns, present: Columns) -> Container:
        assert isinstance(column, Container)
        names = [name for name in inputs if not isinstance(inputs[name], Container)]
        everyone = Columns({name: inputs[name] for name in names}, inputs.rows)
        return replace(column, everyone=everyone, present=Columns({name: present[name] for name in names}, inputs.rows))

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Links":
        check_sizes(name, sizes, not sizes, "links")
        return cls(name=name)

    def example_column(self, rows: int, generator: torch.Generator) -> Container:
        """A sparse random graph, each edge listed at both ends."""
        ends = torch.randint(0, rows, (2, _DEGREE * rows // 2), generator=generator)
        ends = ends[:, ends[0] != ends[1]]
        return Container.of(torch.unique(torch.cat([ends, ends.flip(0)], dim=1), dim=1), rows)


def _holds_rows(kind: pa.DataType) -> bool:
    if not arrow.is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    fields = kind.value_type
    return any(fields.field(i).name == _ROW and pa.types.is_integer(fields.field(i).type) for i in range(fields.num_fields))
