"""JSON: an object a line, or one array of objects."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.json

from polytask.core import DataError
from polytask.data import _records

from . import _stream

_LINES = _stream.with_compressions(".jsonl", ".ndjson")
suffixes = _LINES + _stream.with_compressions(".json")
_BLOCK = 1 << 24


def sniff(path: Path, head: bytes) -> bool:
    """Text that begins with `{` or `[`."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and b"\0" not in head


def read(path: Path) -> pa.Table:
    """Read lines of objects or an array of objects; keys that an object lacks are missing cells.

    Columns of mixed types are read as strings, with a warning. Raises `DataError` naming the line of a fault.
    """
    content = _stream.read(path).removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise DataError.of(str(path), "is empty", "Give a file with an object a line")
    if content.lstrip().startswith(b"["):
        return _records.from_rows(_parsed(path, content, 1), str(path))
    try:
        return pyarrow.json.read_json(pa.py_buffer(content), pyarrow.json.ReadOptions(block_size=_BLOCK))
    except pa.ArrowInvalid:  # a broken line, or a column of mixed types: the slow way tells which
        lines = enumerate(content.split(b"\n"), 1)
        return _records.from_rows([_parsed(path, line, number) for number, line in lines if line.strip()], str(path))


def write(table: pa.Table, path: Path) -> None:
    """Write an object a line, or one array where the suffix is .json."""
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    text = io.StringIO()
    frame.to_json(text, orient="records", lines=path.name.lower().endswith(_LINES), date_format="iso", date_unit="us")
    with _stream.sink(path) as sink:
        sink.write(text.getvalue().encode())


def _parsed(path: Path, text: bytes, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{path}: line {line + error.lineno - 1}, character {error.colno}"
        raise DataError.of(where, f"is no JSON: {error.msg}", "Mend the line, or remove it") from None
    except UnicodeDecodeError:
        raise DataError.of(f"{path}: line {line}", "is not UTF-8", "Save the file as UTF-8") from None
