"""Bytes of a file, compressed or not, as its suffix (.gz, .zst) says."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from polytask.core import DataError, Fault

COMPRESSIONS = ("", ".gz", ".zst")


def with_compressions(*suffixes: str) -> tuple[str, ...]:
    """Each suffix, alone and compressed."""
    return tuple(suffix + compression for suffix in suffixes for compression in COMPRESSIONS)


def read(path: Path, most: int | None = None) -> bytes:
    """All bytes, or the first `most`. Raises `DataError` where decompression fails."""
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            found: bytes = stream.read(most)
            return found
    except OSError as error:
        raise DataError.of(
            str(path), f"cannot be read: {error}", "Is the file whole, and compressed as its suffix says?"
        ) from None


def damaged(path: Path, kind: str, error: Exception) -> DataError:
    """The error of a file that is cut or changed; `error` is what its reader said."""
    said = (str(error).splitlines() or [type(error).__name__])[0].removeprefix(
        f"Could not open {kind.removesuffix(' file')} input source '{path}': "
    )
    return DataError(Fault(str(path), f"is no whole {kind}: {said[:200].rstrip('. ')}", "Write or copy it again"))


def sink(path: Path) -> Any:
    """A stream to write bytes to, compressed as the suffix says; to be closed by `with`."""
    return pa.output_stream(str(path), compression="detect")
