"""Makes `debian_packages.parquet` from the package index of Debian 12 (bookworm, main, amd64).

Needs Debian (apt-get). Reads the index in a temporary apt state that leaves the machine's own alone. Debian changes it at point
releases, so another day may give another file; the one that ships is of 12.15 with its updates.

Run `python scripts/data/make_debian_packages.py`.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import networkx as nx
import pyarrow as pa
from _write import write

SECTIONS = (
    "database", "editors", "electronics", "games", "gnome", "graphics", "hamradio", "kde", "mail", "math", "net", "science",
    "sound", "text", "video", "web",
)  # fmt: skip
"""Sections of programs for people, without those of libraries, languages, documents, and of what every machine needs."""
FIELDS = ("Depends", "Pre-Depends", "Recommends", "Suggests")

Package = Mapping[str, str]


def index() -> str:
    """The control fields of every package, a paragraph each."""
    with tempfile.TemporaryDirectory() as folder:
        state, parts, cache = (Path(folder) / name for name in ("lists", "parts", "cache"))
        for path in (state / "partial", parts, cache):
            path.mkdir(parents=True)
        own = Path("/etc/apt/sources.list.d/debian.sources").read_text()
        parts.joinpath("debian.sources").write_text(own)
        options = {
            "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": parts, "Dir::State::lists": state,
            "Dir::State::status": "/dev/null", "Dir::Cache": cache,
        }  # fmt: skip
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        subprocess.run(["apt-get", "-qq", *words, "update"], check=True)
        return subprocess.run(["apt-cache", *words, "dumpavail"], check=True, capture_output=True, text=True).stdout


def packages(text: str) -> Iterator[Package]:
    """The fields of each package; lines that go on are joined."""
    for paragraph in text.split("\n\n"):
        lines = re.sub(r"\n[ \t]+", " ", paragraph.strip()).splitlines()
        if lines:
            yield {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def relations(package: Package) -> set[str]:
    """The packages that this one asks for in any of `FIELDS`, alternatives included."""
    parts = re.split(r"[,|]", ",".join(package.get(field, "") for field in FIELDS))
    return {re.split(r"[\s(:\[]", part.strip())[0] for part in parts}


def main() -> None:
    """The largest connected part of the graph of the packages of `SECTIONS`, in alphabetical order."""
    chosen = {p["Package"]: p for p in packages(index()) if p.get("Section", "").split("/")[-1] in SECTIONS}
    graph = nx.Graph((name, other) for name, p in chosen.items() for other in relations(p) & chosen.keys() if other != name)
    names = sorted(max(nx.connected_components(graph), key=len))
    row = {name: number for number, name in enumerate(names)}
    table = pa.table(
        {
            "package": names,
            "synopsis": [chosen[name]["Description"] for name in names],
            "section": [chosen[name]["Section"].split("/")[-1] for name in names],
            "installed_kib": pa.array([int(chosen[name]["Installed-Size"]) for name in names], pa.int32()),
            "edges": pa.array(
                [[{"row": other} for other in sorted(row[o] for o in graph[name])] for name in names],
                pa.list_(pa.struct([("row", pa.int64())])),
            ),
        }
    )
    print(f"{len(names)} nodes, {graph.subgraph(names).number_of_edges()} edges")
    write("debian_packages", table)


if __name__ == "__main__":
    main()
