"""Geometric loss strategy."""

card = {
    "title": "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task Learning",
    "paper": "https://arxiv.org/abs/1904.08492",
    "year": 2019,
    "kind": "losses",
}

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting

_LEAST = 1e-8


class GLS(Weighting):
    """Minimises the geometric mean (prod_k L_k)^(1/K): its gradient gives L_k the weight mean / (K L_k).

    Only positive losses have one: a loss below 1e-8 counts as 1e-8.
    """

    @dataclass(frozen=True)
    class Options:
        """None."""

    sees = "losses"

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        logs = losses.clamp_min(_LEAST).log()
        return torch.exp(logs.mean() - logs) / len(losses)
