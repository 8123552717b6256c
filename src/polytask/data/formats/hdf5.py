"""HDF5 files of raw scans as fastMRI lays them out (Zbontar et al. 2018): `kspace`, complex, `(slices, coils, height, width)`.

A row is a slice: `kspace` and `image` are Arrow's fixed-shape tensors, `(coils, height, width, 2)` with real and imaginary
parts and `(height, width)`; `slice` is its number, `file` the file's name. It takes h5py (extra `medical`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import fft

from polytask.core import DataError, MissingExtra
from polytask.core.errors import PolytaskError, collect

from . import _stream

suffixes = (".h5", ".hdf5")
_MARK = b"\x89HDF\r\n\x1a\n"
_IMAGE = "reconstruction_rss"
_KNOWN = ("kspace", "image", "slice", "file")


def sniff(path: Path, head: bytes) -> bool:
    """By the first eight bytes."""
    return head.startswith(_MARK)


def read(path: Path) -> pa.Table:
    """Read `kspace`, and `reconstruction_rss` as `image` where it has the size of the k-space.

    Else an image is the root sum of squares of the coils' inverse transforms (fastMRI's own images are cut to the middle), and
    missing where lines (columns) of the slice are zero, as lines that were left out are: such an image would be no answer.
    Three dimensions are slices of one coil. Raises `DataError` where the file is damaged or `kspace` is none,
    `MissingExtra` without h5py.
    """
    try:
        with _h5py().File(path, "r") as file:
            kspace = _kspace(path, file)
            image = np.asarray(file[_IMAGE], np.float32) if _IMAGE in file else None
    except PolytaskError:
        raise
    except Exception as error:  # h5py raises many kinds of error on damaged files
        raise _stream.damaged(path, "HDF5 file", error) from None
    slices, _, height, width = kspace.shape
    whole = np.ones(slices, bool)
    if image is None or image.shape != (slices, height, width):
        image = np.stack([_rss(one) for one in kspace])
        whole = (kspace != 0).any((1, 2)).all(1)
    parts = np.ascontiguousarray(kspace).view(np.float32).reshape(*kspace.shape, 2)
    images = pa.FixedSizeListArray.from_arrays(pa.array(image.reshape(-1)), height * width, mask=pa.array(~whole))
    columns = {
        "kspace": pa.FixedShapeTensorArray.from_numpy_ndarray(parts),
        "image": pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), (height, width)), images),
        "slice": pa.array(np.arange(slices)),
        "file": pa.array([path.name] * slices),
    }
    return pa.table(columns)


def write(table: pa.Table, path: Path) -> None:
    """Write `kspace`, and `image` where no row lacks it; `slice` and `file` follow from the file.

    Raises `DataError` naming the columns that have no place in it.
    """
    with collect(DataError) as faults:
        for name in table.column_names:
            if name not in _KNOWN:
                faults.add(f"column '{name}'", "has no place in an HDF5 file of a scan", "Write Parquet")
        kind = table.schema.field("kspace").type if "kspace" in table.column_names else pa.null()
        if not isinstance(kind, pa.FixedShapeTensorType) or len(kind.shape) != 4 or kind.shape[-1] != 2:
            faults.add("column 'kspace'", "is missing, or no tensor (coils, height, width, 2)", "Write Parquet")
    with _h5py().File(path, "w") as file:
        parts = np.ascontiguousarray(_tensors(table["kspace"]), np.float32)
        file["kspace"] = parts.view(np.complex64)[..., 0]
        if "image" in table.column_names and not table["image"].null_count:
            file[_IMAGE] = _tensors(table["image"])


def _tensors(column: pa.ChunkedArray) -> NDArray[Any]:
    values: NDArray[Any] = column.combine_chunks().to_numpy_ndarray()
    return values


def _kspace(path: Path, file: Any) -> NDArray[np.complex64]:
    if "kspace" not in file:
        raise DataError.of(str(path), f"holds no 'kspace', but {', '.join(file) or 'nothing'}", "Give a file of raw scans")
    found = np.asarray(file["kspace"])
    found = found[:, None] if found.ndim == 3 else found
    if found.ndim != 4 or not np.iscomplexobj(found) or not len(found):
        problem = f"'kspace' is {found.dtype} of shape {found.shape}"
        raise DataError.of(str(path), problem, "Write complex numbers of shape (slices, coils, height, width)")
    return found.astype(np.complex64)


def _rss(kspace: NDArray[np.complex64]) -> NDArray[np.float32]:
    """The root sum of squares of all coils' centred orthonormal inverse transforms."""
    axes = (-2, -1)
    coils = fft.fftshift(fft.ifft2(fft.ifftshift(kspace, axes), norm="ortho"), axes)
    image: NDArray[np.float32] = np.sqrt((np.abs(coils) ** 2).sum(0)).astype(np.float32)
    return image


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra.of("an HDF5 file", f"needs the package '{error.name}'", "pip install 'polytask[medical]'") from error
    return h5py
