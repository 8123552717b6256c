"""One of several levels in order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import pyarrow as pa
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import logsigmoid, pad, softplus
from torchmetrics import Metric
from torchmetrics.classification import MulticlassCohenKappa
from torchmetrics.functional.classification import binary_auroc

from polytask.core import DataError, arrow, opt
from polytask.core.errors import nearest

from . import _cells, _classes
from ._metrics import MeanOf, accuracy, over_classes
from ._one_of import OneOf, pick


@dataclass(frozen=True, kw_only=True)
class Ordinal(OneOf):
    """Levels from low to high: `levels`, else numbers by size and strings by alphabet. An output a level.

    `cumulative` is the proportional-odds likelihood (McCullagh, "Regression models for ordinal data", 1980): output 0 is the
    row's score s, output 1 the first cutpoint, outputs 2, 3, ... the gaps to the next ones through softplus, and
    P(y > k) = sigmoid(s - cutpoint k). Cutpoints increase by construction, so no probability is negative. Here they may depend
    on the row, as the score does. It is the default because it knows the order; `softmax` does not.

    Predictions are the levels' probabilities, decoded as of `multiclass`; `mae` counts levels between the likeliest and the
    right one.

    Errors: `DataError` for training values outside `levels`; without `levels`, as of `multiclass`.
    """

    kind: ClassVar[str] = "ordinal"
    primary: ClassVar[str] = "auroc"

    levels: tuple[_classes.Value, ...] | None = opt(None, "the values from low to high", ours="by size or alphabet")
    link: Literal["cumulative", "softmax"] = opt(
        "cumulative", "how outputs become probabilities", ours="it knows the order", choices=("cumulative", "softmax")
    )

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Never: an order has to be declared."""
        return False

    def fit(self, columns: list[pa.ChunkedArray]) -> OneOf:
        if self.levels is None:
            return super().fit(columns)
        return replace(self, classes=self._declared(arrow.plain(columns[0]), self.levels))

    def _declared(self, cells: pa.Array, levels: tuple[_classes.Value, ...]) -> tuple[_classes.Value, ...]:
        """The levels, as the values of the column where it has them."""
        name = self.columns[0]
        _cells.require_some(name, cells)
        own = {_classes.text(value): value for value in _classes.distinct(name, cells)[0]}
        texts = [_classes.text(level) for level in levels]
        unknown = [value for value in own if value not in texts]
        if unknown:
            problem = f"has {len(unknown)} values outside levels: {', '.join(map(repr, unknown[:5]))}"
            raise DataError.of(f"column '{name}'", problem, nearest(unknown[0], texts))
        if len(own) == 1:
            raise DataError.of(f"column '{name}'", f"is constant: {next(iter(own))!r}", "Leave the task out")
        found = tuple(own.get(text, level) for text, level in zip(texts, levels, strict=True))
        return found if len({type(value) for value in found}) == 1 else tuple(texts)

    def _log_probabilities(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        if self.link == "softmax":
            return output.log_softmax(-1)
        gaps = output[..., 2:]
        above = output[..., :1] - pad(softplus(gaps).cumsum(-1), (1, 0)) - output[..., 1:2]
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), and 1 - exp(-softplus(gap)) = sigmoid(gap)
        return pad(logsigmoid(above), (1, 0)) + pad(logsigmoid(-above), (0, 1)) + pad(logsigmoid(gaps), (1, 1))

    def row_losses(
        self, output: Float[Tensor, "*members batch classes"], target: Int64[Tensor, "batch"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        return pick(self._log_probabilities(output.float()), target)

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return self._log_probabilities(output).exp()

    def metrics(self) -> Mapping[str, Metric]:
        return {
            "auroc": over_classes(binary_auroc),
            "quadratic_weighted_kappa": MulticlassCohenKappa(len(self.classes), weights="quadratic"),
            "mae": MeanOf(lambda p, y: (p.argmax(-1) - y).abs().float()),
            "accuracy": MeanOf(accuracy),
        }

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Ordinal":
        _cells.check_sizes(name, cls.kind, sizes, (1,))
        return cls(name=name, columns=(name,), classes=tuple(range(sizes[0])))
