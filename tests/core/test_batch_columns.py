"""Every container indexes as a plain Python list of its rows does."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polytask.core import Batch, Columns, Graph, Ragged, Record, Schema

Case = tuple[list[int], list[int]]


@st.composite
def lengths_and_rows(draw: st.DrawFn) -> Case:
    """The lengths of some rows, and row numbers among them: any order, repeats, none."""
    lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    return lengths, draw(st.lists(st.integers(0, len(lengths) - 1), max_size=8))


def offsets(lengths: list[int]) -> torch.Tensor:
    return torch.tensor([0, *lengths]).cumsum(0)


def ragged(lengths: list[int]) -> Ragged:
    return Ragged(torch.arange(2 * sum(lengths)).view(-1, 2), offsets(lengths))


def graph(nodes: list[int], edges: list[int], attributes: bool = True) -> Graph:
    """Random edges within each row; a row without nodes has none."""
    edges = [count if nodes[row] else 0 for row, count in enumerate(edges)]
    first, of_edge = offsets(nodes), torch.repeat_interleave(torch.arange(len(nodes)), torch.tensor(edges))
    within = (torch.rand(2, sum(edges)) * torch.tensor(nodes)[of_edge]).long()
    values = torch.arange(sum(edges)) if attributes else None
    return Graph(torch.arange(sum(nodes)), within + first[of_edge], values, first, offsets(edges))


def rows_of(column: Any) -> list[Any]:
    """What each row holds, as plain lists, node numbers counted from the row's first node."""
    if isinstance(column, Ragged):
        return [column.values[a:b].tolist() for a, b in zip(column.offsets, column.offsets[1:], strict=False)]
    if isinstance(column, Record):
        return [{name: part[i].tolist() for name, part in column.parts.items()} for i in range(len(column))]
    if isinstance(column, Graph):
        nodes = list(zip(column.offsets, column.offsets[1:], strict=False))
        edges = list(zip(column.edge_offsets, column.edge_offsets[1:], strict=False))
        return [
            (
                column.x[a:b].tolist(),
                (column.edge_index[:, c:d] - a).tolist(),
                None if column.edge_attr is None else column.edge_attr[c:d].tolist(),
            )
            for (a, b), (c, d) in zip(nodes, edges, strict=True)
        ]
    return column.tolist()


def same(column: Any, rows: list[int]) -> None:
    chosen = column.index(torch.tensor(rows, dtype=torch.long))
    assert len(chosen) == len(rows)
    before = rows_of(column)
    assert rows_of(chosen) == [before[row] for row in rows]


@given(lengths_and_rows())
def test_ragged_index(case: Case) -> None:
    lengths, rows = case
    same(ragged(lengths), rows)
    assert ragged(lengths).lengths.tolist() == lengths


@given(lengths_and_rows(), st.integers(0, 99), st.booleans())
def test_graph_index(case: Case, seed: int, attributes: bool) -> None:
    nodes, rows = case
    torch.manual_seed(seed)
    same(graph(nodes, torch.randint(0, 4, (len(nodes),)).tolist(), attributes), rows)


@given(lengths_and_rows())
def test_record_index(case: Case) -> None:
    lengths, rows = case
    same(Record({"a": torch.tensor(lengths), "b": torch.arange(3 * len(lengths)).view(-1, 3)}), rows)


@given(lengths_and_rows())
def test_columns_index(case: Case) -> None:
    lengths, rows = case
    count = len(lengths)
    columns = {
        "number": torch.arange(count).float(),
        "list": ragged(lengths),
        "code": torch.tensor(lengths),
        "other": -torch.arange(count).float(),
        "image": torch.arange(4 * count).view(count, 2, 2),
        "graph": graph(lengths, lengths),
    }
    chosen = Columns(columns, count).index(torch.tensor(rows, dtype=torch.long))
    assert list(chosen) == list(columns)
    assert chosen.rows == len(rows)
    for name, column in columns.items():
        before = rows_of(column)
        assert rows_of(chosen[name]) == [before[row] for row in rows]


def test_indexing_twice_is_indexing_once() -> None:
    column, first, second = graph([2, 0, 3], [3, 0, 2]), torch.tensor([2, 0, 2]), torch.tensor([1, 2])
    assert rows_of(column.index(first).index(second)) == rows_of(column.index(first[second]))


def test_moving_keeps_everything() -> None:
    for column in (ragged([1, 0, 2]), graph([1, 2, 2], [1, 0, 2]), graph([1, 1], [0, 0], False), Record({"a": torch.ones(3)})):
        assert rows_of(column.to("cpu")) == rows_of(column)
        assert all(part.device.type == "meta" for part in vars(column.to("meta")).values() if isinstance(part, torch.Tensor))
    columns = Columns({"a": torch.arange(3.0), "b": ragged([1, 0, 2])}, 3)
    moved = columns.to("meta")
    assert moved.tensor("a").device.type == "meta"
    assert moved["b"].values.device.type == "meta"
    assert columns.tensor("a").device.type == "cpu"


def test_stack_is_a_view_of_neighbours() -> None:
    columns = Columns({"a": torch.tensor([1.0, 2]), "code": torch.tensor([7, 8]), "b": torch.tensor([3.0, 4])}, 2)
    both = columns.stack(("a", "b"))
    assert both.tolist() == [[1, 3], [2, 4]]
    assert both.data_ptr() == columns.tensor("a").data_ptr()
    assert columns.stack(("b",)).data_ptr() == columns.tensor("b").data_ptr()
    swapped = columns.stack(("b", "a"))
    assert swapped.tolist() == [[3, 1], [4, 2]]
    assert swapped.data_ptr() != columns.tensor("a").data_ptr()


def test_columns_refuse_other_lengths_and_other_types() -> None:
    with pytest.raises(ValueError, match="column 'b' has 2 rows, not 3"):
        Columns({"a": torch.ones(3), "b": torch.ones(2)}, 3)
    with pytest.raises(TypeError, match="column 'a' is a Ragged, not a tensor"):
        Columns({"a": ragged([1])}, 1).tensor("a")


def test_a_batch_knows_which_tasks_have_labels() -> None:
    labelled = Columns({"a": torch.tensor([True, False, False]), "b": torch.tensor([False, True, True])}, 3)
    schema = Schema.parse({"inputs": {"x": "number"}, "tasks": {"a": "binary", "b": "regression"}})
    example = schema.example(3)
    batch = Batch(example.inputs, example.present, example.targets, labelled, ("a", "b"))
    assert batch.index(torch.tensor([0])).tasks == ("a",)
    assert batch.index(torch.tensor([2, 1])).tasks == ("b",)
    assert batch.index(torch.tensor([1, 0])).tasks == ("a", "b")
    assert batch.index(torch.tensor([], dtype=torch.long)).tasks == ()
    assert len(batch.index(torch.tensor([1, 1]))) == 2
    assert batch.index(torch.tensor([2])).inputs.tensor("x")[0] == example.inputs.tensor("x")[2]
    assert batch.to("cpu").tasks == batch.tasks
