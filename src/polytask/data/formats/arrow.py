"""Arrow's own format (Feather version 2): files and streams."""

from pathlib import Path

import pyarrow as pa

from . import _stream

suffixes = (".arrow", ".feather", ".ipc", ".arrows")
_FILE, _STREAM = b"ARROW1", b"\xff\xff\xff\xff"


def sniff(path: Path, head: bytes) -> bool:
    """By the first bytes, of a file or of a stream."""
    return head.startswith((_FILE, _STREAM))


def read(path: Path) -> pa.Table:
    """Read a file or a stream. Raises `DataError` where it is damaged."""
    try:
        with pa.OSFile(str(path)) as file:
            whole = file.read(len(_FILE)) == _FILE
            file.seek(0)
            table = (pa.ipc.open_file if whole else pa.ipc.open_stream)(file).read_all()
        table.validate(full=True)  # before anything looks at offsets that may point anywhere
        return table.rename_columns(table.column_names)  # names that are no UTF-8 show here
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _stream.damaged(path, "Arrow file", error) from None


def write(table: pa.Table, path: Path) -> None:
    """Write a stream where the suffix is .arrows, else a file."""
    with pa.OSFile(str(path), "wb") as file:
        new = pa.ipc.new_stream if path.name.endswith(".arrows") else pa.ipc.new_file
        with new(file, table.schema) as writer:
            writer.write_table(table)
