"""GNU recfiles: lines `Field: value`, an empty line between records."""

from pathlib import Path

import pyarrow as pa

from polytask.core import DataError
from polytask.data import _records
from polytask.data.formats import _stream

suffixes = _stream.with_compressions(".rec")


def sniff(path: Path, head: bytes) -> bool:
    """Only the suffix tells: many texts have a colon in their first line."""
    return path.name.lower().endswith(suffixes)


def read(path: Path) -> pa.Table:
    """Read all records as texts. Raises `DataError` naming the first line without a field."""
    records: list[dict[str, str]] = [{}]
    for number, line in enumerate(_stream.read(path).decode("utf-8", "replace").splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            records.append({})
        elif not line.startswith("#"):
            if not colon:
                raise DataError.of(f"{path}: line {number}", f"has no field: {line!r}", "Write Field: value")
            records[-1][name.strip()] = value.strip()
    return _records.from_rows([record for record in records if record], str(path))


def write(table: pa.Table, path: Path) -> None:
    """Write a record a row; missing cells are left out."""
    blocks = ["".join(f"{name}: {value}\n" for name, value in row.items() if value is not None) for row in table.to_pylist()]
    with _stream.sink(path) as sink:
        sink.write("\n".join(blocks).encode())
