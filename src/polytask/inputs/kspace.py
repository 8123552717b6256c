"""What the coils of a scanner measured of one slice: its k-space, of which some lines may be left out."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float32, UInt64
from torch import Tensor

from polytask.core import DataError, Input, Record, arrow, opt

from ._example import check_sizes


@dataclass(frozen=True, kw_only=True)
class KSpace(Input):
    """A list of `coils * height * width * 2` numbers (real and imaginary parts last); zero frequency lies in the middle.

    The column is a `Record`: `kspace` float32 `(rows, coils, height, width, 2)`, each row divided by its own `scale` `(rows)`,
    the root mean square of what was measured over the pixels, hence of the image too; `mask` bool `(rows, width)`, the lines.
    Lines (columns) that are zero throughout were not measured. An `acceleration` above 1 leaves lines out, as if they had not
    been measured: of `width / acceleration` lines the share `centre` lies in the middle, the others are drawn at random, by
    `seed` and the row's own numbers, so a row keeps its mask wherever it stands. All coils have one mask. Absent rows are
    zeros, all lines measured. The scale is found after lines were left out: it knows no more than the network.

    Errors: `DataError` where lists have another length, hold gaps or infinities, or where sizes are not declared.
    """

    kind: ClassVar[str] = "kspace"
    rank: ClassVar[int] = 12

    coils: int = opt(0, "receiving coils (0: as a tensor column says, else 1)", ours="HDF5 and NumPy files say", ge=0)
    height: int = opt(
        0,
        "points along a line (0: as a tensor says, else the root of what the coils leave)",
        ours="square slices are usual",
        ge=0,
    )
    width: int = opt(0, "lines, measured or not (0: as the height)", ours="square slices are usual", ge=0)
    acceleration: float = opt(1.0, "lines over lines kept; 1: as measured", ours="nothing is left out unasked", ge=1)
    centre: float = opt(
        0.08, "share of the lines that is kept in the middle", ours="fastMRI's at fourfold acceleration", ge=0, le=1
    )
    seed: int = opt(0, "which lines are left out", ours="any", ge=0)

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Arrow's fixed-shape tensors of floats, `(coils, height, width, 2)`. Plain lists do not tell: they are declared."""
        shape = _shape(column.type)
        return len(shape) == 4 and shape[-1] == 2 and pa.types.is_floating(column.type.value_type)

    def fit(self, column: pa.ChunkedArray) -> "KSpace":
        array = arrow.plain(column)
        if array.null_count == len(array):
            raise DataError.of(f"column '{self.name}'", "no row holds a measurement", "Leave the column out")
        told = _shape(column.type)
        coils, height, width = told[:3] if len(told) == 4 else (1, 0, 0)
        coils, height, width = self.coils or coils, self.height or height, self.width or width
        if arrow.is_list(array.type) and not height:
            pixels = int(pc.mode(pc.list_value_length(array))[0]["mode"].as_py()) / (2 * coils)
            height = round(pixels / width) if width else round(pixels**0.5)
        item = replace(self, coils=coils, height=height, width=width or height)
        item._values(array)  # faults show now
        return item

    def encode(self, column: pa.ChunkedArray) -> tuple[Record, Bool[Tensor, "rows"]]:
        values, present = self._values(arrow.plain(column))
        measured = (values != 0).any((1, 2, 4))
        measured[~present] = True
        kept = measured & (self._drawn(values) | ~present[:, None])
        values *= kept[:, None, None, :, None]
        return _record(torch.from_numpy(values), torch.from_numpy(kept)), torch.from_numpy(present)

    def _drawn(self, values: Float32[np.ndarray, "rows coils height width 2"]) -> Bool[np.ndarray, "rows width"]:
        """The lines that the acceleration keeps."""
        if self.acceleration == 1:
            return np.ones((len(values), self.width), bool)
        number = np.arange(self.width)
        low = (self.width - round(self.centre * self.width) + 1) // 2
        middle = (number >= low) & (number < low + round(self.centre * self.width))
        most = max(round(self.width / self.acceleration), 1)
        flat = np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint32).astype(np.uint64)
        own = (flat * _mixed(np.arange(flat.shape[1], dtype=np.uint64))).sum(1, dtype=np.uint64)
        draw = _mixed(_mixed(own + np.uint64(self.seed))[:, None] + _mixed(number.astype(np.uint64) + np.uint64(1)))
        draw[:, middle] = 0  # the middle comes first
        order = draw.argsort(1, kind="stable")
        kept = np.zeros((len(values), self.width), bool)
        np.put_along_axis(kept, order[:, : max(most, int(middle.sum()))], True, 1)
        return kept

    def _values(self, array: pa.Array) -> tuple[Float32[np.ndarray, "rows coils height width 2"], Bool[np.ndarray, "rows"]]:
        """All rows, zeros where they are absent, and which are present."""
        shape = (self.coils, self.height, self.width, 2)
        where, size = f"column '{self.name}'", int(np.prod(shape))
        values, present = np.zeros((len(array), *shape), np.float32), arrow.valid(array)
        if not present.any():
            return values, present
        kind = array.type
        if not arrow.is_list(kind) or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
            raise DataError.of(where, f"cells of type {kind} are not lists of numbers", "Declare it as another kind")
        good = np.asarray(pc.fill_null(pc.equal(pc.list_value_length(array), size), True))
        problem = f"not {self.coils} coils x {self.height} x {self.width} x 2 numbers"
        arrow.check(self.name, array, good, problem, f"Write inputs.{self.name}.coils, .height and .width")
        numbers = array.drop_null().flatten().cast(pa.float32(), safe=False)
        if numbers.null_count or not np.isfinite(numbers.to_numpy(zero_copy_only=False)).all():
            raise DataError.of(where, "holds gaps or infinities", "Write zeros in lines that were not measured")
        values[present] = numbers.to_numpy().reshape(-1, *shape)
        return values + np.float32(0), present  # -0 becomes 0, so that equal rows have equal bits

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "KSpace":
        check_sizes(name, sizes, len(sizes) == 3, "kspace 4 16 16")
        return cls(name=name, coils=sizes[0], height=sizes[1], width=sizes[2])

    def example_column(self, rows: int, generator: torch.Generator) -> Record:
        """The images of task kind `map`'s example, as coils of one strength and random phase see them; every other line is
        measured, and the middle quarter."""
        place = [torch.linspace(-1, 1, size) for size in (self.height, self.width)]
        size = 0.3 + 0.1 * (torch.arange(rows)[:, None, None] % 7)
        image = torch.exp(-(place[0][:, None] ** 2 + place[1] ** 2) / size**2)
        phase = torch.rand(rows, self.coils, 1, 1, generator=generator) * 2 * torch.pi
        seen = torch.fft.ifftshift(torch.polar(image[:, None] / self.coils**0.5, phase), dim=(-2, -1))
        kspace = torch.view_as_real(torch.fft.fftshift(torch.fft.fft2(seen, norm="ortho"), dim=(-2, -1)))
        number = torch.arange(self.width)
        mask = (number % 2 == 0) | ((number - self.width // 2).abs() <= self.width // 8)
        return _record(kspace * mask[:, None], mask.expand(rows, -1).clone())


def _record(kspace: Float32[Tensor, "rows coils height width 2"], mask: Bool[Tensor, "rows width"]) -> Record:
    scale = ((kspace**2).sum((1, 2, 3, 4)) / kspace[0, 0, ..., 0].numel()).sqrt() if len(kspace) else kspace.new_zeros(0)
    scale = torch.where(scale > 0, scale, 1.0)
    return Record({"kspace": kspace / scale[:, None, None, None, None], "mask": mask, "scale": scale})


def _shape(kind: pa.DataType) -> tuple[int, ...]:
    """The shape of a tensor column's cells."""
    return tuple(kind.shape) if isinstance(kind, pa.FixedShapeTensorType) else ()


def _mixed(x: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """Whole numbers scattered over all 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    last: UInt64[np.ndarray, "*shape"] = x ^ (x >> np.uint64(31))
    return last
