"""Fast adaptive multitask optimization."""

card = {
    "title": "FAMO: Fast Adaptive Multitask Optimization",
    "paper": "https://arxiv.org/abs/2306.03792",
    "year": 2023,
    "kind": "losses",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting, opt

_LEAST = 1e-8
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class FAMO(Weighting):
    """Decreases the logarithms of all losses at about the same rate (Algorithm 2).

    With z = softmax(xi), L_k gets the weight c z_k / L_k, c = 1 / sum_k(z_k / L_k). After the update xi takes a step of Adam,
    with weight decay, down J^T (log L_before - log L_after), J the Jacobian of the softmax: Adam as in the official code, where
    Algorithm 2 writes plain descent. A loss below 1e-8 counts as 1e-8. Only the tasks of the batch take part.
    """

    @dataclass(frozen=True)
    class Options:
        """The descent on xi."""

        lr: float = opt(0.025, "learning rate of xi", paper="the official code", ge=0)
        decay: float = opt(1e-3, "gamma: weight decay of xi", paper="Algorithm 2", ge=0)

    sees = "losses"
    looks_back = True
    xi: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor
    before: Tensor

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        for name in ("xi", "first", "second", "steps", "before"):
            self.register_buffer(name, torch.zeros(self.total))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        logs = losses.clamp_min(_LEAST).log()
        self.before[present] = logs.to(self.before)
        # softmax(log z - log L) is c z / L, and overflows nowhere.
        return torch.softmax(torch.log_softmax(self.xi[present].to(losses), 0) - logs, 0)

    def observe(self, losses: Float[Tensor, "k"], present: Int[Tensor, "k"]) -> None:
        fall = self.before[present] - losses.clamp_min(_LEAST).log().to(self.before)
        z, xi = torch.softmax(self.xi[present], 0), self.xi[present]
        gradient = z * (fall - z @ fall) + self.options.decay * xi
        self.steps[present] += 1
        self.first[present] = torch.lerp(gradient, self.first[present], _BETAS[0])
        self.second[present] = torch.lerp(gradient**2, self.second[present], _BETAS[1])
        first = self.first[present] / (1 - _BETAS[0] ** self.steps[present])
        second = self.second[present] / (1 - _BETAS[1] ** self.steps[present])
        self.xi[present] = xi - self.options.lr * first / (second.sqrt() + _EPSILON)
