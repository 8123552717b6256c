"""Apache Parquet."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from . import _stream

suffixes = (".parquet", ".pq")
_INDEX = re.compile(r"__index_level_\d+__")


def sniff(path: Path, head: bytes) -> bool:
    """By the first four bytes."""
    return head.startswith(b"PAR1")


def read(path: Path) -> pa.Table:
    """Read a file, without the nameless index that pandas may have stored. Raises `DataError` where it is damaged."""
    try:
        table = pq.read_table(path, partitioning=None, pre_buffer=False)  # the file is not held beside its table
        table.validate(full=True)  # before anything looks at offsets that may point anywhere
        names = [name for name in table.column_names if not _INDEX.fullmatch(name)]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _stream.damaged(path, "Parquet file", error) from None
    return table.select(names)


def write(table: pa.Table, path: Path) -> None:
    """Write, compressed with zstd."""
    pq.write_table(table, path, compression="zstd")
