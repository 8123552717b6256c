"""Members: an ensemble inside one network.

TabM (Gorishniy, Kotelnikov, Babenko 2025, "TabM: advancing tabular deep learning with parameter-efficient ensembling",
https://arxiv.org/abs/2410.24210), its form "TabM-mini": every member scales the input of the network by a vector of its own,
all else is shared but the heads.

Deviation: in training, each row of a batch goes to one member, by its place in the (shuffled) batch, where the paper sends
every row to every member. That costs a step of one network instead of `members` of them, and was no worse (docs/defaults.md).
In evaluation every member sees every row, on a leading axis: `(members, batch, width)`. Layers in between act on the last axis
alone, and need not know.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def shares(members: int, batch: int, device: torch.device) -> Int[Tensor, "batch"]:
    """The member of each row of a training batch: equal shares, to one row."""
    return torch.arange(batch, device=device) * members // batch


class Members(nn.Module):
    """Each member's elementwise scale: `(batch, width)` to the same in training, to `(members, batch, width)` in evaluation.

    Scales start as random signs (section 3.3 of the paper), so that members see different networks from the first step. One
    member has no scale.
    """

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.members = members
        signs = torch.randint(0, 2, (members, width)).float() * 2 - 1
        self.scale = nn.Parameter(signs) if members > 1 else None

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "*members batch width"]:
        if self.scale is None:
            return x
        scale = self.scale.to(x.dtype)
        return x * scale[shares(self.members, len(x), x.device)] if self.training else x * scale[:, None]


class MemberLinear(nn.Module):
    """A linear layer of each member's own: `(..., batch, inputs) -> (..., batch, outputs)` after `Members`."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.members = members
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "*members batch inputs"]) -> Float[Tensor, "*members batch outputs"]:
        if self.members == 1:
            return x @ self.weight[0] + self.bias[0]
        if not self.training:
            return x @ self.weight + self.bias
        rows, place = blocks(self.members, x.shape[-2], x.device)
        every = x[..., rows, :] @ self.weight + self.bias
        return every.flatten(-3, -2)[..., place, :]


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept here has to serve training too, whoever asks first
def blocks(members: int, batch: int, device: torch.device) -> tuple[Int[Tensor, "members most"], Int[Tensor, "batch"]]:
    """The rows of each member, filled up to equal numbers with any row, and where each row of the batch is among them."""
    share = shares(members, batch, device)
    first = torch.searchsorted(share, torch.arange(members, device=device))
    most = -(-batch // members)
    rows = (first[:, None] + torch.arange(most, device=device)).clamp(max=batch - 1)
    return rows, share * most + torch.arange(batch, device=device) - first[share]
