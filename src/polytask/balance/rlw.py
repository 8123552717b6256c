"""Random loss weighting."""

card = {
    "title": "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning",
    "paper": "https://arxiv.org/abs/2111.10603",
    "year": 2022,
    "kind": "losses",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting, opt

from ._draws import Draws


class RLW(Weighting):
    """lambda = softmax(z), z ~ N(0, I) anew at each step (Algorithm 1, the normal distribution)."""

    @dataclass(frozen=True)
    class Options:
        """The seed."""

        seed: int | None = opt(None, "seed of the weights (None: torch's)", ours="any", ge=0)

    sees = "losses"

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.draws = Draws(options.seed)

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        drawn = torch.randn(self.total, generator=self.draws.next())
        return torch.softmax(drawn.to(losses)[present], 0)
