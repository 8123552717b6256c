"""Metrics that torchmetrics lacks, or defines otherwise where a class is absent: undefined is NaN, without a warning."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.regression import R2Score
from torchmetrics.utilities.data import dim_zero_cat

Rows = Callable[[Tensor, Tensor], Tensor]
"""From predictions and targets to a number a row, or several."""


class MeanOf(Metric):
    """The mean of `rows(prediction, target)`, then `last` of it; NaN without rows."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, rows: Rows, last: Callable[[Tensor], Tensor] = torch.clone) -> None:
        super().__init__()
        self.rows, self.last = rows, last
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Float[Tensor, "rows ..."], target: Shaped[Tensor, "rows *target"]) -> None:
        values = self.rows(prediction, target)
        self.total += values.sum(dtype=torch.float64)
        self.count += values.numel()

    def compute(self) -> Float[Tensor, ""]:
        return self.last(self.total / self.count)


class Skill(MeanOf):
    """The share of a constant prediction's loss that is explained: `1 - sum rows(prediction, target) / sum rows(null, target)`.

    `null` is what training rows alone suggest. Undefined (NaN) where that is without loss.
    """

    null_total: Tensor

    def __init__(self, rows: Rows, null: Float[Tensor, "..."]) -> None:
        super().__init__(rows)
        self.null = null
        self.add_state("null_total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Float[Tensor, "rows ..."], target: Shaped[Tensor, "rows *target"]) -> None:
        super().update(prediction, target)
        null = self.null.to(prediction).expand_as(prediction)
        self.null_total += self.rows(null, target).sum(dtype=torch.float64)

    def compute(self) -> Float[Tensor, ""]:
        return torch.where(self.null_total > 0, 1 - self.total / self.null_total, torch.nan)


class Whole(Metric):
    """`score(predictions, targets)` of all rows at once; NaN without rows."""

    full_state_update = False
    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self, score: Rows) -> None:
        super().__init__()
        self.score = score
        self.add_state("predictions", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, prediction: Float[Tensor, "rows ..."], target: Shaped[Tensor, "rows *target"]) -> None:
        self.predictions.append(prediction)
        self.targets.append(target)

    def compute(self) -> Float[Tensor, ""]:
        predictions, targets = dim_zero_cat(self.predictions), dim_zero_cat(self.targets)
        return self.score(predictions, targets) if len(targets) else torch.tensor(torch.nan)


def over_classes(score: Callable[..., Tensor]) -> Whole:
    """The mean of a binary metric over classes, one against the rest.

    Classes without positives or without negatives among the rows are left out of the mean; NaN where no class is left.
    Targets are class numbers, or 0 and 1 in the shape of the predictions (-1: missing, left out).
    """

    def mean(prediction: Float[Tensor, "rows *classes"], target: Shaped[Tensor, "rows *target"]) -> Float[Tensor, ""]:
        if target.dim() < prediction.dim():
            target = one_hot(target.long(), prediction.shape[-1])
        prediction, target = prediction.reshape(len(prediction), -1), target.reshape(len(target), -1).long()
        defined = (target == 1).any(0) & (target == 0).any(0)
        scores = []
        for c in defined.nonzero().flatten().tolist():
            known = target[:, c] >= 0
            scores.append(score(prediction[known, c], target[known, c], validate_args=False))
        return torch.stack(scores).mean() if scores else torch.tensor(torch.nan)

    return Whole(mean)


class BalancedAccuracy(MulticlassConfusionMatrix):
    """The mean recall of the classes that occur among the rows (as scikit-learn defines it)."""

    def compute(self) -> Float[Tensor, ""]:
        counts = self.confmat.double()
        rows = counts.sum(1)
        return (counts.diagonal() / rows)[rows > 0].mean()


class R2(R2Score):
    """The coefficient of determination; NaN where the target is constant or there are fewer than two rows."""

    def compute(self) -> Any:
        constant = self.sum_squared_error <= self.sum_error**2 / self.total.clamp(min=1) * (1 + 1e-6)
        return torch.tensor(torch.nan) if self.total < 2 or bool(constant.all()) else super().compute()


def accuracy(prediction: Float[Tensor, "rows classes"], target: Shaped[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """1 where the most probable class is the right one."""
    return (prediction.argmax(-1) == target).float()


def log_loss(prediction: Float[Tensor, "rows classes"], target: Shaped[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """Minus the logarithm of the right class's probability, which counts as at least the precision of float32."""
    right = prediction.gather(-1, target.long()[:, None]).squeeze(-1)
    return -right.clamp(min=torch.finfo(torch.float32).eps).log()


def log_loss_of_two(probability: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The same of a positive class's probability."""
    eps = torch.finfo(torch.float32).eps
    return binary_cross_entropy(probability.clamp(eps, 1 - eps), target, reduction="none")
