"""Homoscedastic uncertainty."""

card = {
    "title": "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics",
    "paper": "https://arxiv.org/abs/1705.07115",
    "year": 2018,
    "kind": "losses",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from polytask.core import Weighting, opt


class Uncertainty(Weighting):
    """Minimises sum_k exp(-s_k) L_k / 2 + s_k / 2 (eq. 7) over the log variances s = log sigma^2 too.

    One form for all kinds of tasks, as LibMTL and torchjd have it; the paper leaves out the 1/2 of classification (eq. 10),
    which moves s by log 2 and changes no optimum. The optimizer of the system trains s.
    """

    @dataclass(frozen=True)
    class Options:
        """Where the log variances start."""

        start: float = opt(0.0, "log variance that every task starts with", paper="the start hardly matters")

    sees = "losses"

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.log_variance = nn.Parameter(torch.full((self.total,), options.start))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        return 0.5 * torch.exp(-self.log_variance[present]).to(losses.dtype)

    def objective(self, weights: Float[Tensor, "k"], losses: Float[Tensor, "k"]) -> Float[Tensor, ""]:
        return weights @ losses - 0.5 * torch.log(2 * weights).sum()
