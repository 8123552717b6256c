"""Graphs whose nodes become rows: GraphML and GML. Extra `graphs`.

Attributes of nodes are columns. The name of a node (in GML its label, where each has one of its own) is the column `node`. Its
neighbours are the column `edges`: lists of structs with the neighbour's row number `row` and the attributes of the edge. An
edge without direction stands in the rows of both its ends, a directed one in the row it starts from.
"""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from polytask.core import DataError, MissingExtra
from polytask.data import _records

from . import _stream

_GML = _stream.with_compressions(".gml")
suffixes = _stream.with_compressions(".graphml") + _GML
_FIX = "Save it again as GraphML or GML"


def sniff(path: Path, head: bytes) -> bool:
    """XML that speaks of GraphML, or GML's first key."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if path.name.lower().endswith(_GML):
        return b"graph" in text and b"[" in text
    return text[:1] == b"<" and b"graphml" in text[:4096].lower()


def read(path: Path) -> pa.Table:
    """Read a graph. Raises `DataError` where the file holds none, or a node or edge has an attribute of a name taken here."""
    networkx = _networkx(path)
    content = _stream.read(path)
    try:
        if path.name.lower().endswith(_GML):
            graph = networkx.read_gml(io.BytesIO(content), label=None)
        else:
            graph = networkx.read_graphml(io.BytesIO(content))
    except (
        networkx.NetworkXException,
        SyntaxError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError.of(str(path), f"holds no graph that can be read: {said}", _FIX) from None
    if not len(graph):
        raise DataError.of(str(path), "holds a graph without nodes", "Give a graph with nodes")
    _refuse_taken(path, "a node", (attributes for _, attributes in graph.nodes(data=True)), ("node", "edges"))
    _refuse_taken(path, "an edge", (attributes for _, _, attributes in graph.edges(data=True)), ("row",))
    labels = [attributes.get("label") for _, attributes in graph.nodes(data=True)]
    plain = all(isinstance(label, (str, int, float)) for label in labels)
    if path.name.lower().endswith(_GML) and plain and len(set(labels)) == len(labels):
        graph = networkx.relabel_nodes(graph, dict(zip(graph, labels, strict=True)))
        for _, attributes in graph.nodes(data=True):
            del attributes["label"]
    table = _records.from_rows([{"node": str(name), **attributes} for name, attributes in graph.nodes(data=True)], str(path))
    return table.append_column("edges", _edges(graph, str(path)))


def write(table: pa.Table, path: Path) -> None:
    """Write the nodes and edges of a table with the columns `node` and `edges`, as GraphML or GML by the suffix.

    An edge that stands in the rows of both its ends becomes one without direction; where some edge does not, all are directed.
    Missing cells are left out. Raises `DataError` without these columns, and for cells that are lists.
    """
    networkx = _networkx(path)
    for name in ("node", "edges"):
        if name not in table.column_names:
            raise DataError.of(str(path), f"the table has no column '{name}'", "Write Parquet or JSON lines")
    rows = table.drop_columns(["edges"]).to_pylist()
    graph = networkx.DiGraph()
    for number, row in enumerate(rows):
        cells = {key: value for key, value in row.items() if value is not None and key != "node"}
        nested = [key for key, value in cells.items() if isinstance(value, (list, dict))]
        if nested:
            raise DataError.of(f"column '{nested[0]}'", "lists do not fit GraphML or GML", "Write Parquet or JSON lines")
        graph.add_node(number, **{key: _plain(value) for key, value in cells.items()})
    for number, edges in enumerate(table["edges"].to_pylist()):
        for edge in edges or ():
            rest = {key: _plain(value) for key, value in edge.items() if key != "row" and value is not None}
            graph.add_edge(number, edge["row"], **rest)
    if all(graph.has_edge(b, a) for a, b in graph.edges):
        graph = graph.to_undirected()
    graph = networkx.relabel_nodes(graph, {number: str(row["node"]) for number, row in enumerate(rows)})
    content = io.BytesIO()
    (networkx.write_gml if path.name.lower().endswith(_GML) else networkx.write_graphml)(graph, content)
    with _stream.sink(path) as sink:
        sink.write(content.getvalue())


def _edges(graph: Any, where: str) -> pa.Array:
    """The neighbours of every node, in the order of the file."""
    row = {name: number for number, name in enumerate(graph)}
    found: list[list[dict[str, Any]]] = [[] for _ in row]
    for a, b, attributes in graph.edges(data=True):
        found[row[a]].append({"row": row[b], **attributes})
        if not graph.is_directed() and a != b:
            found[row[b]].append({"row": row[a], **attributes})
    flat = [edge for edges in found for edge in edges]
    ends = [0]
    for edges in found:
        ends.append(ends[-1] + len(edges))
    if not flat:
        return pa.array([[] for _ in found], pa.list_(pa.struct([("row", pa.int64())])))
    table = _records.from_rows(flat, where).combine_chunks()
    cells = pa.StructArray.from_arrays([column.combine_chunks() for column in table.columns], table.column_names)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), cells)


def _refuse_taken(path: Path, what: str, attributes: Iterable[dict[str, Any]], taken: tuple[str, ...]) -> None:
    used = {name for each in attributes for name in taken if name in each}
    if used:
        raise DataError.of(str(path), f"{what} has an attribute '{min(used)}', which has a meaning here", "Rename it")


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else str(value)


def _networkx(path: Path) -> Any:
    try:
        import networkx
    except ImportError as error:
        raise MissingExtra.of(str(path), "needs the package 'networkx'", "pip install 'polytask[graphs]'") from error
    return networkx
