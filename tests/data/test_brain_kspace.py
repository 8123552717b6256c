"""Simulated coils and the parts of the real slices."""

import numpy as np
import pytest
import torch

from polytask.data import shipped
from polytask.data.real import brain_slices
from polytask.data.worlds import brain_kspace
from polytask.nn.fourier import fft2c, ifft2c, rss, sense_combine


def numbers(table: object, name: str, *shape: int) -> np.ndarray:
    column = table[name]  # type: ignore[index]
    return np.asarray(column.combine_chunks().flatten().to_numpy()).reshape(-1, *shape)


def test_maps_are_of_unit_power_and_smooth() -> None:
    maps = brain_kspace.maps(5, 4, 32, np.random.default_rng(0))
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(1), 1)
    assert np.abs(np.diff(maps, axis=-1)).max() < 0.25
    strongest = np.abs(maps).reshape(5, 4, -1).argmax(-1)
    assert all(len(set(row)) == 4 for row in strongest.tolist()), "each coil is nearest to a place of its own"


def test_phases_are_smooth_unit_numbers() -> None:
    phases = brain_kspace.phases(5, 32, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(phases), 1)
    steps = np.angle(phases[:, :, 1:] / phases[:, :, :-1])
    assert np.abs(steps).max() < 0.5
    assert np.abs(steps).max() > 0.01


def test_the_noise_is_as_weak_as_stated() -> None:
    image = np.ones((40, 16, 16), np.float32)
    kspace = brain_kspace.simulate(image, 4, np.random.default_rng(0))
    coils = ifft2c(torch.from_numpy(kspace))
    clean = np.random.default_rng(0)  # phases and maps are drawn first
    true = brain_kspace.phases(40, 16, clean)[:, None] * brain_kspace.maps(40, 4, 16, clean)
    noise = torch.view_as_complex(coils) - torch.from_numpy(true)
    assert float(noise.abs().square().mean()) ** 0.5 == pytest.approx(1 / brain_kspace.SNR, rel=0.02)
    combined = sense_combine(coils, torch.view_as_real(torch.from_numpy(true)).float())
    assert float((combined[..., 0] - 1).abs().mean()) < 1 / brain_kspace.SNR, "the coils sum to the image"


def test_the_table_holds_the_k_space_of_its_images() -> None:
    table = brain_kspace.table(coils=3, side=16, seed=1)
    image, kspace = numbers(table, "image", 16, 16), torch.from_numpy(numbers(table, "kspace", 3, 16, 16, 2).copy())
    found = rss(ifft2c(kspace)).numpy()
    assert np.abs(found - image).mean() < 0.05 * image.mean() * 3
    torch.testing.assert_close(fft2c(ifft2c(kspace)), kspace)
    assert brain_kspace.table(side=16, seed=1).equals(brain_kspace.table(side=16, seed=1))
    assert not brain_kspace.table(side=16, seed=2)["kspace"].equals(brain_kspace.table(side=16, seed=1)["kspace"])


def test_parts_share_no_slab() -> None:
    slices, table = brain_slices.load(), brain_kspace.load()
    assert table.num_rows == brain_kspace.about["rows"]
    parts: dict[str, set[str]] = {}
    for volume, part in zip(table["volume"].to_pylist(), table["part"].to_pylist(), strict=True):
        parts.setdefault(part, set()).add(volume)
    assert parts == {"train": {"mni", "ch2"}, "validation": {"ch2"}, "test": {"ch2", "macaque", "dipy_s0"}}
    named = [(v, p) for v, p in zip(slices["volume"].to_pylist(), slices["position"].to_pylist(), strict=True) if v == "ch2"]
    place = {p: brain_kspace._part(v, p) for v, p in named}
    for a, first in place.items():
        for b, second in place.items():
            assert not first or not second or first == second or abs(a - b) >= 10, (a, first, b, second)


def test_it_is_a_simulated_data_set() -> None:
    assert shipped.simulated("brain_kspace")
    assert not shipped.simulated("brain_slices")


def test_real_slices_are_images() -> None:
    table = brain_slices.load()
    pixels = numbers(table, "image", 64, 64)
    assert len(pixels) == brain_slices.about["rows"]
    assert pixels.dtype == np.uint8
    assert float(pixels.max((1, 2)).min()) > 100, "no slice is empty"
    axial = np.array(table["axis"].to_pylist()) == "axial"
    assert bool(((pixels[axial] > 25).mean((1, 2)) > 0.03).all())
