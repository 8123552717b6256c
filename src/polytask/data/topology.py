"""Networks as graphs: four small topologies, SURFnet, or the user's own GraphML, GML or node-link JSON file.

A graph's nodes are strings; `end` says whether a node may ask for pairs (by default all may), `communication` and `storage`
are its numbers of qubits where it states them. Edges have a length `km`.
"""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, TypeAlias

import networkx as nx

from polytask.core import DataError, nearest
from polytask.core.errors import collect

Graph: TypeAlias = Any  # nx.Graph, which has no types
_KM = 5.0
_LENGTHS = ("km", "dist", "distance", "length", "weight")
_MOST_BYTES = 50_000_000


def star() -> Graph:
    """Three end nodes around one repeater, 5 km each."""
    return _small([("3", "0"), ("3", "1"), ("3", "2")], repeaters={"3"})


def h() -> Graph:
    """Two repeaters joined to each other, with two end nodes each."""
    return _small([("0", "1"), ("1", "2"), ("1", "4"), ("3", "4"), ("4", "5")], repeaters={"1", "4"})


def symmetric() -> Graph:
    """Four repeaters, each joined to all others and to one end node."""
    inner = ["4", "5", "6", "7"]
    return _small([*combinations(inner, 2), *zip(inner, "0123", strict=True)], repeaters=set(inner))


def line() -> Graph:
    """Six end nodes in a row."""
    return _small(list(pairwise("012345")), repeaters=set())


def surfnet() -> Graph:
    """SURFnet: 50 places in the Netherlands, 68 links of 2.9 to 112.3 km; every place may ask for pairs.

    The authors attach one more node to each core city instead.
    """
    # by name: systems know topologies, and no data set
    table = import_module("polytask.data.real.surfnet").load()
    graph = nx.Graph()
    for row in table.to_pylist():
        graph.add_edge(row["source"], row["target"], km=row["km"])
    nx.set_node_attributes(graph, True, "end")
    return graph


NAMES: Mapping[str, Callable[[], Graph]] = {"star": star, "h": h, "symmetric": symmetric, "line": line, "surfnet": surfnet}


def topology(name: str) -> Graph:
    """The topology of this name, or the graph in this file. Raises `DataError` naming what is wrong with it."""
    if name in NAMES:
        return NAMES[name]()
    path = Path(name)
    if path.suffix.lower() not in _READERS:
        fix = nearest(name, NAMES) if not path.suffix else f"Known suffixes: {', '.join(sorted(_READERS))}."
        raise DataError.of(f"topology '{name}'", "is neither a known name nor a graph file", fix)
    if not path.is_file():
        raise DataError.of(f"topology '{name}'", "no such file", f"Known names: {', '.join(NAMES)}")
    if path.stat().st_size > _MOST_BYTES:
        raise DataError.of(f"topology '{name}'", f"is larger than {_MOST_BYTES // 1_000_000} MB", "Is it a graph?")
    try:
        graph = _READERS[path.suffix.lower()](path)
    except (nx.NetworkXError, ValueError, LookupError, TypeError, AttributeError, SyntaxError) as error:  # what readers raise
        raise DataError.of(f"topology '{name}'", f"cannot be read: {' '.join(str(error).split())[:200]}") from None
    return _checked(graph, name)


def _json(path: Path) -> Graph:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it holds no object with nodes and edges")
    return nx.node_link_graph(content, edges="edges" if "edges" in content else "links")


_READERS: Mapping[str, Callable[[Path], Graph]] = {
    ".graphml": nx.read_graphml,
    ".gml": lambda path: nx.read_gml(path, label="id"),
    ".json": _json,
}


def _small(edges: list[tuple[str, str]], repeaters: set[str]) -> Graph:
    graph = nx.Graph()
    graph.add_edges_from(edges, km=_KM)
    nx.set_node_attributes(graph, {node: node not in repeaters for node in graph}, "end")
    return graph


def _checked(found: Graph, name: str) -> Graph:
    """Names for nodes, one undirected edge a pair (the shortest), lengths and numbers of qubits that can be used."""
    names = {node: str(data.get("name") or data.get("label") or node) for node, data in found.nodes(data=True)}
    if len(set(names.values())) < len(names):
        names = {node: str(node) for node in names}
    graph = nx.Graph()
    with collect(DataError) as faults:
        for node, data in found.nodes(data=True):
            graph.add_node(names[node], end=bool(data.get("end", True)))
            for kind in ("communication", "storage"):
                if kind in data:
                    graph.nodes[names[node]][kind] = _number(data[kind], whole=True)
                    if graph.nodes[names[node]][kind] is None:
                        faults.add(
                            f"{name}: node '{names[node]}'", f"{kind} is {data[kind]!r}", "Give a whole number from 0 to 32"
                        )
        for one, other, data in found.edges(data=True):
            km = next((_number(data[key]) for key in _LENGTHS if key in data), None)
            where = f"{name}: edge '{names[one]}' - '{names[other]}'"
            if one == other:
                faults.add(where, "joins a node to itself", "Remove it")
            elif km is None:
                faults.add(where, "has no length in kilometres", f"Give it one of: {', '.join(_LENGTHS)}")
            elif km < graph.get_edge_data(names[one], names[other], {"km": float("inf")})["km"]:
                graph.add_edge(names[one], names[other], km=km)
        if not found.number_of_edges():
            faults.add(f"topology '{name}'", "has no edges")
    return graph


def _number(value: Any, whole: bool = False) -> Any:
    """The number that a cell of a graph file holds, None where it is none that can be used."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if whole:
        return int(number) if number.is_integer() and 0 <= number <= 32 else None
    return number if 0 < number < 1e5 else None
