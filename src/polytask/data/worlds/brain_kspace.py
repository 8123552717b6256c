"""Simulated multi-coil k-space of real brain slices (`brain_slices`).

The magnitude images are real, what the scanner adds is simulated: a ring of coils around the head (loops much longer than
wide, along the body: by Biot and Savart each has the field of two long wires), a smooth phase (a random polynomial of second
degree), and complex Gaussian noise in every coil, 30 times weaker than the mean of what is brighter than a twentieth. The ring
is turned, and its coils moved, at random for each slice. Maps are scaled to `sum_k |S_k|^2 = 1`: the noise-free root sum of
squares is the image.

Parts: `test` is a slab of ch2 (positions 70 to 100), the macaque and dipy_s0, which training never sees; `validation` another
slab of ch2 (112 to 128); `train` the MNI mean and the rest of ch2. Between the parts of ch2 at least 10 mm are left out.
"""

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Complex128, Float32, Float64

from polytask.data.real import brain_slices

about = {
    "title": "Brain k-space: what four coils would measure of real brain slices",
    "origin": "magnitudes of brain_slices, coils and noise simulated by this module",
    "licence": "BSD-3-Clause (brain_slices)",
    "rows": 212,
    "sha256": None,
}
tasks = {"image": "map"}
ignore = ["volume", "part"]
modalities: dict[str, list[str]] = {}
split = {"how": "given", "column": "part"}
inputs = {"kspace": {"kind": "kspace", "coils": 4, "height": 32, "width": 32, "acceleration": 4.0}}

SNR = 30.0
SLABS = {"test": (70, 100), "validation": (112, 128)}
GAP = 12


def load() -> pa.Table:
    """Four coils, 32 x 32 points; accelerated fourfold unless `inputs` are declared otherwise."""
    return table()


def table(coils: int = 4, side: int = 32, seed: int = 0) -> pa.Table:
    """`kspace` (float32 list of coils * side * side * 2, fully sampled), `image` (side * side), `volume`, `part`.

    side: a divisor of 64; images are means of pixels.
    """
    slices = brain_slices.load()
    part = np.array([_part(*row) for row in zip(slices["volume"].to_pylist(), slices["position"].to_pylist(), strict=True)])
    kept = np.flatnonzero(part != "")
    pixels = slices["image"].combine_chunks().flatten().to_numpy().reshape(-1, 64, 64)[kept]
    step = 64 // side
    image = (pixels.reshape(-1, side, step, side, step).mean((2, 4)) / 255).astype(np.float32)
    kspace = simulate(image, coils, np.random.default_rng(seed))
    return pa.table(
        {
            "kspace": _lists(kspace),
            "image": _lists(image),
            "volume": slices["volume"].take(pa.array(kept)),
            "part": pa.array(part[kept].tolist()),
        }
    )


def _part(volume: str, position: int) -> str:
    """The part of a slice; none for those between two parts."""
    if volume in ("macaque", "dipy_s0"):
        return "test"
    if volume == "mni":
        return "train"
    for name, (low, high) in SLABS.items():
        if low - GAP < position < high + GAP:
            return name if low <= position <= high else ""
    return "train"


def simulate(
    image: Float32[np.ndarray, "rows side side"], coils: int, rng: np.random.Generator
) -> Float32[np.ndarray, "rows coils side side 2"]:
    """What the coils measure of magnitude images."""
    rows, side, _ = image.shape
    seen = image[:, None] * phases(rows, side, rng)[:, None] * maps(rows, coils, side, rng)
    head = image > 0.05
    mean = (image * head).sum((1, 2)) / head.sum((1, 2)).clip(min=1)
    noise = rng.standard_normal((*seen.shape, 2)) @ np.array([1, 1j]) / np.sqrt(2)
    seen = seen + noise * (mean / SNR)[:, None, None, None]
    moved = torch.fft.ifftshift(torch.from_numpy(seen), dim=(-2, -1))
    spectrum = torch.fft.fftshift(torch.fft.fft2(moved, norm="ortho"), dim=(-2, -1))
    return torch.view_as_real(spectrum).float().numpy()


def _grid(side: int) -> tuple[Float64[np.ndarray, "side 1"], Float64[np.ndarray, "side"]]:
    place = (np.arange(side) + 0.5) * 2 / side - 1
    return place[:, None], place


def phases(rows: int, side: int, rng: np.random.Generator) -> Complex128[np.ndarray, "rows side side"]:
    """Unit complex numbers whose phase is a random polynomial of second degree."""
    y, x = _grid(side)
    terms = np.stack([np.ones((side, side)), x + 0 * y, y + 0 * x, x * y, x**2 + 0 * y, y**2 + 0 * x])
    size = np.array([np.pi, 1.0, 1.0, 0.7, 0.7, 0.7])
    return np.asarray(np.exp(1j * np.tensordot(rng.uniform(-size, size, (rows, 6)), terms, 1)))


def maps(rows: int, coils: int, side: int, rng: np.random.Generator) -> Complex128[np.ndarray, "rows coils side side"]:
    """Transverse fields of loops on a ring, as complex numbers, of unit root sum of squares.

    A long wire at the complex place w has the field `1 / (z - w)` at z; the loop's second wire carries the current back.
    """
    y, x = _grid(side)
    middle = 2 * np.pi * (np.arange(coils) / coils + rng.random((rows, 1))) + rng.uniform(-0.15, 0.15, (rows, coils))
    radius, half = rng.uniform(1.5, 1.8, (rows, coils)), 0.4 * 2 * np.pi / max(coils, 2)
    one, other = ((radius * np.exp(1j * (middle + turn)))[..., None, None] for turn in (half, -half))
    field = 1 / (x + 1j * y - one) - 1 / (x + 1j * y - other)
    return np.asarray(field / np.sqrt((np.abs(field) ** 2).sum(1, keepdims=True)))


def _lists(values: Float32[np.ndarray, "rows ..."]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), int(np.prod(values.shape[1:])))
