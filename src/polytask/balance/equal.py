"""Equal weights: the sum of the losses."""

card = {"title": "Equal weights", "kind": "losses"}

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting


class Equal(Weighting):
    """Every task has weight 1, so that a task's own part learns the same whatever other tasks there are."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    sees = "losses"

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        return torch.ones_like(losses)
