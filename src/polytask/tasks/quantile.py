"""A number by its quantiles."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torchmetrics import Metric

from polytask.core import OptionError, fitted, opt

from . import _cells
from ._metrics import MeanOf, Skill
from ._scaled import Scaled


@dataclass(frozen=True, kw_only=True)
class Quantile(Scaled):
    """An output a quantile on the fitted scale (see `Scaled`), by the pinball loss (Koenker & Bassett 1978).

    The loss is twice the mean pinball loss over quantiles, so that the median's is the absolute error. Predictions are the
    outputs in rising order, so quantiles never cross; sorting never makes the pinball loss worse (Chernozhukov, Fernandez-Val &
    Galichon, "Quantile and probability curves without crossing", 2010).

    The primary metric `d2_pinball` is the pinball loss explained, on the fitted scale, against training rows' own quantiles;
    scikit-learn's `d2_pinball_score` takes the evaluated rows' instead. `coverage` is the share of rows within the outer
    quantiles, which should be their distance.

    Errors: `OptionError` unless quantiles rise strictly within (0, 1); `DataError` as of `regression`.
    """

    kind: ClassVar[str] = "quantile"
    primary: ClassVar[str] = "d2_pinball"

    quantiles: tuple[float, ...] = opt((0.1, 0.5, 0.9), "the quantiles predicted", ours="an 80 % interval and its middle")
    null: tuple[float, ...] = fitted(())
    """Training rows' quantiles, on the fitted scale."""

    def __post_init__(self) -> None:
        inside = all(0 < q < 1 for q in self.quantiles)
        if not self.quantiles or not inside or sorted(set(self.quantiles)) != list(self.quantiles):
            problem = f"must rise strictly between 0 and 1; got {self.quantiles}"
            raise OptionError.of(f"task '{self.name}': quantiles", problem, "Write for example 0.1,0.5,0.9")

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Never: an undeclared number is a `regression`."""
        return False

    def fit(self, columns: list[pa.ChunkedArray]) -> "Quantile":
        scaled = replace(self, **self.learn_scale(columns[0]))
        targets, labelled = scaled.encode(columns)
        null = targets[labelled].double().quantile(torch.tensor(self.quantiles, dtype=torch.float64))
        return replace(scaled, null=tuple(null.tolist()))

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows"], Bool[Tensor, "rows"]]:
        return self.encode_scaled(columns[0])

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.quantiles),)

    def _pinball(self, output: Float[Tensor, "*members batch quantiles"], target: Float[Tensor, "batch"]) -> Tensor:
        above = target.float().unsqueeze(-1) - output.float()
        share = torch.tensor(self.quantiles, device=output.device)
        return torch.maximum(share * above, (share - 1) * above)

    def row_losses(
        self, output: Float[Tensor, "*members batch quantiles"], target: Float[Tensor, "batch"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        return 2 * self._pinball(output, self.fence(target)).mean(-1)

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output.sort(-1).values

    def metrics(self) -> Mapping[str, Metric]:
        return {
            "d2_pinball": Skill(self._pinball, torch.tensor(self.null)),
            "coverage": MeanOf(lambda p, y: ((p[:, 0] <= y) & (y <= p[:, -1])).float()),
        }

    def decode(self, prediction: Float[Tensor, "rows quantiles"]) -> dict[str, pa.Array]:
        """`{name}_q10`, `{name}_q50`, ... in the user's units."""
        each = zip(self.quantiles, self.in_units(prediction).unbind(-1), strict=True)
        return {f"{self.name}_q{100 * share:g}": _cells.array(values) for share, values in each}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Quantile":
        _cells.check_sizes(name, cls.kind, sizes, (1,))
        shares = tuple((i + 1) / (sizes[0] + 1) for i in range(sizes[0]))
        null = torch.special.ndtri(torch.tensor(shares)).tolist()
        return cls(name=name, columns=(name,), quantiles=shares, null=tuple(null))

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows"]:
        return torch.randn(rows, generator=generator)
