"""Members: an ensemble inside one network, as one more tensor axis.

TabM (Gorishniy, Kotelnikov, Babenko 2025, "TabM: advancing tabular deep learning with parameter-efficient ensembling"), its form
"TabM-mini": every member scales the input of the network by a vector of its own, all else is shared but the heads. What follows a
`Members` sees `(members, batch, width)` and, since linear layers act on the last axis alone, need not know.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Members(nn.Module):
    """`(batch, width) -> (members, batch, width)`, each member with its own elementwise scale; nothing for one member.

    Scales start as random signs (section 3.3 of the paper), so that members see different networks from the first step.
    """

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.members = members
        signs = torch.randint(0, 2, (members, 1, width)).float() * 2 - 1
        self.scale = nn.Parameter(signs) if members > 1 else None

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "*members batch width"]:
        return x if self.scale is None else x * self.scale.to(x.dtype)


class MemberLinear(nn.Module):
    """A linear layer of each member's own: `(members, batch, inputs) -> (members, batch, outputs)`; `nn.Linear` for one."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        lead = (members,) if members > 1 else ()
        self.weight = nn.Parameter(torch.empty(*lead, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(*lead, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "*members batch inputs"]) -> Float[Tensor, "*members batch outputs"]:
        return x @ self.weight + self.bias
