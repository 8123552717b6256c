"""Fourier transforms and coils: what the reconstruction of magnetic resonance images is made of.

Complex numbers are pairs of floats along the last axis, `(..., height, width, 2)`; phase-encode lines are columns (`width`).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_TINY = 1e-12
"""Added to squares before a root, for its gradient's sake."""


def fft2c(x: Float[Tensor, "*other height width 2"]) -> Float[Tensor, "*other height width 2"]:
    """The centred orthonormal transform of an image: the image's and the spectrum's zero lie at (height // 2, width // 2)."""
    return _centred(torch.fft.fft2, x)


def ifft2c(x: Float[Tensor, "*other height width 2"]) -> Float[Tensor, "*other height width 2"]:
    """The inverse of `fft2c`, which is its adjoint too."""
    return _centred(torch.fft.ifft2, x)


def _centred(transform: object, x: Tensor) -> Tensor:
    axes = (-2, -1)
    moved = torch.fft.ifftshift(torch.view_as_complex(x.contiguous()), dim=axes)
    assert callable(transform)
    return torch.view_as_real(torch.fft.fftshift(transform(moved, dim=axes, norm="ortho"), dim=axes))


def multiply(
    a: Float[Tensor, "*a height width 2"], b: Float[Tensor, "*b height width 2"]
) -> Float[Tensor, "*product height width 2"]:
    """The product of complex numbers."""
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    return torch.stack([real, a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]], dim=-1)


def conjugate(x: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape 2"]:
    """The complex conjugate."""
    return torch.stack([x[..., 0], -x[..., 1]], dim=-1)


def sense_combine(
    coils: Float[Tensor, "batch coils height width 2"], maps: Float[Tensor, "batch coils height width 2"]
) -> Float[Tensor, "batch height width 2"]:
    """One image of all coils' images: `sum_k conj(S_k) x_k` (R of Yiasemis et al. 2022, eq. 5)."""
    return multiply(conjugate(maps), coils).sum(1)


def sense_expand(
    image: Float[Tensor, "batch height width 2"], maps: Float[Tensor, "batch coils height width 2"]
) -> Float[Tensor, "batch coils height width 2"]:
    """What each coil sees of an image: `S_k x` (E), the adjoint of `sense_combine`."""
    return multiply(maps, image[:, None])


def rss(coils: Float[Tensor, "batch coils height width 2"]) -> Float[Tensor, "batch height width"]:
    """The root of the sum of all coils' squared magnitudes."""
    return ((coils**2).sum((1, -1)) + _TINY).sqrt()


def centre_lines(mask: Bool[Tensor, "batch width"], least: int = 4) -> Bool[Tensor, "batch width"]:
    """The run of measured lines around the middle, and in any case the middle `least` (measured or not)."""
    middle = mask.shape[-1] // 2
    right = mask[:, middle:].long().cumprod(1)
    left = mask[:, :middle].flip(1).long().cumprod(1).flip(1)
    place = torch.arange(mask.shape[-1], device=mask.device)
    near = (place >= middle - least // 2) & (place < middle + (least + 1) // 2)
    # The run must be symmetric: a lopsided window would turn the phase of the maps.
    both = torch.minimum(right.sum(1), left.sum(1))[:, None]
    return ((place >= middle - both) & (place < middle + both)) | near


def sensitivities(
    kspace: Float[Tensor, "batch coils height width 2"], mask: Bool[Tensor, "batch width"]
) -> Float[Tensor, "batch coils height width 2"]:
    """Each coil's sensitivity, estimated from the measured lines around the middle: their images over the images' root sum of
    squares, so that `sum_k |S_k|^2 = 1` (0 where nothing was measured). A Hann window across the lines, and as wide one along
    them, keeps edges from ringing."""
    lines = centre_lines(mask)
    height, width = kspace.shape[-3:-1]
    half = lines.sum(1).clamp(min=2)[:, None] / 2 + 0.5
    window = _hann(width, half, kspace) * lines
    # Along the lines everything is measured: a window of the same share of the height keeps the maps as smooth there.
    tall = _hann(height, half * height / width, kspace)
    low = ifft2c(kspace * window[:, None, None, :, None] * tall[:, None, :, None, None])
    return low / (rss(low)[:, None, ..., None] + 1e-6)


def _hann(size: int, half: Float[Tensor, "batch 1"], like: Tensor) -> Float[Tensor, "batch size"]:
    place = torch.arange(size, device=like.device) - size // 2
    return (torch.cos(torch.pi / 2 * (place / half).clamp(-1, 1)) ** 2).to(like.dtype)
