"""Row groups of Parquet files, read a piece at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polytask.core import DataError
from polytask.core.errors import collect

from . import _memory

_SUFFIXES = (".parquet", ".pq")
_BUFFER = 1 << 16
"""Bytes read at once from a column, so that an open row group is not held whole."""


@dataclass(frozen=True)
class Group:
    """A row group of a file; its first row is row `start` of all files."""

    path: Path
    number: int
    start: int
    rows: int
    metadata: pq.FileMetaData = field(repr=False, compare=False)

    def pieces(self, most: int, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
        """The rows, `most` at a time, with the number of the first. Raises `DataError` where the file is damaged."""
        start = self.start
        try:
            with pq.ParquetFile(self.path, metadata=self.metadata, buffer_size=_BUFFER, pre_buffer=False) as file:
                for piece in file.iter_batches(most, [self.number], columns, use_threads=False):
                    yield start, pa.Table.from_batches([piece])
                    start += piece.num_rows
        except (pa.ArrowException, OSError) as error:
            problem = f"row group {self.number} cannot be read: {str(error).splitlines()[0]}"
            raise DataError.of(str(self.path), problem, "Write or copy the file again") from None


def groups(source: Path | str) -> tuple[list[Group], str]:
    """The row groups of a Parquet file, or of all in a folder in the order of their names, and a digest of what they hold.

    The digest is of the footers: the place, size and extremes of every column of every row group.
    Raises `DataError` for what is no Parquet file, and for files of other columns than the first.
    """
    path = Path(source)
    files = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise DataError.of(str(path), "holds no Parquet file", "Name a Parquet file, or a folder of them")
    found: list[Group] = []
    total, start = hashlib.sha256(), 0
    first: pa.Schema | None = None
    with collect(DataError) as faults:
        for file in files:
            with faults.gather():
                metadata = _metadata(file)
                own = metadata.schema.to_arrow_schema().remove_metadata()
                first = own if first is None else first
                if not own.equals(first):
                    faults.add(str(file), f"has other columns or types than {files[0].name}", "Give all files the same")
                total.update(repr(metadata.to_dict()).encode())
                for number in range(metadata.num_row_groups):
                    found.append(Group(file, number, start, metadata.row_group(number).num_rows, metadata))
                    start += found[-1].rows
        if not start and not faults.found:
            faults.add(str(path), "has no rows", "Give at least one")
    return found, total.hexdigest()


def require_room(source: Any) -> None:
    """Raise `DataError` where a Parquet file would not fit in memory beside its encoded rows."""
    if not isinstance(source, (str, Path)) or not str(source).endswith(_SUFFIXES) or not Path(source).is_file():
        return
    try:
        found = pq.read_metadata(source)
    except (pa.ArrowException, OSError):
        return  # whoever reads it will say so
    size, most = sum(found.row_group(number).total_byte_size for number in range(found.num_row_groups)), _memory.total()
    if most is not None and 2 * size > most:
        problem = f"takes {2 * size / 1e9:.1f} GB with its encoded rows, and this machine has {most / 1e9:.1f} GB of memory"
        raise DataError.of(str(source), problem, "Stream it: polytask fit --stream, or {file: PATH, stream: true}")


def columns(found: Sequence[Group]) -> pa.Schema:
    """The names and types of the columns."""
    return found[0].metadata.schema.to_arrow_schema()


def _metadata(file: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except FileNotFoundError:
        raise DataError.of(str(file), "no such file", "Name a Parquet file, or a folder of them") from None
    except (pa.ArrowException, OSError):
        fix = "Write it as Parquet first: df.to_parquet(path, row_group_size=50_000)"
        raise DataError.of(str(file), "is no Parquet file, and only those are streamed", fix) from None
