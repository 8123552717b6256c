"""One of several values without order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc

from . import _cells, _classes
from ._metrics import BalancedAccuracy, MeanOf, accuracy, log_loss, over_classes
from ._one_of import OneOf, pick

_FEW = 10


@dataclass(frozen=True, kw_only=True)
class Multiclass(OneOf):
    """A logit a class, softmax and cross-entropy.

    Values that training rows did not teach are unlabelled, with a warning: they count in no metric.

    Errors: `DataError` where training rows have one class only, or a class in one row only.
    """

    kind: ClassVar[str] = "multiclass"
    primary: ClassVar[str] = "auroc"
    rank: ClassVar[int] = 50

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """One column: strings with at least two rows a value on average, or whole numbers with at most 10 different values."""
        if len(columns) != 1:
            return False
        cells = _cells.plain(columns[0])
        values = _classes.count(cells)
        if _cells.numeric(cells):
            return 2 < values <= _FEW and _cells.is_whole(_cells.numbers("", cells.drop_null()))
        return values > 2 and 2 * values <= len(cells) - cells.null_count and _cells.is_text(cells.type)

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
