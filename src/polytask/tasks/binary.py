"""One of two values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32, Shaped
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from polytask.core import arrow, fitted, opt

from . import _cells, _classes
from ._metrics import MeanOf, log_loss_of_two, over_classes
from ._scalar import Scalar, against


@dataclass(frozen=True, kw_only=True)
class Binary(Scalar):
    """One logit, that of the positive class; the target is 0 or 1; the loss is the binary cross-entropy.

    The positive class is `positive`; else True; else the larger of two numbers; else the only one of two strings that says yes
    (yes, y, true, t, positive, pos, present, on, event, dead, died, deceased); else the later one in alphabetical order.
    Predictions are the positive class's probabilities. Other values, and those that one training row alone has, are unlabelled,
    with a warning.

    Errors: `DataError` unless exactly two values are in two training rows or more.
    """

    kind: ClassVar[str] = "binary"
    primary: ClassVar[str] = "auroc"
    rank: ClassVar[int] = 30

    positive: bool | int | float | str | None = opt(None, "the value whose probability is predicted", ours="the data decide")
    classes: tuple[_classes.Value, ...] = fitted(())
    """The negative and the positive value."""

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """One column with two different values."""
        return len(columns) == 1 and arrow.count_distinct(arrow.plain(columns[0])) == 2

    def fit(self, columns: list[pa.ChunkedArray]) -> "Binary":
        return replace(self, classes=_classes.two(self.columns[0], arrow.plain(columns[0]), self.positive))

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows"], Bool[Tensor, "rows"]]:
        codes, labelled = _classes.encode(self.columns[0], columns[0], self.classes)
        return codes.float(), labelled

    def row_losses(
        self, output: Float[Tensor, "*members batch 1"], target: Float[Tensor, "batch"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        return binary_cross_entropy_with_logits(*against(output, target), reduction="none")

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output.sigmoid()

    def metrics(self) -> Mapping[str, Metric]:
        return {
            "auroc": over_classes(binary_auroc),
            "average_precision": over_classes(binary_average_precision),
            "accuracy": MeanOf(lambda p, y: ((p >= 0.5) == (y == 1)).float()),
            "brier": MeanOf(lambda p, y: (p - y) ** 2),
            "log_loss": MeanOf(log_loss_of_two),
        }

    def decode(self, prediction: Float[Tensor, "rows 1"]) -> dict[str, pa.Array]:
        """`{name}`, the likelier value, and `{name}_probability`, that of the positive value."""
        probability = prediction.squeeze(-1)
        likelier = _classes.decode((probability >= 0.5).long(), self.classes)
        return {self.name: likelier, f"{self.name}_probability": _cells.array(probability)}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Binary":
        _cells.check_sizes(name, cls.kind, sizes, (0,))
        return cls(name=name, columns=(name,), classes=(0, 1))

    def example_target(self, rows: int, generator: torch.Generator) -> Shaped[Tensor, "rows"]:
        return torch.randint(0, 2, (rows,), generator=generator).float()
