"""A recurrent regulariser of images: convolutions with gated units at every pixel (Yiasemis et al. 2022, sec. 3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_TINY = 1e-12


class ConvGRUCell(nn.Module):
    """A gated recurrent unit at every pixel (1 x 1 convolutions): `h' = (1 - u) h + u d`, with `u = sigmoid(W_u [x; h])`,
    `r = sigmoid(W_r [x; h])`, `d = tanh(W_o [x; r h])`.

    Gate weights start orthogonal, the reset gate's bias at -1, the others at 0, as in the authors' code.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.update = nn.Conv2d(inputs + hidden, hidden, 1)
        self.reset = nn.Conv2d(inputs + hidden, hidden, 1)
        self.candidate = nn.Conv2d(inputs + hidden, hidden, 1)
        for gate, bias in ((self.update, 0.0), (self.reset, -1.0), (self.candidate, 0.0)):
            nn.init.orthogonal_(gate.weight)
            nn.init.constant_(gate.bias, bias)  # type: ignore[arg-type]

    def forward(
        self, x: Float[Tensor, "batch inputs height width"], h: Float[Tensor, "batch hidden height width"]
    ) -> Float[Tensor, "batch hidden height width"]:
        both = torch.cat([x, h], dim=1)
        update, reset = self.update(both).sigmoid(), self.reset(both).sigmoid()
        candidate = self.candidate(torch.cat([x, reset * h], dim=1)).tanh()
        new: Tensor = (1 - update) * h + update * candidate
        return new


class ConvGRU(nn.Module):
    """`layers` of a convolution, ReLU and a gated unit, then a convolution to `channels` (2: real and imaginary).

    The first convolution is 5 x 5, the second 3 x 3 with holes (dilation 2), others 3 x 3; edges are repeated. The next layer
    reads `relu(h')`.

    normalised: each channel of the input is brought to mean 0 and deviation 1 over its pixels, and the output is taken back
    (the authors' `NormConv2dGRU` with two groups).
    """

    def __init__(self, channels: int, hidden: int, layers: int, normalised: bool = False) -> None:
        super().__init__()
        self.normalised = normalised
        self.convolutions = nn.ModuleList(
            _conv(hidden if i else channels, hidden, 3 if i else 5, 2 if i == 1 else 1) for i in range(layers)
        )
        self.cells = nn.ModuleList(ConvGRUCell(hidden, hidden) for _ in range(layers))
        self.last = _conv(hidden, channels, 3, 1)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], state: Float[Tensor, "layers batch hidden height width"]
    ) -> tuple[Float[Tensor, "batch channels height width"], Float[Tensor, "layers batch hidden height width"]]:
        """The correction, and the state for the next block."""
        mean, deviation = x.new_zeros(()), x.new_ones(())
        if self.normalised:
            mean, deviation = x.mean((2, 3), keepdim=True), (x.var((2, 3), keepdim=True) + _TINY).sqrt()
        x, new = (x - mean) / deviation, []
        for convolution, cell, h in zip(self.convolutions, self.cells, state, strict=True):
            new.append(cell(convolution(x).relu(), h))
            x = new[-1].relu()
        return self.last(x) * deviation + mean, torch.stack(new)


class Initialiser(nn.Module):
    """The first state of every layer from an image (the authors' recurrent state initialiser): convolutions with holes, then a
    1 x 1 convolution for each layer, which reads the last `scales` convolutions side by side."""

    def __init__(
        self, channels: int, hidden: int, layers: int, widths: tuple[int, ...], dilations: tuple[int, ...], scales: int = 1
    ) -> None:
        super().__init__()
        self.scales = scales
        ends = (channels, *widths)
        self.convolutions = nn.ModuleList(
            _conv(low, high, 3, dilation) for low, high, dilation in zip(ends[:-1], widths, dilations, strict=True)
        )
        self.out = nn.ModuleList(nn.Conv2d(sum(widths[-scales:]), hidden, 1) for _ in range(layers))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "layers batch hidden height width"]:
        features = []
        for convolution in self.convolutions:
            x = convolution(x).relu()
            features.append(x)
        x = torch.cat(features[-self.scales :], dim=1)
        return torch.stack([out(x).relu() for out in self.out])


def _conv(inputs: int, outputs: int, size: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, padding_mode="replicate")
