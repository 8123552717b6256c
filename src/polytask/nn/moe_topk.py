"""A mixture of experts in which each row uses its best k (Shazeer et al. 2017, "Outrageously Large Neural Networks")."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .experts import StackedLinear, StackedMLP


class Mixed(NamedTuple):
    """What a mixture gives, and how it used its experts.

    weights: of each expert in each row, 0 outside the best k; they sum to 1.
    usage: the share of rows that use each expert; without gradient, as choosing has none. Sums to k.
    spread: the variance of `usage` over experts (0: all used alike); without gradient.
    entropy: the mean entropy of the gate's distribution, in nats.
    balance: `experts / k * sum_e usage_e * mean gate_e`, 1 at balance (Fedus et al. 2022, Switch Transformers, eq. 4); its
        gradient lowers the gate of what is used most.
    """

    output: Float[Tensor, "batch outputs"]
    weights: Float[Tensor, "batch experts"]
    usage: Float[Tensor, "experts"]
    spread: Float[Tensor, ""]
    entropy: Float[Tensor, ""]
    balance: Float[Tensor, ""]


class TopKMoE(nn.Module):
    """`y = sum of g_e(x) f_e(x) over the k experts of largest g_e`, `g` being scaled to sum to 1 over these.

    The experts are perceptrons of one hidden layer, the gate likewise, with dropout and a softmax. All experts are computed
    and the unused ones weigh 0: for small experts that is faster than gathering rows.
    """

    def __init__(self, inputs: int, outputs: int, experts: int, k: int, hidden: int, gate: int, dropout: float = 0.0) -> None:
        super().__init__()
        if not 1 <= k <= experts:
            raise ValueError(f"needs 1 <= k <= experts; got k {k} of {experts} experts")
        self.experts, self.k = experts, k
        self.hidden = StackedMLP(experts, inputs, (hidden,))
        self.out = StackedLinear(experts, hidden, outputs)
        self.gate = nn.Sequential(nn.Linear(inputs, gate), nn.ReLU(), nn.Dropout(dropout), nn.Linear(gate, experts))

    def forward(self, x: Float[Tensor, "batch inputs"], counted: Bool[Tensor, "batch"] | None = None) -> Mixed:
        """`counted`: the rows over which the use of experts is averaged (None: all)."""
        gates = torch.softmax(self.gate(x), dim=-1)
        best = gates.topk(self.k, dim=-1)
        chosen = torch.zeros_like(gates).scatter(-1, best.indices, 1.0)
        weights = gates * chosen / best.values.sum(-1, keepdim=True)
        each = self.out(self.hidden(x[:, None, :].expand(-1, self.experts, -1)))
        output = torch.einsum("be,beo->bo", weights, each)
        rows = torch.ones_like(gates[:, 0]) if counted is None else counted.to(gates.dtype)
        rows = rows / rows.sum().clamp(min=1)
        usage, mean = rows @ chosen, rows @ gates
        entropy = rows @ torch.special.entr(gates).sum(-1)
        spread = usage.var(correction=0) if self.experts == 1 else usage.var()
        return Mixed(output, weights, usage, spread, entropy, self.experts / self.k * (usage * mean).sum())
