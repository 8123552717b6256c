"""Handwritten digits of 8 x 8 pixels, from scikit-learn: which digit it is, and whether it has a closed loop.

1,797 images by 13 writers (the test part of UCI's Optical Recognition of Handwritten Digits; writers are not named).
The second task follows from the first: 0, 4, 6, 8 and 9 have a loop.
"""

import numpy as np
import pyarrow as pa

about = {
    "title": "Digits: 8 x 8 images, two tasks about each",
    "origin": "scikit-learn, sklearn.datasets.load_digits (Alpaydin and Kaynak 1998, UCI)",
    "licence": "BSD-3-Clause (scikit-learn); CC-BY-4.0 (the data, by UCI)",
    "rows": 1797,
    "sha256": None,
}
tasks = {"digit": "multiclass", "closed_loop": "binary"}
ignore = ["digit", "closed_loop"]
modalities: dict[str, list[str]] = {}
split = {"how": "random"}

_LOOPED = (0, 4, 6, 8, 9)
_BLACK = 16.0


def load() -> pa.Table:
    """The images: p00..p77 (row, column) are ink from 0 to 1; the digit is 0..9, the loop a boolean."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    ink = (pixels / _BLACK).astype(np.float32)
    columns = {f"p{place // 8}{place % 8}": pa.array(ink[:, place]) for place in range(64)}
    answers = {"digit": pa.array(digits.astype(np.int32)), "closed_loop": pa.array(np.isin(digits, _LOOPED))}
    return pa.table(columns | answers)
