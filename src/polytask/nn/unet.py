"""A small U-Net: convolutions at falling and rising resolution with shortcuts (Ronneberger et al. 2015)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate


class UNet(nn.Module):
    """An image of `channels` to one of as many, of any size; `levels` times halved, widths doubling from `width`.

    Blocks are two 3 x 3 convolutions, each with instance normalisation and leaky ReLU (as the fastMRI baseline, Zbontar et al.
    2018); smaller images are means of 2 x 2 pixels, larger ones are bilinear.
    """

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels + 1)]
        self.down = nn.ModuleList(_block(low, high) for low, high in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(_block(widths[i] + widths[i + 1], widths[i]) for i in reversed(range(levels)))
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        kept = []
        for i, block in enumerate(self.down):
            x = block(avg_pool2d(x, 2, ceil_mode=True) if i else x)
            kept.append(x)
        kept.pop()
        for block in self.up:
            skip = kept.pop()
            x = block(torch.cat([interpolate(x, size=skip.shape[-2:], mode="bilinear"), skip], dim=1))
        y: Tensor = self.last(x)
        return y


def _block(inputs: int, outputs: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for low in (inputs, outputs):
        parts += [nn.Conv2d(low, outputs, 3, padding=1, bias=False), nn.InstanceNorm2d(outputs, affine=True), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts)
