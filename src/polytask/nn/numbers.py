"""Embeddings of numbers (Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning")."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class PiecewiseLinear(nn.Module):
    """Numbers as the share of each of their bins that lies below them (equation 1), then a linear map a number.

    "Version B" of the authors' later `rtdl_num_embeddings`: the map of the bins starts at zero and adds to a linear map of the
    number itself, so an untrained embedding is linear. The encoding continues linearly outside the first and the last edge.

    Shapes: `(batch, numbers) -> (batch, numbers, width)`.
    """

    def __init__(self, edges: Sequence[Sequence[float]], width: int) -> None:
        super().__init__()
        most = max(len(e) for e in edges) - 1
        lower, size = torch.zeros(len(edges), most), torch.ones(len(edges), most)
        used = torch.zeros(len(edges), most, dtype=torch.bool)
        for i, edge in enumerate(edges):
            steps = torch.tensor(edge, dtype=torch.float32)
            n = len(edge) - 1
            lower[i, :n], size[i, :n], used[i, :n] = steps[:-1], steps.diff().clamp(min=1e-6), True
        first = torch.zeros_like(used)
        first[:, 0] = True
        last = torch.zeros_like(used)
        last[torch.arange(len(edges)), used.sum(1) - 1] = True
        self.register_buffer("lower", lower)
        self.register_buffer("scale", torch.where(used, 1 / size, 0.0))
        self.register_buffer("floor", torch.where(first, -math.inf, 0.0))
        self.register_buffer("ceiling", torch.where(last, math.inf, 1.0))
        self.bins = nn.Parameter(torch.zeros(len(edges), most, width))
        self.slope = nn.Parameter(torch.empty(len(edges), width).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.empty(len(edges), width).uniform_(-1, 1))

    lower: Tensor
    scale: Tensor
    floor: Tensor
    ceiling: Tensor

    def encode(self, x: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch numbers bins"]:
        """The share of each bin below `x`: `... 1, 1, 0.3, 0, 0 ...`."""
        share = (x[:, :, None] - self.lower) * self.scale
        return torch.minimum(torch.maximum(share, self.floor), self.ceiling)

    def forward(self, x: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch numbers width"]:
        piecewise = torch.einsum("bnk,nkw->bnw", self.encode(x), self.bins)
        return piecewise + x[:, :, None] * self.slope + self.bias


class Periodic(nn.Module):
    """Numbers as sines and cosines of learnt frequencies (section 3.3), then a linear map a number and ReLU ("PLR").

    Shapes: `(batch, numbers) -> (batch, numbers, width)`.
    """

    def __init__(self, numbers: int, width: int, frequencies: int = 16, sigma: float = 0.1) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(numbers, frequencies) * sigma)
        bound = 1 / math.sqrt(2 * frequencies)
        self.weight = nn.Parameter(torch.empty(numbers, 2 * frequencies, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(numbers, width))

    def forward(self, x: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch numbers width"]:
        angles = 2 * math.pi * x[:, :, None] * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return torch.relu(torch.einsum("bnk,nkw->bnw", waves, self.weight) + self.bias)


class Scaled(nn.Module):
    """Numbers as they are: `(batch, numbers) -> (batch, numbers, 1)`."""

    def forward(self, x: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch numbers 1"]:
        return x[:, :, None]


class Missing(nn.Module):
    """A vector, learnt or zero, in the place of what is absent: `(batch, n, width)`, `(batch, n)` -> `(batch, n, width)`."""

    def __init__(self, columns: int, width: int, absent: str = "learned") -> None:
        super().__init__()
        vector = torch.zeros(columns, width)
        self.vector: Tensor
        if absent == "learned":
            self.vector = nn.Parameter(vector)
        else:
            self.register_buffer("vector", vector)

    def forward(
        self, x: Float[Tensor, "batch columns width"], present: Bool[Tensor, "batch columns"]
    ) -> Float[Tensor, "batch columns width"]:
        return torch.where(present[:, :, None], x, self.vector.to(x.dtype))
