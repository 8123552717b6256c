"""Raw scans in HDF5: what is read, what is computed, and faults."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import DataError, Record
from polytask.data import read
from polytask.inputs.kspace import KSpace
from polytask.nn.fourier import ifft2c, rss
from polytask.tasks.map import Map

h5py = pytest.importorskip("h5py")


def scan(slices: int = 4, coils: int = 3, height: int = 6, width: int = 10) -> np.ndarray:
    draw = np.random.default_rng(0).normal(size=(2, slices, coils, height, width))
    return np.asarray((draw[0] + 1j * draw[1]).astype(np.complex64))


def saved(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def numbers(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].combine_chunks().to_numpy_ndarray())


@pytest.mark.parametrize("name", ["scan.h5", "scan.hdf5", "scan.raw"])
def test_a_row_is_a_slice(tmp_path: Path, name: str) -> None:
    table = read.table(str(saved(tmp_path / name, kspace=scan())))
    assert table.column_names == ["kspace", "image", "slice", "file"]
    assert table["slice"].to_pylist() == [0, 1, 2, 3]
    assert set(table["file"].to_pylist()) == {name}
    parts = numbers(table, "kspace")
    np.testing.assert_array_equal(parts[..., 0] + 1j * parts[..., 1], scan())


def test_the_image_is_the_root_sum_of_squares_of_the_inverse_transform(tmp_path: Path) -> None:
    table = read.table(saved(tmp_path / "a.h5", kspace=scan()))
    parts = torch.from_numpy(np.stack([scan().real, scan().imag], -1))
    np.testing.assert_allclose(numbers(table, "image"), rss(ifft2c(parts)).numpy(), rtol=1e-5)


def test_a_stored_image_of_the_right_size_is_taken(tmp_path: Path) -> None:
    image = np.random.default_rng(1).random((4, 6, 10)).astype(np.float32)
    table = read.table(saved(tmp_path / "a.h5", kspace=scan(), reconstruction_rss=image))
    np.testing.assert_array_equal(numbers(table, "image"), image)
    cut = read.table(saved(tmp_path / "b.h5", kspace=scan(), reconstruction_rss=image[:, 1:5, 3:7]))
    assert numbers(cut, "image").shape == (4, 6, 10), "one cut to the middle is not"


def test_a_slice_with_lines_left_out_has_no_image(tmp_path: Path) -> None:
    kspace = scan()
    kspace[1, :, :, 2:4] = 0
    table = read.table(saved(tmp_path / "a.h5", kspace=kspace))
    assert table["image"].is_valid().to_pylist() == [True, False, True, True]


def test_one_coil_has_no_axis(tmp_path: Path) -> None:
    table = read.table(saved(tmp_path / "a.h5", kspace=scan()[:, 0]))
    assert numbers(table, "kspace").shape == (4, 1, 6, 10, 2)


def test_inputs_and_tasks_learn_all_sizes_from_it(tmp_path: Path) -> None:
    table = read.table(saved(tmp_path / "a.h5", kspace=scan()))
    item = KSpace(name="kspace").fit(table["kspace"])
    task = Map(name="image", columns=("image",)).fit([table["image"]])
    assert KSpace.recognises("kspace", table["kspace"])
    assert ((item.coils, item.height, item.width), task.output_shape) == ((3, 6, 10), (6, 10))
    record, _ = item.encode(table["kspace"])
    assert isinstance(record, Record)
    target, _ = task.encode([table["image"]])
    image = rss(ifft2c(record["kspace"])) * record["scale"][:, None, None] / task.scale
    torch.testing.assert_close(image, target, rtol=1e-4, atol=1e-5)


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    table = read.table(saved(tmp_path / "a.h5", kspace=scan()))
    (tmp_path / "other").mkdir()
    read.write(table, tmp_path / "other" / "a.h5")
    assert read.table(tmp_path / "other" / "a.h5").equals(table)
    with pytest.raises(DataError, match=r"column 'age': has no place[\s\S]*column 'kspace': is missing"):
        read.write(pa.table({"age": [1]}), tmp_path / "c.h5")


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no 'kspace', but volume"):
        read.table(saved(tmp_path / "a.h5", volume=np.ones(3)))
    with pytest.raises(DataError, match=r"'kspace' is float64 of shape \(4, 3, 6, 10\)"):
        read.table(saved(tmp_path / "b.h5", kspace=scan().real.astype(np.float64)))
    broken = saved(tmp_path / "c.h5", kspace=scan())
    broken.write_bytes(broken.read_bytes()[:600])
    with pytest.raises(DataError, match="is no whole HDF5 file"):
        read.table(broken)
