"""JSON: an object a line, or one array of objects."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json

from polytask.core import DataError, Fault
from polytask.core.errors import collect
from polytask.data import _records

from . import _stream

_LINES = _stream.with_compressions(".jsonl", ".ndjson")
suffixes = _LINES + _stream.with_compressions(".json")
_BLOCK = 1 << 24
_ROWS = 1 << 16


def sniff(path: Path, head: bytes) -> bool:
    """Text that begins with `{`, `[` or a line `null`."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return (text[:1] in (b"{", b"[") or text.split(b"\n", 1)[0].strip() == b"null") and b"\0" not in head


def read(path: Path) -> pa.Table:
    """Read lines of objects or an array of objects; keys that an object lacks are missing cells. `.json` may hold columns.

    Columns of mixed types are read as strings, with a warning. Raises `DataError` naming the line of a fault.
    """
    content = _stream.read(path).removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise DataError.of(str(path), "is empty", "Give a file with an object a line")
    if content.lstrip().startswith(b"["):
        return _records.from_rows(_parsed(path, content, 1), str(path))
    if not path.name.lower().endswith(_LINES) and (columns := _columns(content)):
        return _records.from_columns(columns, str(path))
    if not content.lstrip().startswith(b"{"):  # a first `null` would crash Arrow's reader
        return _records.from_rows(_lines(path, content), str(path))
    try:
        table = pyarrow.json.read_json(pa.py_buffer(content), pyarrow.json.ReadOptions(block_size=_BLOCK))
        table.validate(full=True)  # strings may hold any bytes until then
        return table
    except (pa.ArrowException, UnicodeError):  # a broken line, or a column of mixed types: the slow way tells which
        return _records.from_rows(_lines(path, content), str(path))


def write(table: pa.Table, path: Path) -> None:
    """Write an object a line, or one array where the suffix is .json."""
    lines = path.name.lower().endswith(_LINES)
    between, start, end = ("\n", "", "\n") if lines else (",", "[", "]\n")
    with _stream.sink(path) as sink:
        before = start
        for batch in table.to_batches(_ROWS):
            rows = [json.dumps(_plain(row), ensure_ascii=False) for row in batch.to_pylist()]
            sink.write((before + between.join(rows)).encode())
            before = between
        sink.write(end.encode())


def _plain(value: Any) -> Any:
    """What JSON can say: no number for NaN and infinities, ISO 8601 for moments, text for the rest."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _columns(content: bytes) -> dict[str, list[Any]]:
    """The columns of a single object of lists, or of objects by row as pandas writes them; nothing for other content."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):  # an object a line
        return {}
    values = list(found.values()) if isinstance(found, dict) else []
    if any(not isinstance(value, (list, dict)) or len(value) < 2 for value in values):
        return {}
    if all(isinstance(value, list) for value in values):
        return dict(found)
    if all(isinstance(value, dict) and list(value) == list(values[0]) for value in values):
        return {name: list(cells.values()) for name, cells in found.items()}
    return {}


def _lines(path: Path, content: bytes) -> list[dict[str, Any]]:
    """The object of each line. Raises `DataError` with the first lines that hold none."""
    found = []
    with collect(DataError) as faults:
        for number, line in enumerate(content.split(b"\n"), 1):
            if not line.strip():
                continue
            with faults.gather():
                found.append(_parsed(path, line, number))
                if not isinstance(found[-1], dict):
                    problem = f"holds {found[-1]!r}, not an object"[:200]
                    faults.add(f"{path}: line {number}", problem, "Write each line as {column: value}")
            if len(faults.found) == Fault.SHOWN:
                break
    return found


def _parsed(path: Path, text: bytes, line: int) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError.of(f"{path}: line {line}", "is nested too deeply", "Write flat objects") from None
    except json.JSONDecodeError as error:
        where = f"{path}: line {line + error.lineno - 1}, character {error.colno}"
        raise DataError.of(where, f"is no JSON: {error.msg}", "Mend the line, or remove it") from None
    except UnicodeDecodeError:
        raise DataError.of(f"{path}: line {line}", "is not UTF-8", "Save the file as UTF-8") from None
