"""Experts side by side, and gates that mix them."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class StackedLinear(nn.Module):
    """`count` linear layers at once, each on its own slice: `(..., count, inputs) -> (..., count, outputs)`."""

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(count, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, outputs).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "... count inputs"]) -> Float[Tensor, "... count outputs"]:
        return torch.einsum("...ci,cio->...co", x, self.weight) + self.bias


class StackedMLP(nn.Module):
    """`count` perceptrons at once, each on its own slice: `(..., count, width) -> (..., count, widths[-1])`."""

    def __init__(self, count: int, width: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inner in widths:
            layers += [StackedLinear(count, width, inner), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
            width = inner
        self.width = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "... count width"]) -> Float[Tensor, "... count out"]:
        y: Tensor = self.layers(x)
        return y


class ExpertBank(nn.Module):
    """Experts that all see the same input: `(..., width) -> (..., experts, widths[-1])`.

    Their first layers are one matrix product.
    """

    def __init__(self, experts: int, width: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.experts = experts
        self.first = nn.Linear(width, experts * widths[0])
        self.drop = nn.Dropout(dropout)
        self.rest = StackedMLP(experts, widths[0], widths[1:], dropout)
        self.width = widths[-1]

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... experts out"]:
        hidden = self.drop(torch.relu(self.first(x).unflatten(-1, (self.experts, -1))))
        y: Tensor = self.rest(hidden)
        return y


class StackedSoftmaxGate(nn.Module):
    """Softmax mixtures over experts, without bias, each on an input of its own: `(..., gates, width)`, `(..., experts, out) ->
    (..., gates, out)`.

    allowed: which experts each gate may use (None: all).
    """

    def __init__(self, gates: int, width: int, experts: int, allowed: Bool[Tensor, "gates experts"] | None = None) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(gates, width, experts).uniform_(-bound, bound))
        closed = torch.zeros(gates, experts) if allowed is None else torch.where(allowed, 0.0, -math.inf)
        self.register_buffer("closed", closed, persistent=False)

    closed: Tensor

    def weights(self, x: Float[Tensor, "... gates width"]) -> Float[Tensor, "... gates experts"]:
        """The share of each expert in each mixture."""
        return torch.softmax(torch.einsum("...gw,gwe->...ge", x, self.weight) + self.closed, dim=-1)

    def forward(
        self, x: Float[Tensor, "... gates width"], experts: Float[Tensor, "... experts out"]
    ) -> Float[Tensor, "... gates out"]:
        return self.weights(x) @ experts
