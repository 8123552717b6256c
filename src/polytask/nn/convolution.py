"""Small convolutional networks."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Three strided convolutions, the mean over places, a linear map: `(batch, channels, height, width) -> (batch, out)`.

    Bytes are scaled from 0..255 to -1..1. Group normalisation keeps rows of a batch independent of each other.
    """

    def __init__(self, channels: int, out: int, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.ReLU()]
            channels = width
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(channels, out)

    def forward(self, pixels: Shaped[Tensor, "batch channels height width"]) -> Float[Tensor, "batch out"]:
        x = pixels.to(self.out.weight.dtype)
        if pixels.dtype == torch.uint8:
            x = x / 127.5 - 1
        y: Tensor = self.out(self.layers(x).mean((2, 3)))
        return y
