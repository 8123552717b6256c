"""The task with the largest loss counts most."""

card = {"title": "Softmax of the losses", "kind": "losses"}

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting, opt


class Worst(Weighting):
    """Weights are the softmax of the losses over a temperature, times the number of tasks in the batch."""

    @dataclass(frozen=True)
    class Options:
        """The temperature."""

        temperature: float = opt(1.0, "the smaller, the more the worst task counts", ours="losses are near 1", gt=0)

    sees = "losses"

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        return len(losses) * torch.softmax(losses.detach() / self.options.temperature, 0)
