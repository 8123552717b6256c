"""Impartial multi-task learning, the balance of losses."""

card = {
    "title": "Towards Impartial Multi-task Learning (IMTL-L)",
    "paper": "https://openreview.net/forum?id=IMPnRXEWpvr",
    "year": 2021,
    "kind": "losses",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from polytask.core import Weighting


class IMTLL(Weighting):
    """Minimises sum_k exp(s_k) L_k - s_k over the scales s too (sec. 3.2): all exp(s_k) L_k come to 1."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    sees = "losses"

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.log_scale = nn.Parameter(torch.zeros(self.total))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        return torch.exp(self.log_scale[present]).to(losses.dtype)

    def objective(self, weights: Float[Tensor, "k"], losses: Float[Tensor, "k"]) -> Float[Tensor, ""]:
        return weights @ losses - torch.log(weights).sum()
