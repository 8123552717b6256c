"""An image to reconstruct."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchmetrics import Metric

from polytask.core import DataError, Task, arrow, fitted, opt

from . import _cells
from ._metrics import MeanOf

_WINDOW = 7
_TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class Map(Task):
    """A list of `height * width` numbers, row by row, such as magnitudes; targets are divided by `scale`, the mean of the
    training images' largest values. A row without a list, or with a gap in it, has no label.

    The loss is the mean absolute error plus `1 - SSIM` (Yiasemis et al. 2022, sec. 4.1). Metrics: `ssim` (see there), `psnr` in
    decibels, `nmse` (squared error over squared norm), each the mean over images; the largest value of SSIM and PSNR is the
    target image's own (fastMRI takes the volume's, which a table of slices does not know).

    Errors: `DataError` for lists of unequal length, sizes that do not fit, text, infinities, and columns without any image.
    """

    kind: ClassVar[str] = "map"
    primary: ClassVar[str] = "ssim"

    height: int = opt(
        0, "pixels (0: as a tensor column says, else the root of the length)", ours="square images are usual", ge=0
    )
    width: int = opt(0, "pixels (0: what the height leaves)", ours="square images are usual", ge=0)
    scale: float = fitted(1.0)

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Never: a list of numbers may be anything, so images are declared."""
        return False

    def fit(self, columns: list[pa.ChunkedArray]) -> "Map":
        cells = arrow.plain(columns[0])
        _cells.require_some(self.columns[0], cells)
        if not arrow.is_list(cells.type):
            raise DataError.of(
                f"column '{self.columns[0]}'", f"cells of type {cells.type} are no lists", "Give lists of numbers"
            )
        length = int(pc.mode(pc.list_value_length(cells))[0]["mode"].as_py())
        if not length:
            raise DataError.of(f"column '{self.columns[0]}'", "holds empty lists", "Give each row an image")
        kind = columns[0].type
        told = tuple(kind.shape) if isinstance(kind, pa.FixedShapeTensorType) and len(kind.shape) == 2 else ()
        height, width = (self.height, self.width) if self.height or self.width or not told else told
        height = height or (length // width if width else round(length**0.5))
        width = width or length // max(height, 1)
        if height * width != length:
            fix = f"Write tasks.{self.name}.height and .width"
            raise DataError.of(f"column '{self.columns[0]}'", f"{length} numbers are no {height} x {width} pixels", fix)
        task = replace(self, height=height, width=width)
        target, labelled = task.encode(columns)
        largest = float(target[labelled].amax((1, 2)).mean()) if labelled.any() else 1.0
        return replace(task, scale=largest if largest > 0 else 1.0)

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows height width"], Bool[Tensor, "rows"]]:
        cells, size = arrow.plain(columns[0]), self.height * self.width
        values = np.zeros((len(cells), size))
        labelled = arrow.valid(cells)
        if labelled.any():
            lengths = pc.list_value_length(cells)
            good = np.asarray(pc.fill_null(pc.equal(lengths, size), True))
            arrow.check(self.columns[0], cells, good, f"not {self.height} x {self.width} numbers", "Bring all to one size")
            inner = arrow.plain(pa.chunked_array([cells.drop_null().flatten()]))
            values[labelled] = _cells.targets(self.columns[0], inner).reshape(-1, size)
            labelled &= ~np.isnan(values).any(1)
            values[~labelled] = 0
        target = torch.from_numpy((values / self.scale).astype(np.float32)).reshape(-1, self.height, self.width)
        return target, torch.from_numpy(labelled)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.height, self.width)

    def row_losses(
        self,
        output: Float[Tensor, "*members batch height width"],
        target: Float[Tensor, "batch height width"],
        labelled: Bool[Tensor, "batch"],
    ) -> Float[Tensor, "*members batch"]:
        output = output.float()
        error = (output - target).abs().mean((-2, -1))
        return error + 1 - ssim(output, target)

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output

    def metrics(self) -> Mapping[str, Metric]:
        return {"ssim": MeanOf(ssim), "psnr": MeanOf(psnr), "nmse": MeanOf(nmse)}

    def decode(self, prediction: Float[Tensor, "rows height width"]) -> dict[str, pa.Array]:
        """`{name}`: a list of pixels in the user's units, row by row."""
        flat = _cells.array((prediction.double() * self.scale).flatten())
        return {self.name: pa.FixedSizeListArray.from_arrays(flat, self.height * self.width)}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Map":
        _cells.check_sizes(name, cls.kind, sizes, (2,))
        return cls(name=name, columns=(name,), height=sizes[0], width=sizes[1])

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows height width"]:
        """The blobs that the example of input kind `kspace` measures; their sizes follow from the rows' numbers."""
        place = [torch.linspace(-1, 1, size) for size in (self.height, self.width)]
        size = 0.3 + 0.1 * (torch.arange(rows)[:, None, None] % 7)
        return torch.exp(-(place[0][:, None] ** 2 + place[1] ** 2) / size**2)


def ssim(
    image: Float[Tensor, "*members batch height width"], target: Float[Tensor, "batch height width"]
) -> Float[Tensor, "*members batch"]:
    """Structural similarity (Wang et al. 2004) of each image with its target, in uniform windows of 7 x 7 pixels (smaller where
    the image is); constants 0.01 and 0.03 of the target's largest value."""
    largest = target.amax((-2, -1), keepdim=True).clamp(min=_TINY)
    x, y = image / largest, (target / largest).expand_as(image)
    sides = (min(_WINDOW, x.shape[-2]), min(_WINDOW, x.shape[-1]))

    def mean(values: Tensor) -> Tensor:
        return avg_pool2d(values.flatten(0, -3)[:, None], sides, stride=1)[:, 0]

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    one, two = 0.01**2, 0.03**2
    score = (2 * mx * my + one) * (2 * both + two) / ((mx**2 + my**2 + one) * (vx + vy + two))
    return score.mean((-2, -1)).reshape(image.shape[:-2])


def psnr(image: Float[Tensor, "batch height width"], target: Float[Tensor, "batch height width"]) -> Float[Tensor, "batch"]:
    """The target's largest value squared over the mean squared error, in decibels."""
    error = ((image - target) ** 2).mean((-2, -1)).clamp(min=1e-20)
    return 10 * torch.log10(target.amax((-2, -1)).clamp(min=_TINY) ** 2 / error)


def nmse(image: Float[Tensor, "batch height width"], target: Float[Tensor, "batch height width"]) -> Float[Tensor, "batch"]:
    """The squared error over the target's squared norm."""
    return ((image - target) ** 2).sum((-2, -1)) / (target**2).sum((-2, -1)).clamp(min=_TINY)
