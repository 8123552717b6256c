"""Topologies: the shipped one, the small ones, and those in files."""

import json
from pathlib import Path

import networkx as nx
import pytest

from polytask.core import DataError
from polytask.data import shipped
from polytask.data.topology import NAMES, topology
from polytask.data.worlds import quantum_demands


def test_surfnet_is_topohub_s() -> None:
    topohub = pytest.importorskip("topohub")
    theirs = topohub.get("topozoo/Surfnet")
    names = {node["id"]: node["name"] for node in theirs["nodes"]}
    edges = {frozenset((names[e["source"]], names[e["target"]])): e["dist"] for e in theirs["edges"]}
    ours = topology("surfnet")
    assert set(ours) == set(names.values())
    assert {frozenset(edge): km for *edge, km in ours.edges(data="km")} == edges


def test_surfnet_is_as_stated() -> None:
    table, about = shipped.load("surfnet"), shipped.get("surfnet").about
    assert table.num_rows == about["rows"] == 68
    assert set(about) == {"title", "origin", "licence", "rows", "sha256"}
    graph = topology("surfnet")
    assert (graph.number_of_nodes(), graph.number_of_edges(), nx.is_connected(graph)) == (50, 68, True)
    assert (min(table["km"].to_pylist()), max(table["km"].to_pylist())) == (2.9, 112.29)


@pytest.mark.parametrize(
    ("name", "nodes", "edges", "ends"),
    [("star", 4, 3, 3), ("h", 6, 5, 4), ("symmetric", 8, 10, 4), ("line", 6, 5, 6), ("surfnet", 50, 68, 50)],
)
def test_named_topologies(name: str, nodes: int, edges: int, ends: int) -> None:
    graph = topology(name)
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (nodes, edges)
    assert sum(end for _, end in graph.nodes(data="end")) == ends
    assert nx.is_connected(graph)
    assert name == "surfnet" or {km for *_, km in graph.edges(data="km")} == {5.0}


def test_every_name_is_tested() -> None:
    assert set(NAMES) == {"star", "h", "symmetric", "line", "surfnet"}


def written(folder: Path, suffix: str, graph: nx.Graph) -> str:
    path = folder / f"net{suffix}"
    if suffix == ".graphml":
        nx.write_graphml(graph, path)
    elif suffix == ".gml":
        nx.write_gml(graph, path)
    else:
        path.write_text(json.dumps(nx.node_link_data(graph, edges=suffix.removesuffix(".json").strip(".") or "links")))
    return str(path)


@pytest.mark.parametrize("suffix", [".graphml", ".gml", ".json", ".edges.json"])
def test_files_give_the_same_graph(suffix: str, tmp_path: Path) -> None:
    graph = nx.Graph()
    graph.add_node("Ulm", communication=2, storage=4)
    graph.add_node("Bonn", end=0)
    graph.add_edge("Ulm", "Bonn", dist=12.5)
    graph.add_edge("Bonn", "Bern", dist=3)
    found = topology(written(tmp_path, suffix, graph))
    assert set(found) == {"Ulm", "Bonn", "Bern"}
    assert {frozenset(e): km for *e, km in found.edges(data="km")} == {
        frozenset(("Ulm", "Bonn")): 12.5,
        frozenset(("Bonn", "Bern")): 3.0,
    }
    assert found.nodes["Ulm"] == {"end": True, "communication": 2, "storage": 4}
    assert found.nodes["Bonn"] == {"end": False}


def test_directed_and_parallel_edges_become_the_shortest_one(tmp_path: Path) -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("a", "b", km=9)
    graph.add_edge("a", "b", km=7)
    graph.add_edge("b", "a", km=8)
    found = topology(written(tmp_path, ".graphml", graph))
    assert list(found.edges(data="km")) == [("a", "b", 7.0)]


def test_names_of_nodes_are_used_where_they_tell_nodes_apart(tmp_path: Path) -> None:
    graph = nx.Graph()
    graph.add_node("0", name="Ulm")
    graph.add_node("1", name="Bonn")
    graph.add_edge("0", "1", km=5)
    assert set(topology(written(tmp_path, ".json", graph))) == {"Ulm", "Bonn"}
    graph.nodes["1"]["name"] = "Ulm"
    assert set(topology(written(tmp_path, ".json", graph))) == {"0", "1"}


def test_every_fault_of_a_file_is_named(tmp_path: Path) -> None:
    graph = nx.Graph()
    graph.add_node("a", storage=-1)
    graph.add_edge("a", "b")
    graph.add_edge("b", "c", km="far")
    graph.add_edge("c", "c", km=1)
    with pytest.raises(DataError) as error:
        topology(written(tmp_path, ".json", graph))
    text = str(error.value)
    for part in ("node 'a': storage is -1", "'a' - 'b': has no length", "'b' - 'c': has no length", "joins a node to itself"):
        assert part in text


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("net.json", "{", "cannot be read"),
        ("net.json", "[]", "cannot be read"),
        ("net.gml", "graph [ node [ ] ]", "cannot be read"),
        ("net.graphml", "<graph", "cannot be read"),
        ("net.csv", "a,b", "Known suffixes"),
        ("net.json", '{"nodes": [{"id": 1}], "links": []}', "has no edges"),
    ],
)
def test_unreadable_files_are_named(file: str, content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        topology(str(path))


def test_unknown_names_propose_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'surfnet'"):
        topology("surfnt")
    with pytest.raises(DataError, match="no such file"):
        topology("missing.gml")


def test_demands_add_up_to_the_load_and_can_be_met() -> None:
    graph = topology("star")

    def fastest(src: str, dst: str) -> float:
        return 0.0 if "2" in (src, dst) else 11.1

    drawn = quantum_demands.draw(graph, 3, 20.0, 0.6, fastest)
    assert drawn == quantum_demands.draw(graph, 3, 20.0, 0.6, fastest)
    assert drawn != quantum_demands.draw(graph, 4, 20.0, 0.6, fastest)
    assert {demand.src for demand in drawn} | {demand.dst for demand in drawn} == {"0", "1"}
    assert all(demand.rate in quantum_demands.RATES and demand.rate < 11.1 for demand in drawn)
    assert 20.0 <= sum(demand.rate for demand in drawn) < 20.0 + min(quantum_demands.RATES)
    with pytest.raises(ValueError, match="no demands"):
        quantum_demands.draw(graph, 0, 1.0, 0.6, lambda src, dst: 0.0)


def test_the_demand_table_is_as_stated() -> None:
    table = quantum_demands.load()
    assert table.num_rows == quantum_demands.about["rows"]
    assert table.column_names == ["src", "dst", "fidelity", "rate"]
    assert set(table["src"].to_pylist()) <= set(topology("line"))
