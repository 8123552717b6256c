"""Makes `surfnet.parquet` from the JSON graph `topozoo/Surfnet` in topohub 1.5.1, which has to be installed.

Run `pip install topohub==1.5.1`, then `python scripts/data/make_surfnet.py`.
"""

from importlib.metadata import version

import pyarrow as pa
import topohub
from _write import write

VERSION = "1.5.1"


def table() -> pa.Table:
    """One row a link, with the places that it joins."""
    graph = topohub.get("topozoo/Surfnet")
    places = {node["id"]: node for node in graph["nodes"]}
    rows = []
    for edge in graph["edges"]:
        ends = {"source": places[edge["source"]], "target": places[edge["target"]]}
        row = {side: place["name"] for side, place in ends.items()} | {"km": float(edge["dist"])}
        for side, place in ends.items():
            row |= {f"{side}_longitude": float(place["pos"][0]), f"{side}_latitude": float(place["pos"][1])}
        rows.append(row)
    return pa.Table.from_pylist(rows)


def main() -> None:
    """Check the version, write."""
    if version("topohub") != VERSION:
        raise SystemExit(f"needs topohub {VERSION}, found {version('topohub')}")
    write("surfnet", table())


if __name__ == "__main__":
    main()
