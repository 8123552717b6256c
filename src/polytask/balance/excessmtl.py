"""Excess risks."""

card = {
    "title": "Robust Multi-Task Learning with Excess Risks",
    "paper": "https://arxiv.org/abs/2402.02009",
    "year": 2024,
    "kind": "gradients",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import opt

from ._lazy import LazyBuffers


class ExcessMTL(LazyBuffers):
    """Gives weight to tasks far from their optimum: w_k <- w_k exp(eta E_k), on the simplex (eq. 9).

    The excess risk is E_k = sum_n g_kn^2 / sqrt(sum of g_kn^2 over steps) (eqs. 6 and 7), as a share of the task's first one
    (sec. 3.2); that first one counts as it is, as in the official code and torchjd. Unlike there, each task starts when it is
    first seen, and the tasks of the batch share the mass that they had. Needs the gradients at the parameters, and keeps as
    many numbers.
    """

    @dataclass(frozen=True)
    class Options:
        """The step and the warm-up."""

        step: float = opt(1.0, "eta: step of the weights", paper="the official code", gt=0)
        warmup: int = opt(
            0, "steps in which the first excess risk is averaged, with even weights", paper="0 in the official code", ge=0
        )

    sees = "jacobian"
    at = "parameters"
    weights: Tensor
    squares: Tensor
    start: Tensor
    steps: Tensor

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.register_buffer("weights", torch.full((self.total,), 1 / self.total))
        self.register_buffer("squares", torch.zeros(self.total, 0))
        self.register_buffer("start", torch.zeros(self.total))
        self.register_buffer("steps", torch.zeros(self.total))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        assert seen is not None
        if not self.squares.numel():
            self.squares = seen.new_zeros(self.total, seen.shape[1])
        self.squares[present] += seen**2
        excess = (seen**2 / (self.squares[present] + 1e-7).sqrt()).sum(1).to(self.start)
        steps, warmup = self.steps[present], self.options.warmup
        self.steps[present] += 1
        learns = steps < max(warmup, 1)
        share = torch.where(learns, excess, excess / (self.start[present] + 1e-7))
        self.start[present] += torch.where(learns, excess / max(warmup, 1), 0.0)
        weights = self.weights[present]
        moved = torch.softmax(weights.clamp_min(1e-30).log() + self.options.step * torch.where(steps < warmup, 0.0, share), 0)
        self.weights[present] = moved * weights.sum()
        return self.weights[present].to(losses)
