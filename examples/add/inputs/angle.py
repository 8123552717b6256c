"""An angle in degrees, such as a wind direction: 359 lies beside 1."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polytask.core import Input, arrow
from polytask.inputs._example import check_sizes


@dataclass(frozen=True, kw_only=True)
class Angle(Input):
    """The column is float32 `(rows, 2)`, sine and cosine; zeros where it is absent.

    Errors: `DataError` names the rows whose cells are no numbers.
    """

    kind: ClassVar[str] = "angle"
    size: ClassVar[int] = 2

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Never: it is declared, as in `--set inputs.wind.kind=angle`."""
        return False

    def fit(self, column: pa.ChunkedArray) -> "Angle":
        self.encode(column)  # for its errors; there is nothing to learn
        return self

    def encode(self, column: pa.ChunkedArray) -> tuple[Float[Tensor, "rows 2"], Bool[Tensor, "rows"]]:
        degrees = arrow.numbers(self.name, arrow.plain(column))
        present = ~np.isnan(degrees)
        turns = np.deg2rad(np.where(present, degrees, 0.0))
        both = np.stack([np.sin(turns), np.cos(turns)], 1) * present[:, None]
        return torch.from_numpy(both.astype(np.float32)), torch.from_numpy(present)

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Angle":
        check_sizes(name, sizes, not sizes, "angle")
        return cls(name=name)

    def example_column(self, rows: int, generator: torch.Generator) -> Float[Tensor, "rows 2"]:
        turns = 2 * torch.pi * torch.rand(rows, generator=generator)
        return torch.stack([turns.sin(), turns.cos()], 1)
