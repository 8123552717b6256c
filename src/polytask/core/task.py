"""A task: one thing to predict, with its loss, its metrics and the way back to the user's columns."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torchmetrics import Metric


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """The base of every kind of answer; a kind is a frozen dataclass in `polytask/tasks/<kind>.py`.

    Declared settings are `opt(...)` fields, what training rows teach (classes, scale, bins) are `fitted()` fields.

    Shapes: a system gives `(batch, *output_shape)`, or `(members, batch, *output_shape)` where it is an ensemble in one network
    (TabM, Gorishniy et al. 2025): a loss is the mean of the members' losses, a prediction the mean of their `activate`d
    outputs.
    """

    kind: ClassVar[str]
    primary: ClassVar[str]
    """The metric that early stopping, comparison and tuning look at."""
    direction: ClassVar[int] = 1
    """+1 where more of the primary metric is better, -1 where less is."""

    name: str
    columns: tuple[str, ...]

    @classmethod
    @abstractmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Whether an undeclared task with these columns is of this kind (kinds are asked in order of `rank`)."""

    rank: ClassVar[int] = 100
    """The order in which kinds are asked by `recognises`: lower first."""

    @abstractmethod
    def fit(self, columns: list[pa.ChunkedArray]) -> "Task":
        """The task with all that training rows teach (classes, scale, bins). Raises `DataError` on unusable columns."""

    @abstractmethod
    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Shaped[Tensor, "rows ..."], Bool[Tensor, "rows"]]:
        """Targets, with a valid filler where there is no label, and the `labelled` mask."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one row's raw output (logits, scores)."""

    @abstractmethod
    def row_losses(
        self, output: Float[Tensor, "*output"], target: Shaped[Tensor, "batch ..."], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        """The loss of each row; the value at unlabelled rows is finite and without effect."""

    def loss(
        self, output: Float[Tensor, "*output"], target: Shaped[Tensor, "batch ..."], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, ""]:
        """The mean over labelled rows (and members): the one place where missing labels are masked. 0 without labels."""
        rows = self.row_losses(output, target, labelled)
        masked = torch.where(labelled, rows, torch.zeros((), dtype=rows.dtype, device=rows.device))
        mean = masked.sum(-1) / labelled.sum().clamp(min=1)
        return mean.mean() if mean.dim() else mean

    @abstractmethod
    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        """Raw outputs on the scale on which predictions are averaged and read: probabilities, means, hazards."""

    def predict(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "batch ..."]:
        """Activated outputs, averaged over members."""
        prediction = self.activate(output.float())
        extra = prediction.dim() - 1 - len(self.output_shape)
        return prediction.mean(0) if extra > 0 else prediction

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """torchmetrics of `(prediction, target)` of labelled rows, by name; `primary` among these or those of `evaluate`."""

    def evaluate(self, prediction: Float[Tensor, "rows ..."], target: Shaped[Tensor, "rows ..."]) -> dict[str, float]:
        """The whole-set metrics of labelled rows; NaN where a metric is undefined (one class only, no row)."""
        scores = {}
        for name, metric in self.metrics().items():
            metric.update(prediction, target)
            scores[name] = float(metric.compute())
        return scores

    @abstractmethod
    def decode(self, prediction: Float[Tensor, "rows ..."]) -> dict[str, pa.Array]:
        """Predictions as columns that a user reads: `{name}`, `{name}_probability`, ..."""

    @classmethod
    @abstractmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Task":
        """A fitted task of given sizes, for a literal such as `multiclass 3`."""

    @abstractmethod
    def example_target(self, rows: int, generator: torch.Generator) -> Shaped[Tensor, "rows ..."]:
        """Random valid targets."""

    def settings(self) -> dict[str, Any]:
        """All fields but the name, as JSON can write them."""
        return {field: value for field, value in vars(self).items() if field != "name"}
