"""Apache Parquet."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from polytask.core import DataError

suffixes = (".parquet", ".pq")
_INDEX = re.compile(r"__index_level_\d+__")


def sniff(path: Path, head: bytes) -> bool:
    """By the first four bytes."""
    return head.startswith(b"PAR1")


def read(path: Path) -> pa.Table:
    """Read a file, without the nameless index that pandas may have stored. Raises `DataError` where it is damaged."""
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise DataError.of(str(path), f"is no whole Parquet file: {error}", "Write or copy it again") from None
    return table.select([name for name in table.column_names if not _INDEX.fullmatch(name)])


def write(table: pa.Table, path: Path) -> None:
    """Write, compressed with zstd."""
    pq.write_table(table, path, compression="zstd")
