"""One of several values without order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc

from polytask.core import arrow

from . import _cells
from ._metrics import BalancedAccuracy, MeanOf, accuracy, log_loss, over_classes
from ._one_of import OneOf, pick

_FEW = 10


@dataclass(frozen=True, kw_only=True)
class Multiclass(OneOf):
    """A logit a class, softmax and cross-entropy.

    Errors: `DataError` where fewer than two classes have `min_rows` training rows.
    """

    kind: ClassVar[str] = "multiclass"
    primary: ClassVar[str] = "auroc"
    rank: ClassVar[int] = 50

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """One column: strings with at least two rows a value on average, or whole numbers with at most 10 different values."""
        if len(columns) != 1:
            return False
        cells = arrow.plain(columns[0])
        values = arrow.count_distinct(cells)
        if arrow.numeric(cells):
            return 2 < values <= _FEW and arrow.whole(cells)
        return values > 2 and 2 * values <= len(cells) - cells.null_count and arrow.is_text(cells.type)

    def row_losses(
        self, output: Float[Tensor, "*members batch classes"], target: Int64[Tensor, "batch"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        return pick(output.float().log_softmax(-1), target)

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output.softmax(-1)

    def metrics(self) -> Mapping[str, Metric]:
        return {
            "auroc": over_classes(binary_auroc),
            "accuracy": MeanOf(accuracy),
            "balanced_accuracy": BalancedAccuracy(len(self.classes)),
            "log_loss": MeanOf(log_loss),
        }

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Multiclass":
        _cells.check_sizes(name, cls.kind, sizes, (1,))
        return cls(name=name, columns=(name,), classes=tuple(f"class {i}" for i in range(sizes[0])))
