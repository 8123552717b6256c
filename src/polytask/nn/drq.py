"""Parts of visual actor-critics (Yarats et al. 2022, DrQ-v2): encoder, trunk, twin critics, shifts, bounded noise."""

import math

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from .experts import StackedLinear


def orthogonal(layer: nn.Module) -> None:
    """Set a layer's weights orthogonal (convolutions with a gain of sqrt 2), its biases 0; other modules are left alone.

    Each expert of a stack is orthogonal by itself.
    """
    if isinstance(layer, (nn.Linear, nn.Conv2d)):
        nn.init.orthogonal_(layer.weight, math.sqrt(2) if isinstance(layer, nn.Conv2d) else 1.0)
    elif isinstance(layer, StackedLinear):
        for weight in layer.weight:
            nn.init.orthogonal_(weight)
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def random_shift(
    pixels: UInt8[Tensor, "batch channels height width"], most: int
) -> UInt8[Tensor, "batch channels height width"]:
    """Each image moved by up to `most` pixels down or right or back, its border repeated."""
    batch, _, height, width = pixels.shape
    by = torch.randint(-most, most + 1, (2, batch, 1), device=pixels.device)
    rows = (torch.arange(height, device=pixels.device) + by[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=pixels.device) + by[1]).clamp(0, width - 1)
    image = torch.arange(batch, device=pixels.device)[:, None, None]
    moved = pixels.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def bounded_noise(
    mean: Float[Tensor, "batch actions"], noise: Float[Tensor, "batch actions"], clip: float | None = None
) -> Float[Tensor, "batch actions"]:
    """`mean + noise` within (-1, 1), the noise clipped at +-`clip` first; the gradient passes as if it were not bounded."""
    moved = mean + (noise if clip is None else noise.clamp(-clip, clip))
    return moved + (moved.clamp(-1 + 1e-6, 1 - 1e-6) - moved).detach()


class PixelEncoder(nn.Module):
    """Four convolutions of 3 x 3, the first of stride 2: stacked frames of bytes -> features `(batch, width)`.

    `least`: the pixels that an image needs each way.
    """

    least = 15

    def __init__(self, shape: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, stride=2), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Conv2d(channels, channels, 3), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        height, width = ((side - 3) // 2 + 1 - 6 for side in shape[1:])
        if min(shape[1:]) < self.least:
            raise ValueError(f"images of {shape[1]} x {shape[2]} are too small: {self.least} pixels are needed")
        self.shape, self.width = shape, channels * height * width

    def forward(self, pixels: UInt8[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        first = self.layers[0]
        assert isinstance(first, nn.Conv2d)
        features: Tensor = self.layers(pixels.to(first.weight.dtype, copy=True).mul_(1 / 255).sub_(0.5))
        return features


class Trunk(nn.Sequential):
    """Features squeezed into `width` numbers in (-1, 1): linear, layer normalisation, tanh."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(nn.Linear(inputs, width), nn.LayerNorm(width), nn.Tanh())


class Estimate(nn.Module):
    """A trunk and one or two perceptrons of two hidden layers: features (and actions) -> `(batch, heads)` estimates."""

    def __init__(self, inputs: int, width: int, hidden: int, heads: int, actions: int = 0) -> None:
        super().__init__()
        self.trunk = Trunk(inputs, width)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width + actions, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
            )
            for _ in range(heads)
        )

    def forward(
        self, features: Float[Tensor, "batch width"], action: Float[Tensor, "batch actions"] | None = None
    ) -> Float[Tensor, "batch heads"]:
        h = self.trunk(features)
        h = h if action is None else torch.cat([h, action], dim=-1)
        return torch.cat([head(h) for head in self.heads], dim=-1)


def expectile_loss(value: Float[Tensor, "batch"], target: Float[Tensor, "batch"], expectile: float) -> Float[Tensor, ""]:
    """The mean squared error, weighted by `expectile` where the value is below its target and by the rest where above
    (Kostrikov et al. 2022, implicit Q-learning, eq. 5)."""
    below: Bool[Tensor, "batch"] = value < target
    weight = torch.where(below, expectile, 1 - expectile)
    return (weight * (value - target) ** 2).mean()


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, tau: float) -> None:
    """The target's parameters move by the share `tau` towards the source's."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)
