"""Rows that are the nodes of one graph."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Int
from torch import Tensor

from .batch import Columns, Record


@dataclass(frozen=True)
class Links(Record):
    """Some rows of a table whose rows are nodes, with the whole graph: what a row is predicted from reaches beyond the batch.

    As a `Record` it has one part, `row`: the asked rows' numbers in the table. `index` changes these alone.

    edge_index: an edge a column, from the first row number to the second, as the table lists them: each row's neighbours, in
        its own order. Whether they have a direction, and loops, are for a system to say.
    everyone, present: the other inputs of all rows of the table, and which of them each row has.
    """

    edge_index: Int[Tensor, "2 edges"]
    everyone: Columns = field(repr=False)
    present: Columns = field(repr=False)

    @classmethod
    def of(cls, edge_index: Int[Tensor, "2 edges"], rows: int) -> "Links":
        """All rows of a table, of whose other inputs nothing is known yet."""
        numbers = torch.arange(rows, device=edge_index.device)
        return cls({"row": numbers}, edge_index, Columns({}, rows), Columns({}, rows))

    @property
    def rows(self) -> Int[Tensor, "rows"]:
        """The asked rows."""
        return self.parts["row"]

    @property
    def nodes(self) -> int:
        """How many rows the table has."""
        return self.everyone.rows

    def degree(self) -> Int[Tensor, "rows"]:
        """How many neighbours each asked row lists."""
        return torch.bincount(self.edge_index[0], minlength=self.nodes)[self.rows]

    def index(self, rows: Int[Tensor, "chosen"]) -> "Links":
        return replace(self, parts={"row": self.rows[rows]})

    def to(self, device: torch.device | str) -> "Links":
        parts = {"row": self.rows.to(device)}
        return Links(parts, self.edge_index.to(device), self.everyone.to(device), self.present.to(device))
