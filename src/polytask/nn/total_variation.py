"""Compressed sensing: the image that agrees with the measured lines and has little total variation (Lustig et al. 2007)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .fourier import fft2c, ifft2c, sense_combine, sense_expand

_PROX_STEPS = 10
_TINY = 1e-12


def reconstruct(
    measured: Float[Tensor, "batch coils height width 2"],
    mask: Bool[Tensor, "batch width"],
    maps: Float[Tensor, "batch coils height width 2"],
    weight: float,
    steps: int = 50,
) -> Float[Tensor, "batch height width 2"]:
    """`argmin_x 1/2 |M F E x - y~|^2 + weight TV(x)`, by FISTA (Beck and Teboulle 2009) from the combined image.

    maps: of root sum of squares at most 1, so that a step of 1 descends. TV: the sum over pixels of the length of the gradient
    of the complex image.
    """
    lines = mask[:, None, None, :, None]
    x = sense_combine(ifft2c(measured), maps)
    ahead, momentum = x, 1.0
    for _ in range(steps):
        error = lines * fft2c(sense_expand(ahead, maps)) - measured
        new = shrink(ahead - sense_combine(ifft2c(error), maps), weight)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, x, momentum = new + (momentum - 1) / following * (new - x), new, following
    return x


def total_variation(image: Float[Tensor, "batch height width 2"]) -> Float[Tensor, "batch"]:
    """The sum over pixels of the gradient's length, real and imaginary parts together."""
    return _length(_gradient(image)).sum((1, 2))


def shrink(
    image: Float[Tensor, "batch height width 2"], weight: float, steps: int = _PROX_STEPS
) -> Float[Tensor, "batch height width 2"]:
    """`argmin_x 1/2 |x - image|^2 + weight TV(x)`, by accelerated ascent on the dual (Beck and Teboulle 2009b, sec. 4.3)."""
    if weight == 0:
        return image
    dual = torch.zeros(2, *image.shape, dtype=image.dtype, device=image.device)
    ahead, momentum = dual, 1.0
    for _ in range(steps):
        new = ahead + _gradient(image + weight * _divergence(ahead)) / (8 * weight)
        new = new / _length(new).clamp(min=1)[None, ..., None]
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, dual, momentum = new + (momentum - 1) / following * (new - dual), new, following
    return image + weight * _divergence(dual)


def _gradient(image: Float[Tensor, "batch height width 2"]) -> Float[Tensor, "2 batch height width 2"]:
    """Forward differences down and to the right, 0 at the last row and column."""
    found = torch.zeros(2, *image.shape, dtype=image.dtype, device=image.device)
    found[0, :, :-1] = image[:, 1:] - image[:, :-1]
    found[1, :, :, :-1] = image[:, :, 1:] - image[:, :, :-1]
    return found


def _divergence(field: Float[Tensor, "2 batch height width 2"]) -> Float[Tensor, "batch height width 2"]:
    """Minus the adjoint of `_gradient`."""
    down, right = field[0, :, :-1], field[1, :, :, :-1]
    found = torch.zeros_like(field[0])
    found[:, :-1] += down
    found[:, 1:] -= down
    found[:, :, :-1] += right
    found[:, :, 1:] -= right
    return found


def _length(field: Float[Tensor, "2 batch height width 2"]) -> Float[Tensor, "batch height width"]:
    return ((field**2).sum((0, -1)) + _TINY).sqrt()
