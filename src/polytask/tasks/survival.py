"""A time to an event, with right censoring, by the hazard in each of several intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad, softplus
from torchmetrics import Metric

from polytask.core import fitted, opt

from . import _cells
from ._metrics import Whole
from ._survival import Censored, c_index, integrated_brier


@dataclass(frozen=True, kw_only=True)
class Survival(Censored):
    """Discrete-time hazards (Gensheimer & Narasimhan, "A scalable discrete-time survival model for neural networks", 2019).

    Output k is the logit of the hazard in bin k: of the event in (end k-1, end k] for who lives at its start. Ends are
    quantiles of the training events' times, so bins hold about as many events each; the last is the last event, the horizon.
    Events after it count as surviving it.
    The loss is the binary cross-entropy summed over the bins in which a row is at risk. A censored row survives the bins whose
    middle it has reached, as in the paper. It is divided by log(bins + 1), what a uniform guess over bins and beyond would pay,
    so that an ignorant model's loss is about 1, as in other tasks.

    Predictions are survival probabilities at the ends. A row's risk is 1 minus their mean. `c_index` is Harrell's, of the risk;
    `integrated_brier` weights by the evaluated rows' own censoring curve.
    """

    kind: ClassVar[str] = "survival"
    rank: ClassVar[int] = 10

    bins: int = opt(20, "intervals of time, at most", ours="curves stay smooth from a few hundred events", ge=1)
    ends: tuple[float, ...] = fitted(())

    def fit(self, columns: list[pa.ChunkedArray]) -> "Survival":
        shares = np.linspace(0, 1, self.bins + 1)[1:]
        ends = np.unique(np.quantile(self.observed_events(columns), shares, method="inverted_cdf"))
        return replace(self, ends=tuple(ends.tolist()))

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.ends),)

    def row_losses(
        self, output: Float[Tensor, "*members batch bins"], target: Float[Tensor, "batch 2"], labelled: Bool[Tensor, "batch"]
    ) -> Float[Tensor, "*members batch"]:
        logits = output.float()
        happens, at_risk = self.intervals(target)
        losses = torch.where(at_risk, softplus(logits), 0.0) - torch.where(happens, logits, 0.0)
        return losses.sum(-1) / math.log(len(self.ends) + 1)

    def intervals(self, target: Float[Tensor, "rows 2"]) -> tuple[Bool[Tensor, "rows bins"], Bool[Tensor, "rows bins"]]:
        """In which bin each row's event happens, and in which bins the row is known to be at risk."""
        ends = self._ends(target)
        times, event = target[:, 0].contiguous(), target[:, 1]
        bin = torch.bucketize(times, ends)
        middles = (ends + pad(ends[:-1], (1, 0))) / 2
        survived = torch.where(event > 0, bin, torch.bucketize(times, middles, right=True))
        number = torch.arange(len(ends), device=target.device)
        happens = (number == bin[:, None]) & (event[:, None] > 0)
        return happens, (number < survived[:, None]) | happens

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return torch.exp(-softplus(output).cumsum(-1))

    def metrics(self) -> Mapping[str, Metric]:
        ends = torch.tensor(self.ends)
        return {
            "c_index": Whole(lambda curve, target: c_index(_risk(curve), target)),
            "integrated_brier": Whole(partial(integrated_brier, ends=ends)),
        }

    def decode(self, prediction: Float[Tensor, "rows bins"]) -> dict[str, pa.Array]:
        """`{name}_risk`, `{name}_median` (null beyond the horizon), `{name}_survival_{t}` at training events' quartiles."""
        columns = {f"{self.name}_risk": _cells.array(_risk(prediction)), f"{self.name}_median": self._median(prediction)}
        for end in sorted({math.ceil(len(self.ends) * quarter / 4) - 1 for quarter in (1, 2, 3)}):
            columns[f"{self.name}_survival_{self.ends[end]:g}"] = _cells.array(prediction[:, end])
        return columns

    def _median(self, curve: Float[Tensor, "rows bins"]) -> pa.Array:
        """The time at which survival falls to one half, on straight lines between the ends."""
        curve = pad(curve.double(), (1, 0), value=1.0)
        times = pad(torch.tensor(self.ends, dtype=torch.float64, device=curve.device), (1, 0))
        after = (curve > 0.5).sum(-1, keepdim=True)
        inside = (after < curve.shape[1]).squeeze(-1)
        after = after.clamp(max=curve.shape[1] - 1)
        high, low = curve.gather(1, after - 1).squeeze(1), curve.gather(1, after).squeeze(1)
        begin, end = times[after - 1].squeeze(1), times[after].squeeze(1)
        median = begin + (end - begin) * (high - 0.5) / (high - low).clamp(min=1e-12)
        return pa.array(median.cpu().numpy(), mask=~inside.cpu().numpy())

    def _ends(self, output: Tensor) -> Float[Tensor, "bins"]:
        return torch.tensor(self.ends, dtype=torch.float32, device=output.device)

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Survival":
        _cells.check_sizes(name, cls.kind, sizes, (1,))
        ends = tuple(10.0 * (i + 1) / sizes[0] for i in range(sizes[0]))
        return cls(name=name, columns=(f"{name}_time", f"{name}_event"), bins=sizes[0], ends=ends)


def _risk(curve: Float[Tensor, "rows bins"]) -> Float[Tensor, "rows"]:
    return 1 - curve.double().mean(-1)
