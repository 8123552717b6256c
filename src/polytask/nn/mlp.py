"""Multi-layer perceptrons."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Module):
    """Blocks of linear, ReLU, dropout: `(..., width) -> (..., widths[-1])`; the identity where there are no blocks."""

    def __init__(self, width: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inner in widths:
            layers += [nn.Linear(width, inner), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
            width = inner
        self.width = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... out"]:
        y: Tensor = self.layers(x)
        return y
