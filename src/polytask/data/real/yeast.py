"""Yeast genes by what they do: 2,417 genes, 103 measurements of each, 14 functional classes that a gene may share.

x1..x79 are gene expression over experiments, x80..x103 the gene's phylogenetic profile (Elisseeff and Weston, "A kernel
method for multi-labelled classification", NIPS 2001). The class numbers are the original ones; their names are not in
the source.
"""

import pyarrow as pa

from . import _files

about = {
    "title": "Yeast: functional classes of genes",
    "origin": "Debian r-cran-mlr 2.19.1+dfsg-1, yeast.task (Elisseeff and Weston 2001, as in the MULAN collection)",
    "licence": "BSD-2-Clause (the package; it states no other terms for the data)",
    "rows": 2417,
    "sha256": "28acc7f715303ad2d26939e8b5235f143501dffac84d5f8960526ae719bfb52a",
}
tasks = {
    "label1": "binary",
    "label2": "binary",
    "label3": "binary",
    "label4": "binary",
    "label5": "binary",
    "label6": "binary",
    "label7": "binary",
    "label8": "binary",
    "label9": "binary",
    "label10": "binary",
    "label11": "binary",
    "label12": "binary",
    "label13": "binary",
    "label14": "binary",
}
ignore = [
    "label1", "label2", "label3", "label4", "label5", "label6", "label7", "label8", "label9", "label10", "label11",
    "label12", "label13", "label14",
]  # fmt: skip
modalities = {
    "expression": [
        "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
        "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "x31", "x32", "x33",
        "x34", "x35", "x36", "x37", "x38", "x39", "x40", "x41", "x42", "x43", "x44", "x45", "x46", "x47", "x48", "x49",
        "x50", "x51", "x52", "x53", "x54", "x55", "x56", "x57", "x58", "x59", "x60", "x61", "x62", "x63", "x64", "x65",
        "x66", "x67", "x68", "x69", "x70", "x71", "x72", "x73", "x74", "x75", "x76", "x77", "x78", "x79",
    ],
    "phylogeny": [
        "x80", "x81", "x82", "x83", "x84", "x85", "x86", "x87", "x88", "x89", "x90", "x91", "x92", "x93", "x94", "x95",
        "x96", "x97", "x98", "x99", "x100", "x101", "x102", "x103",
    ],
}  # fmt: skip
split = {"how": "random"}


def load() -> pa.Table:
    """The genes: 103 numbers, 14 booleans."""
    return _files.read("yeast", str(about["sha256"]))
