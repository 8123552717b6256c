"""A time to an event, with right censoring, by proportional hazards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric

from . import _cells
from ._metrics import Whole
from ._survival import Censored, c_index


@dataclass(frozen=True, kw_only=True)
class Cox(Censored):
    """One output, the log-hazard relative to the others', by Cox's partial likelihood (1972) with Breslow's ties.

    The risk sets are those of the batch's labelled rows. Each row's loss is its event's term, scaled so that the mean over
    labelled rows is the mean over events, divided by log(rows + 1), what equal risks pay at most: about 1 for an ignorant
    model. Without events in the batch the loss is 0.

    Predictions are the log-hazards. Curves would need the training rows' predictions (Breslow's baseline), which a task does
    not have: only the risk is decoded. The `survival` kind gives curves.
    """

    kind: ClassVar[str] = "cox"

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Never: an undeclared time and event is a `survival` task."""
        return False

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (1,)

    def row_losses(
        self, output: Float[Tensor, "*members batch 1"], target: Float[Tensor, "batch 2"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        # Latest times first, unlabelled rows last: a risk set is a beginning of this order, and holds labelled rows only.
        later = torch.where(labelled, -target[:, 0], torch.inf)
        order = later.argsort()
        later = later[order]
        scores = output.float().squeeze(-1)[..., order]
        last = torch.searchsorted(later, later, right=True) - 1  # rows of equal time share one risk set
        terms = torch.logcumsumexp(scores, -1)[..., last] - scores
        happens = labelled[order] & (target[order, 1] > 0)
        rows, events = labelled.sum(), happens.sum().clamp(min=1)
        losses = torch.where(happens, terms, 0.0) * (rows / events / (rows + 1.0).log().clamp(min=1e-6))
        return losses[..., order.argsort()]

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output

    def metrics(self) -> Mapping[str, Metric]:
        return {"c_index": Whole(lambda risk, target: c_index(risk.squeeze(-1), target))}

    def decode(self, prediction: Float[Tensor, "rows 1"]) -> dict[str, pa.Array]:
        """`{name}_risk`, the log-hazard: only differences between rows mean something."""
        return {f"{self.name}_risk": _cells.array(prediction.squeeze(-1))}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Cox":
        _cells.check_sizes(name, cls.kind, sizes, (0,))
        return cls(name=name, columns=(f"{name}_time", f"{name}_event"))
