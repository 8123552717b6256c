"""Reads the Parquet files that ship with the package, and refuses one that is not the file it was."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

import pyarrow as pa
import pyarrow.parquet as pq

from polytask.core.errors import DataError

FOLDER: Traversable = files(__package__ or "polytask.data.real").joinpath("files")


def read(name: str, sha256: str, folder: Traversable = FOLDER) -> pa.Table:
    """The table of `<name>.parquet` in `folder`.

    Raises `DataError` where the file is missing or its bytes do not have this SHA-256.
    """
    try:
        content = folder.joinpath(f"{name}.parquet").read_bytes()
    except FileNotFoundError:
        raise DataError.of(f"data set '{name}'", "its file is not in the package", "Install polytask again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        problem = f"its file has SHA-256 {found[:12]}..., expected {sha256[:12]}..."
        raise DataError.of(f"data set '{name}'", problem, "Install polytask again")
    return pq.read_table(pa.BufferReader(content))
