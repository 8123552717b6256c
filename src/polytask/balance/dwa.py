"""Dynamic weight average."""

card = {
    "title": "End-to-End Multi-Task Learning with Attention (dynamic weight average)",
    "paper": "https://arxiv.org/abs/1803.10704",
    "year": 2019,
    "kind": "losses",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting, opt


class DWA(Weighting):
    """lambda_k = K softmax_k(w / T), w_k = L_k(t-1) / L_k(t-2), L_k(t) the mean loss of epoch t (eq. 7).

    w_k = 1 in the first two epochs, as in the paper, and while a task has no two epochs with labels.
    """

    @dataclass(frozen=True)
    class Options:
        """The temperature."""

        temperature: float = opt(2.0, "T: the larger, the more even the weights", paper="T = 2", gt=0)

    sees = "losses"
    sums: Tensor
    counts: Tensor
    means: Tensor
    epoch: Tensor

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.register_buffer("sums", torch.zeros(self.total))
        self.register_buffer("counts", torch.zeros(self.total))
        self.register_buffer("means", torch.full((2, self.total), torch.nan))  # of the epochs t-2 and t-1
        self.register_buffer("epoch", torch.tensor(-1))

    def start_epoch(self, number: int) -> None:
        if number != self.epoch:  # one that is resumed has been counted
            self.means = torch.stack([self.means[1], self.sums / self.counts])
            self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)
            self.epoch.fill_(number)

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        self.sums[present] += losses.to(self.sums)
        self.counts[present] += 1
        rate = torch.nan_to_num(self.means[1] / self.means[0], nan=1.0)
        weights = self.total * torch.softmax(rate / self.options.temperature, 0)
        return weights[present].to(losses)
