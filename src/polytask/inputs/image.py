"""An image a row, named by the path of its file."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from polytask.core import Input, MissingExtra, opt

from . import _files
from ._example import check_sizes

_VERSION = 1
"""Raised when images are decoded differently, so that what the cache holds is not used."""
_MOST_PIXELS = 89_000_000
"""Larger images are refused: decoding them could exhaust the memory."""


@dataclass(frozen=True, kw_only=True)
class Image(Input):
    """An image, turned upright, stretched to a square; the column is uint8 `(rows, channels, size, size)`, zeros where absent.

    Decoded once: the result is kept on the disk. 16-bit greys keep their upper 8 bits, transparent parts their colour.

    Errors: `DataError` names the rows and files that are missing, damaged or huge; `MissingExtra` without Pillow.
    """

    kind: ClassVar[str] = "image"
    rank: ClassVar[int] = 10

    size: int = opt(64, "height and width in pixels", ours="small data, small network", ge=1)
    channels: int = opt(3, "3: colour, 1: grey", ours="most files are in colour", choices=(1, 3))
    root: str = opt("", "the folder that relative paths start from", ours="the folder of the data file")

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Strings of which 90 % end like an image file."""
        return _files.have_extension(column, ("png", "jpe?g", "bmp", "webp", "gif", "tiff?"))

    def fit(self, column: pa.ChunkedArray) -> "Image":
        return self  # nothing to learn; unreadable files show when they are encoded

    def encode(self, column: pa.ChunkedArray) -> tuple[UInt8[Tensor, "rows channels height width"], Bool[Tensor, "rows"]]:
        _pillow()
        settings = ["image", _VERSION, self.size, self.channels]
        blank = np.zeros((self.channels, self.size, self.size), np.uint8)
        read = partial(_read, size=self.size, mode="RGB" if self.channels == 3 else "L")
        return _files.decode(self.name, column, self.root, settings, read, blank)

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Image":
        check_sizes(name, sizes, len(sizes) == 3 and sizes[0] in (1, 3) and sizes[1] == sizes[2], "image 3 32 32")
        return replace(cls(name=name), channels=sizes[0], size=sizes[1])

    def example_column(self, rows: int, generator: torch.Generator) -> UInt8[Tensor, "rows channels height width"]:
        shape = (rows, self.channels, self.size, self.size)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def _pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("kind 'image'", f"needs the package '{error.name}'", "pip install 'polytask[images]'") from error


def _read(path: Path, size: int, mode: Literal["RGB", "L"]) -> UInt8[np.ndarray, "channels size size"]:
    from PIL import Image as pillow  # noqa: N813
    from PIL import ImageOps

    with pillow.open(path) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        image.draft(mode, (size, size))  # a JPEG is decoded at the smallest scale that is large enough
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            upright = pillow.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        pixels = np.asarray(upright.convert(mode).resize((size, size), pillow.Resampling.BILINEAR))
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))
