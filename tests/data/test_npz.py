"""NumPy archives: arrays become columns and come back; what is no row of arrays is refused by name."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from polytask.core import DataError
from polytask.data import read

RNG = np.random.default_rng(0)
ARRAYS = {
    "pixels": RNG.integers(0, 256, (5, 3, 4, 4), dtype=np.uint8),
    "action": RNG.uniform(-1, 1, (5, 2)).astype(np.float32),
    "reward": np.array([0.5, np.nan, 1, 2, 3]),
    "episode": np.array([0, 0, 0, 1, 1]),
    "name": np.array(["a", "b", "c", "d", "e"]),
}


def test_arrays_become_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **ARRAYS)
    table = read.table(tmp_path / "a.npz")
    assert table.column_names == list(ARRAYS)
    assert table["pixels"].type == pa.fixed_shape_tensor(pa.uint8(), (3, 4, 4))
    assert np.array_equal(table["pixels"].combine_chunks().to_numpy_ndarray(), ARRAYS["pixels"])
    assert table["action"].type == pa.list_(pa.float32(), 2)
    assert table["reward"].to_pylist() == [0.5, None, 1, 2, 3]
    assert table["name"].to_pylist() == list("abcde")


def test_round_trip(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    table = read.table(tmp_path / "a.npz").append_column("file", [["v", "w", "x", "y", "z"]])
    read.write(table, tmp_path / "b.npz")
    assert read.table(tmp_path / "b.npz").equals(table)
    with np.load(tmp_path / "b.npz") as written:
        assert all(np.array_equal(written[name], values, equal_nan=name == "reward") for name, values in ARRAYS.items())


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    other = (tmp_path / "a.npz").rename(tmp_path / "a.data")
    assert read.table(other)["x"].to_pylist() == [0, 1, 2]


def test_unequal_lengths_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(3), b=np.zeros((3, 2)), c=np.zeros(4), d=np.array(1.0))
    with pytest.raises(DataError) as error:
        read.table(tmp_path / "a.npz")
    assert "array 'c' has 4 rows, others have 3" in str(error.value).replace(":", "")
    assert "'d'" in str(error.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}, {}, {}], dtype=object))
    with pytest.raises(DataError, match="array 'a'"):
        read.table(tmp_path / "a.npz")


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(100))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="no whole NumPy archive"):
        read.table(tmp_path / "a.npz")


def test_what_no_array_holds_is_refused(tmp_path: Path) -> None:
    table = pa.table({"words": ["a", None], "ragged": [[1], [1, 2]], "fine": [1, None]})
    with pytest.raises(DataError) as error:
        read.write(table, tmp_path / "a.npz")
    assert "'words'" in str(error.value)
    assert "'ragged'" in str(error.value)
    assert not list(tmp_path.iterdir())
