"""An image a row that lies in the table itself, as whole numbers from 0 to 255."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from polytask.core import DataError, Input, arrow, opt

from ._example import check_sizes


@dataclass(frozen=True, kw_only=True)
class Pixels(Input):
    """An image as a list of `channels * height * width` numbers from 0 to 255, in this order.

    The column is uint8 `(rows, channels, height, width)`, zeros where it is absent. Sizes that are 0 are found from the lists,
    for square images; an Arrow tensor column has its own.

    Errors: `DataError` where lists have another length or hold other numbers, or where their length does not tell the sizes.
    """

    kind: ClassVar[str] = "pixels"
    rank: ClassVar[int] = 15

    channels: int = opt(1, "numbers a pixel: 1 is grey, 3 is colour, more are stacked frames", ours="grey", ge=1)
    height: int = opt(0, "pixels (0: the root of the length over the channels)", ours="square images are usual", ge=0)
    width: int = opt(0, "pixels (0: as the height)", ours="square images are usual", ge=0)

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Arrow tensors of bytes with three dimensions, or lists of bytes, of one length that is a square number."""
        if isinstance(column.type, pa.FixedShapeTensorType):
            return column.type.value_type == pa.uint8() and len(column.type.shape) == 3
        array = arrow.plain(column)
        if not _holds_bytes(array.type) or array.null_count == len(array):
            return False
        lengths = pc.unique(pc.list_value_length(array)).drop_null().to_pylist()
        return len(lengths) == 1 and bool(lengths[0]) and round(lengths[0] ** 0.5) ** 2 == lengths[0]

    def fit(self, column: pa.ChunkedArray) -> "Pixels":
        lengths = pc.list_value_length(self._lists(arrow.plain(column)).drop_null())
        if not len(lengths):
            raise DataError.of(f"column '{self.name}'", "no row holds an image", "Leave the column out")
        length = int(pc.mode(lengths)[0]["mode"].as_py())
        shape = tuple(getattr(column.type, "shape", ()))
        if len(shape) == 3:
            return replace(self, channels=shape[0], height=shape[1], width=shape[2])
        height = self.height or round((length / self.channels) ** 0.5)
        width = self.width or height
        if self.channels * height * width != length:
            problem = f"lists of {length} numbers are no images of {self.channels} x {height} x {width}"
            raise DataError.of(f"column '{self.name}'", problem, f"Write inputs.{self.name}.channels, .height and .width")
        return replace(self, height=height, width=width)

    def encode(self, column: pa.ChunkedArray) -> tuple[UInt8[Tensor, "rows channels height width"], Bool[Tensor, "rows"]]:
        array = self._lists(arrow.plain(column))
        shape = (self.channels, self.height, self.width)
        good = pc.fill_null(pc.equal(pc.list_value_length(array), int(np.prod(shape))), True)
        arrow.check(self.name, array, np.asarray(good), f"not {' x '.join(map(str, shape))} numbers", "Bring all to one size")
        present = arrow.valid(array)
        encoded = np.zeros((len(array), *shape), np.uint8)
        try:
            values = array.drop_null().flatten().cast(pa.uint8())
        except pa.ArrowInvalid:
            raise DataError.of(f"column '{self.name}'", "holds numbers outside of 0 to 255", "Scale them") from None
        if values.null_count:
            raise DataError.of(f"column '{self.name}'", "holds images with missing pixels", "Fill them, or empty the cell")
        encoded[present] = values.to_numpy().reshape(-1, *shape)
        return torch.from_numpy(encoded), torch.from_numpy(present)

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Pixels":
        check_sizes(name, sizes, len(sizes) == 3, "pixels 1 28 28")
        return cls(name=name, channels=sizes[0], height=sizes[1], width=sizes[2])

    def example_column(self, rows: int, generator: torch.Generator) -> UInt8[Tensor, "rows channels height width"]:
        shape = (rows, self.channels, self.height, self.width)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    def _lists(self, array: pa.Array) -> pa.Array:
        if pa.types.is_null(array.type):
            return array.cast(pa.list_(pa.uint8()))
        if not arrow.is_list(array.type) or not pa.types.is_integer(array.type.value_type):
            fix = "Declare it as another kind"
            raise DataError.of(f"column '{self.name}'", f"cells of type {array.type} are not lists of whole numbers", fix)
        return array


def _holds_bytes(kind: pa.DataType) -> bool:
    return bool(arrow.is_list(kind) and pa.types.is_uint8(kind.value_type))
