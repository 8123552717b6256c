"""Slices of four brains as small grey images: magnitude images of magnetic resonance, 64 x 64 pixels.

`ch2`: one person, T1-weighted, the whole head; `mni`: the mean of 152 people, T1-weighted, without skull, hence smooth;
`macaque`: the mean of 19 monkeys (INIA19), T1-weighted, without skull; `dipy_s0`: ten slices of another person, T2-weighted.
`axis` is the axis that a slice is perpendicular to, `position` its voxel along it (1 mm apart, in the macaque 0.5 mm).
Neighbours are nearly equal, so slices of one `block` (16 positions) stay in one part.
"""

import pyarrow as pa
import pyarrow.compute as pc

from . import _files

about = {
    "title": "Brain slices: magnitude images of three humans (one a mean) and a macaque",
    "origin": "Debian mricron-data 1.2.20211006 (ch2, inia19-t1-brain); PyPI nilearn 0.14.1 (MNI ICBM152), dipy 1.12.1 (S0)",
    "licence": "BSD-3-Clause (all three packages; they state no other terms for the volumes)",
    "rows": 227,
    "sha256": "1fe5a6251931e5fb139e2a020487aedaf6f314e08ca63f1f06ed40049f17a80f",
}
tasks = {"volume": "multiclass", "axis": "multiclass"}
ignore = ["position", "block", "volume", "axis"]
modalities: dict[str, list[str]] = {}
split = {"how": "group", "column": "block"}


def load() -> pa.Table:
    """`volume`, `axis`, `position`, `block`, `image` (4,096 bytes, rows from top to bottom)."""
    table = _files.read("brain_slices", str(about["sha256"]))
    number = pc.divide(table["position"], 16).cast(pa.string())
    return table.append_column("block", pc.binary_join_element_wise(table["volume"], table["axis"], number, " "))
