"""Programs in Debian 12 that ask for each other: a graph of packages, each with a line of text, its section and its size.

5,748 binary packages of 16 sections of programs for people (no libraries, languages or documents, and without `admin` and
`utils`, which every machine needs), 10,557 edges. Two packages are neighbours where one names the other in Depends,
Pre-Depends, Recommends or Suggests (alternatives included). It is the largest connected part of that graph.

Columns: package (its name), synopsis (the description's first line), section, installed_kib (disk space, KiB), edges (the row
numbers of the neighbours, each edge at both its ends).
"""

import pyarrow as pa

from . import _files

about = {
    "title": "Debian packages: a graph of programs that ask for each other",
    "origin": "Package index of Debian 12.15 (main, amd64, with its updates), November 2026 (make_debian_packages.py)",
    "licence": "archive metadata; descriptions are under each package's own free licence (Debian main)",
    "rows": 5748,
    "sha256": "29343e6b145011f5ddaa385dca0731b8d01394992431739026ff1d04c7d59e9b",
}
tasks = {
    "section": "multiclass",
    "installed_kib": {"kind": "regression", "scale": "log"},
}
ignore = ["package", "section", "installed_kib"]
modalities = {"text": ["synopsis"], "graph": ["edges"]}
split = {"how": "random"}


def load() -> pa.Table:
    """The packages, by name."""
    return _files.read("debian_packages", str(about["sha256"]))
