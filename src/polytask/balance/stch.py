"""Smooth Tchebycheff scalarization."""

card = {
    "title": "Smooth Tchebycheff Scalarization for Multi-Objective Optimization",
    "paper": "https://arxiv.org/abs/2402.19078",
    "year": 2024,
    "kind": "losses",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting, opt

from ._preference import vector


class STCH(Weighting):
    """Minimises mu log sum_k exp(lambda_k (L_k - z_k) / mu), a smooth worst task.

    So L_k gets the weight lambda_k softmax_k(lambda (L - z) / mu).
    """

    @dataclass(frozen=True)
    class Options:
        """The smoothing, the preference and the ideal point."""

        mu: float = opt(0.1, "smoothing: the smaller, the more the worst task counts", paper="one of 0.01, 0.1, 0.5, 1", gt=0)
        preference: tuple[float, ...] | None = opt(
            None, "lambda, in the order of the tasks (None: 1 / K each)", ours="no task is preferred"
        )
        ideal: tuple[float, ...] | None = opt(None, "z: the best losses there can be (None: 0)", ours="most losses end at 0")

    sees = "losses"
    preference: Tensor
    ideal: Tensor

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.register_buffer("preference", vector("stch.preference", options.preference, tasks, 1 / self.total))
        self.register_buffer("ideal", vector("stch.ideal", options.ideal, tasks, 0.0))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        preference, ideal = self.preference[present].to(losses), self.ideal[present].to(losses)
        return preference * torch.softmax(preference * (losses - ideal) / self.options.mu, 0)
