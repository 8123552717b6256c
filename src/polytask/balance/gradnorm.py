"""GradNorm."""

card = {
    "title": "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks",
    "paper": "https://arxiv.org/abs/1711.02257",
    "year": 2018,
    "kind": "gradients",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting, opt

from ._at import GradientOptions


class GradNorm(Weighting):
    """Learns weights w by which all tasks train at similar rates (Algorithm 1).

    After each update a step of descent on sum_k | w_k |g_k| - G r_k^alpha | (eq. 2), in closed form: G is the mean of
    w_k |g_k|, r_k the inverse training rate (L_k / L_k(0)) / mean, and G r_k^alpha counts as constant. Then w is scaled to
    sum to K (the tasks of the batch: to the sum that they had). Differs from the paper: the objective is divided by G, so that
    one learning rate fits losses of any size; no weight falls below 1e-3; gradients are taken where `at` says, not at the last
    shared layer.
    """

    @dataclass(frozen=True)
    class Options(GradientOptions):
        """The strength and the learning rate."""

        alpha: float = opt(1.5, "how strongly slow tasks are pulled (0: gradients of equal norm)", paper="1.5 on NYUv2")
        lr: float = opt(0.025, "learning rate of the weights", paper="sec. 5.1", gt=0)

    sees = "gramian"
    learnt: Tensor
    start: Tensor

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.at = options.at
        self.register_buffer("learnt", torch.ones(self.total))
        self.register_buffer("start", torch.full((self.total,), torch.nan))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        assert seen is not None
        weights = self.learnt[present]
        losses, norms = losses.to(weights), seen.diagonal().clamp_min(0).sqrt().to(weights)
        self.start[present] = torch.where(self.start[present].isnan(), losses, self.start[present])
        self.learnt[present] = self._step(weights, norms, losses / self.start[present])
        return weights

    def _step(self, weights: Tensor, norms: Tensor, ratio: Tensor) -> Tensor:
        """The weights after one step, from the norms of the gradients and the losses as shares of the first ones."""
        mean = (weights * norms).mean()
        if not mean > 0:
            return weights
        ratio = torch.nan_to_num(ratio, nan=1.0).clamp(1e-6, 1e6)
        target = (ratio / ratio.mean()) ** self.options.alpha
        norms = norms / mean
        moved = (weights - self.options.lr * torch.sign(weights * norms - target) * norms).clamp_min(1e-3)
        scaled: Tensor = moved * weights.sum() / moved.sum()
        return scaled
