"""Fourier operators against numpy's definition, adjointness, and coil maps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polytask.nn import fourier
from polytask.nn.total_variation import reconstruct, shrink, total_variation


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inner(a: Tensor, b: Tensor) -> complex:
    """The complex inner product of pairs."""
    return complex((torch.view_as_complex(a).conj() * torch.view_as_complex(b)).sum())


@given(st.integers(1, 7), st.integers(1, 7))
@settings(max_examples=20, deadline=None)
def test_the_transform_is_the_sum_it_stands_for(height: int, width: int) -> None:
    x = random(height, width, 2)
    image = torch.view_as_complex(x).numpy()
    y, u = np.arange(height) - height // 2, np.arange(width) - width // 2
    rows = np.exp(-2j * np.pi * np.outer(y, y) / height) / np.sqrt(height)
    columns = np.exp(-2j * np.pi * np.outer(u, u) / width) / np.sqrt(width)
    np.testing.assert_allclose(torch.view_as_complex(fourier.fft2c(x)).numpy(), rows @ image @ columns.T, atol=1e-12)
    torch.testing.assert_close(fourier.ifft2c(fourier.fft2c(x)), x)


def test_a_constant_image_is_one_point_in_the_middle() -> None:
    image = torch.zeros(6, 5, 2)
    image[..., 0] = 1
    spectrum = fourier.fft2c(image)
    expected = torch.zeros(6, 5, 2)
    expected[3, 2, 0] = 30**0.5
    torch.testing.assert_close(spectrum, expected)


def test_operators_are_adjoint() -> None:
    a, b = random(2, 3, 5, 4, 2), random(2, 3, 5, 4, 2, seed=1)
    assert inner(fourier.fft2c(a), b) == pytest.approx(inner(a, fourier.ifft2c(b)))
    maps, image = random(2, 3, 5, 4, 2, seed=2), random(2, 5, 4, 2, seed=3)
    assert inner(fourier.sense_expand(image, maps), a) == pytest.approx(inner(image, fourier.sense_combine(a, maps)))


def test_rss_keeps_coil_power_and_its_gradient_is_finite_at_zero() -> None:
    x = random(1, 2, 3, 3, 2)
    expected = torch.view_as_complex(x).abs().square().sum(1).sqrt()
    torch.testing.assert_close(fourier.rss(x), expected)
    zero = torch.zeros(1, 2, 3, 3, 2, requires_grad=True)
    fourier.rss(zero).sum().backward()
    assert zero.grad is not None
    assert bool(zero.grad.isfinite().all())


def test_centre_lines_are_the_run_around_the_middle() -> None:
    mask = torch.tensor([[1, 0, 1, 1, 1, 1, 1, 0, 1, 0], [1, 1, 0, 0, 0, 1, 0, 1, 1, 1]], dtype=torch.bool)
    found = fourier.centre_lines(mask, least=2)
    assert found[0].nonzero().flatten().tolist() == [3, 4, 5, 6], "symmetric around line 5, which the run 2..6 allows"
    assert found[1].nonzero().flatten().tolist() == [4, 5], "no run: the middle"


def test_maps_are_of_unit_power_and_near_the_true_ones() -> None:
    side, angle = 32, torch.tensor([0.0, 1.6, 3.1, 4.7])
    place = torch.linspace(-1, 1, side)
    # A constant phase of each coil, and a strength that changes smoothly: half of the lines tell them.
    strength = 1.5 + place[None, :, None] * angle.cos()[:, None, None] + place[None, None] * angle.sin()[:, None, None]
    true = torch.view_as_real(torch.polar(strength, angle[:, None, None].expand_as(strength).contiguous()))
    true = (true / (true**2).sum((0, -1), keepdim=True).sqrt())[None]
    image = torch.zeros(1, side, side, 2)
    image[:, 6:-6, 6:-6, 0] = 1
    kspace = fourier.fft2c(fourier.sense_expand(image, true))
    mask = (torch.arange(side) >= 8) & (torch.arange(side) < 24)
    found = fourier.sensitivities(kspace * mask[:, None], mask[None])
    inside = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    torch.testing.assert_close((found**2).sum((1, -1))[:, 4:-4, 4:-4], torch.ones(1, 24, 24), rtol=0, atol=1e-3)
    assert float((found[inside] - true[inside]).abs().max()) < 0.1


def test_maps_ignore_lines_outside_the_middle() -> None:
    kspace, mask = random(1, 2, 16, 16, 2).float(), torch.zeros(1, 16, dtype=torch.bool)
    mask[:, 5:11], mask[:, 2] = True, True
    changed = kspace.clone()
    changed[..., 2, :] = 7.0
    torch.testing.assert_close(fourier.sensitivities(kspace, mask), fourier.sensitivities(changed, mask))


@pytest.mark.parametrize("weight", [0.0, 0.2, 0.5, 3.0])
def test_two_pixels_shrink_towards_each_other(weight: float) -> None:
    """Of two pixels the difference, complex, loses twice the weight in length; the mean stays."""
    image = torch.tensor([[[[1.0, 0.5], [-0.2, 2.1]]]])  # the difference is (-1.2, 1.6), 2 long
    difference, mean = image[0, 0, 1] - image[0, 0, 0], image.mean(2, keepdim=True)
    left = difference * max(1 - weight, 0)
    expected = mean + torch.stack([-left, left])[None, None] / 2
    torch.testing.assert_close(shrink(image, weight, steps=100), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(shrink(image.transpose(1, 2), weight, steps=100), expected.transpose(1, 2), rtol=0, atol=1e-4)


def test_total_variation_counts_edges() -> None:
    image = torch.zeros(1, 5, 6, 2)
    image[:, 1:3, 2:5, 0] = 2.0  # 2 x 3 pixels: all edges count, the outer corner (down and right at once) as a diagonal
    straight = 2 * (2 + 3 + 2 + 3)
    assert float(total_variation(image)) == pytest.approx(straight - 2 * (2 - 2**0.5), abs=1e-4)


def test_full_sampling_without_a_penalty_gives_the_image_back() -> None:
    maps = random(1, 3, 8, 8, 2).float()
    maps = maps / (maps**2).sum((1, -1), keepdim=True).sqrt()
    image, mask = random(1, 8, 8, 2, seed=1).float(), torch.ones(1, 8, dtype=torch.bool)
    measured = fourier.fft2c(fourier.sense_expand(image, maps))
    torch.testing.assert_close(reconstruct(measured, mask, maps, 0.0, steps=3), image, rtol=0, atol=1e-5)


def test_more_steps_lower_the_objective() -> None:
    maps = random(1, 2, 8, 8, 2).float()
    maps = maps / (maps**2).sum((1, -1), keepdim=True).sqrt()
    mask = torch.arange(8)[None] % 3 != 0
    measured = fourier.fft2c(fourier.sense_expand(random(1, 8, 8, 2, seed=1).float(), maps)) * mask[:, None, None, :, None]

    def objective(steps: int) -> float:
        x = reconstruct(measured, mask, maps, 0.05, steps)
        error = mask[:, None, None, :, None] * fourier.fft2c(fourier.sense_expand(x, maps)) - measured
        return float(0.5 * (error**2).sum() + 0.05 * total_variation(x).sum())

    assert objective(30) < objective(8) < objective(1)
