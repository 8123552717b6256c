"""Graphs as tables: nodes are rows, neighbours are row numbers."""

from pathlib import Path

import networkx as nx
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polytask.core import DataError
from polytask.data import read
from polytask.inputs.links import Links


def pairs(table: pa.Table) -> set[tuple[str, str]]:
    """The edges, by the names of their ends."""
    names = table["node"].to_pylist()
    return {(names[i], names[edge["row"]]) for i, edges in enumerate(table["edges"].to_pylist()) for edge in edges}


def path_graph() -> nx.Graph:
    graph = nx.Graph()
    graph.add_node("a", text="one word", size=1.5)
    graph.add_node("b", text="two", size=2.0, good=True)
    graph.add_node("c")
    graph.add_edge("b", "a", weight=0.5)
    return graph


@pytest.mark.parametrize("suffix", ["graphml", "graphml.gz"])
def test_attributes_are_columns_and_neighbours_are_rows(tmp_path: Path, suffix: str) -> None:
    nx.write_graphml(path_graph(), tmp_path / f"a.{suffix}")
    table = read.table(tmp_path / f"a.{suffix}")
    assert table.drop_columns("edges").to_pydict() == {
        "node": ["a", "b", "c"],
        "text": ["one word", "two", None],
        "size": [1.5, 2.0, None],
        "good": [None, True, None],
    }
    assert table["edges"].to_pylist() == [[{"row": 1, "weight": 0.5}], [{"row": 0, "weight": 0.5}], []]
    assert Links.recognises("edges", table["edges"])


def test_gml_labels_name_the_nodes(tmp_path: Path) -> None:
    nx.write_gml(nx.DiGraph([("x", "y"), ("z", "x")]), tmp_path / "a.gml")
    table = read.table(tmp_path / "a.gml")
    assert sorted(table["node"].to_pylist()) == ["x", "y", "z"]
    assert pairs(table) == {("x", "y"), ("z", "x")}
    assert "label" not in table.column_names


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    ),
    st.booleans(),
    st.sampled_from(["graphml", "gml"]),
)
def test_what_networkx_writes_and_what_is_written_back(
    tmp_path: Path, drawn: tuple[int, set[tuple[int, int]]], directed: bool, suffix: str
) -> None:
    count, edges = drawn
    graph = (nx.DiGraph if directed else nx.Graph)()
    graph.add_nodes_from((f"n{i}", {"size": i}) for i in range(count))
    graph.add_edges_from((f"n{a}", f"n{b}") for a, b in edges)
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    (nx.write_graphml if suffix == "graphml" else nx.write_gml)(graph, first)
    table = read.table(first)
    expected = {(a, b) for a, b in graph.edges} | (set() if directed else {(b, a) for a, b in graph.edges})
    assert pairs(table) == expected
    assert table["size"].to_pylist() == list(range(count))
    read.write(table, second)
    again = read.table(second)
    assert pairs(again) == expected
    assert again.drop_columns("edges").to_pydict() == table.drop_columns("edges").to_pydict()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<graphml><graph></graphml>", "holds no graph that can be read"),
        (b'<graphml xmlns="http://graphml.graphdrawing.org/xmlns"></graphml>', "holds no graph"),
        (
            b'<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed"></graph></graphml>',
            "without nodes",
        ),
    ],
)
def test_faults_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.graphml").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read.table(tmp_path / "a.graphml")


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    graph = nx.Graph()
    graph.add_edge("a", "b", row=3)
    nx.write_graphml(graph, tmp_path / "a.graphml")
    with pytest.raises(DataError, match="an edge has an attribute 'row'"):
        read.table(tmp_path / "a.graphml")


def test_a_table_without_edges_is_no_graph(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'edges'"):
        read.write(pa.table({"node": ["a"]}), tmp_path / "a.graphml")
