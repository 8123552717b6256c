"""Rows that refer to rows: what is encoded, what a batch of some rows keeps, and which faults are told."""

from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polytask.core import Columns, DataError, OptionError, Schema
from polytask.core.links import Links as Container
from polytask.inputs.links import Links

EDGES = pa.list_(pa.struct([("row", pa.int64()), ("kind", pa.string())]))
LINKS = Links(name="edges")


def column(cells: list[Any]) -> pa.ChunkedArray:
    full = [None if cell is None else [{"row": row, "kind": "x"} for row in cell] for cell in cells]
    return pa.chunked_array([pa.array(full, EDGES)])


def pairs(links: Container) -> list[tuple[int, int]]:
    return [(a, b) for a, b in links.edge_index.T.tolist()]


def test_each_neighbour_is_an_edge_once() -> None:
    links, present = LINKS.encode(column([[1, 2, 1], None, [], [3]]))
    assert pairs(links) == [(0, 1), (0, 2), (3, 3)]
    assert present.tolist() == [True, False, True, True]
    assert links.rows.tolist() == [0, 1, 2, 3]


@given(st.integers(1, 9).flatmap(lambda n: st.lists(st.none() | st.lists(st.integers(0, n - 1)), min_size=n, max_size=n)))
def test_edges_are_those_of_the_lists(cells: list[list[int] | None]) -> None:
    halves = [column(cells[: len(cells) // 2]), column(cells[len(cells) // 2 :])]
    links, _ = LINKS.encode(pa.chunked_array([chunk for half in halves for chunk in half.chunks]))
    assert pairs(links) == sorted({(i, row) for i, cell in enumerate(cells) for row in cell or ()})


def test_a_sliced_column_counts_from_its_own_start() -> None:
    links, _ = LINKS.encode(column([[9], [0], [1]]).slice(1))
    assert pairs(links) == [(0, 0), (1, 1)]


def test_choosing_rows_keeps_the_graph() -> None:
    schema = Schema({"size": Schema.parse({"inputs": {"size": "number"}, "tasks": {}}).inputs["size"], "edges": LINKS}, {})
    batch = schema.encode(pa.table({"size": [0.1, None, 0.3], "edges": column([[1], [0, 2], [1]])}))
    some = batch.index(torch.tensor([2, 0])).to("cpu").inputs["edges"]
    assert isinstance(some, Container)
    assert (len(some), some.nodes, some.rows.tolist()) == (2, 3, [2, 0])
    assert list(some.everyone) == ["size"]
    assert some.present.tensor("size").tolist() == [True, False, True]
    assert torch.equal(some.everyone.tensor("size"), batch.inputs.tensor("size"))
    assert pairs(some) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert some.degree().tolist() == [1, 1]
    assert batch.inputs["edges"].degree().tolist() == [1, 2, 1]  # type: ignore[union-attr]
    assert some.index(torch.tensor([1])).rows.tolist() == [0]


def test_answers_are_not_linked() -> None:
    schema = Schema.parse({"inputs": {"x": "number", "edges": "links"}, "tasks": {"y": "binary"}})
    links = schema.example(5).inputs["edges"]
    assert isinstance(links, Container)
    assert list(links.everyone) == ["x"]


def test_the_example_is_a_graph_in_both_directions() -> None:
    links = LINKS.example_column(40, torch.Generator().manual_seed(0))
    found = set(pairs(links))
    assert len(found) == links.edge_index.shape[1] > 20
    assert all((b, a) in found and a != b for a, b in found)


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_outside_the_table_is_named(row: int) -> None:
    with pytest.raises(DataError, match=r"column 'edges': 1 of 3 cells are links to rows outside 0 to 2 \(row 1: "):
        LINKS.encode(column([[0], [row], []]))


def test_other_columns_are_refused_and_not_recognised() -> None:
    lists = pa.chunked_array([pa.array([[1, 2], [3]])])
    assert not Links.recognises("x", lists)
    assert not Links.recognises("x", pa.chunked_array([pa.array([[{"to": 1}]])]))
    assert Links.recognises("x", column([[0]]))
    with pytest.raises(DataError, match="are no links to rows"):
        LINKS.fit(lists)
    with pytest.raises(OptionError, match="Write for example 'links'"):
        Links.example("x", (3,))


def test_missing_everywhere() -> None:
    links, present = LINKS.encode(pa.chunked_array([pa.nulls(4)]))
    assert (len(links), links.edge_index.shape, bool(present.any())) == (4, (2, 0), False)
    linked = LINKS.link(links, Columns({"edges": links}, 4), Columns({"edges": present}, 4))
    assert (len(linked.everyone), linked.nodes) == (0, 4)
