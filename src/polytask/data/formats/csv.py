"""Comma-separated values, and their cousins with semicolons, tabs and pipes.

Columns are read as strings and take the first type that all their cells have: whole numbers, numbers, booleans, ISO 8601
moments; else they stay strings, as they do where numbers begin with zeros (codes) or would not fit 64 bits.
"""

import csv
import io
import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from polytask.core import DataError
from polytask.core.errors import collect

from . import _stream

suffixes = _stream.with_compressions(".csv", ".tsv", ".tab", ".txt")
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "?", "-")
"""Cells that stand for a missing value, blanks around them aside."""
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a]")
_HEAD = 1 << 16
_SHOWN = 5
_BLOCK = 1 << 24
_CODE = r"^[+-]?0[\dxX]"
_WHOLE = r"^[+-]?\d+$"
_TYPES = (pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
_OPEN = "Is a quotation mark left open?"
_DECIMAL_COMMA = r"^[+-]?(\d+(,\d*)?|,\d+)([eE][+-]?\d+)?$"


def sniff(path: Path, head: bytes) -> bool:
    """Text that does not begin like JSON."""
    if _encoding(head) != "utf-8":
        return True
    return not _CONTROL.search(head) and head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"{", b"[", b"")


def read(path: Path) -> pa.Table:
    """Read a file with a header. The delimiter and UTF-16 are detected; what is no UTF-8 is read as Latin-1, with a warning.

    A semicolon file may have decimal commas. Columns without a name are called `unnamed: NUMBER`. Raises `DataError` for an
    empty file, a header alone, and every row with too few or too many cells.
    """
    content = _stream.read(path)
    if not content.strip(b"\xef\xbb\xbf \t\r\n"):
        raise DataError.of(str(path), "is empty", "Give a file with a header and rows")
    encoding = _encoding(content[:_HEAD])
    if encoding == "utf-8":
        content, encoding = _utf8(path, content)
    size = max(_HEAD, content.find(b"\n") + 2)  # the whole header, however wide the table
    head = content[:size].decode(encoding, errors="ignore")
    delimiter = _delimiter(head, whole=len(content) <= size)
    names = next(csv.reader(io.StringIO(head.lstrip("\ufeff\r\n"), newline=""), delimiter=delimiter))
    table = _strings(path, content, encoding, delimiter, len(names))
    if table.num_rows < 2:
        raise DataError.of(str(path), "has a header and no rows", "Give a file with rows")
    header = [column[0].as_py().strip() or f"unnamed: {number}" for number, column in enumerate(table.columns)]
    return pa.table([_typed(column, delimiter) for column in table.slice(1).columns], header)


def write(table: pa.Table, path: Path) -> None:
    """Write with commas; missing cells are empty. Raises `DataError` for columns that no cell can hold, such as lists."""
    with collect(DataError) as faults:
        for field in table.schema:
            if pa.types.is_nested(field.type):
                faults.add(
                    f"column '{field.name}'", f"cells of type {field.type} do not fit CSV", "Write Parquet or JSON lines"
                )
    plain = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    with _stream.sink(path) as sink:
        pyarrow.csv.write_csv(pa.table(plain, table.column_names), sink)


def _encoding(head: bytes) -> str:
    """UTF-16 by its mark, or by zeros in every other byte of plain text; else UTF-8, of which `_utf8` makes sure."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    odd = np.frombuffer(head[: len(head) // 2 * 2], dtype=np.uint8).reshape(-1, 2) == 0
    zeros = odd.mean(0) if len(odd) else np.zeros(2)
    if zeros[1] > 0.4 and zeros[0] < 0.05:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > 0.4 and zeros[1] < 0.05 else "utf-8"


def _utf8(path: Path, content: bytes) -> tuple[bytes, str]:
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start : error.end]
        warnings.warn(
            f"{path}: line {line} is not UTF-8 (byte {found!r}); the file is read as Latin-1. Save it as UTF-8", stacklevel=3
        )
        return content, "latin-1"
    return content, "utf-8"


def _delimiter(head: str, whole: bool) -> str:
    """The delimiter that cuts most cells, in most of the first rows as many as in the header; a comma where none cuts."""
    lines = head.lstrip("\ufeff\r\n").splitlines(keepends=True)
    text = "".join((lines if whole or len(lines) < 2 else lines[:-1])[:100])

    def score(delimiter: str) -> float:
        try:
            counts = [len(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        except csv.Error:  # a cell longer than any is: not its delimiter
            return 0.0
        return (counts[0] - 1) * counts.count(counts[0]) / len(counts)

    return max(",;\t|", key=score)


def _strings(path: Path, content: bytes, encoding: str, delimiter: str, columns: int) -> pa.Table:
    """All cells, the header's too, as strings; columns are called 0, 1, ..."""
    names = [str(number) for number in range(columns)]
    bad: list[tuple[int, int]] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        bad.append((row.number or 0, row.actual_columns))
        return "skip"

    def parse(threads: bool) -> pa.Table:
        bad.clear()
        return pyarrow.csv.read_csv(
            pa.py_buffer(content),
            pyarrow.csv.ReadOptions(column_names=names, encoding=encoding, block_size=_BLOCK, use_threads=threads),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )

    try:
        table = parse(threads=True)
        if bad:
            parse(threads=False)  # rows are only numbered without threads
    except pa.ArrowInvalid as error:
        raise DataError.of(str(path), f"is no table: {error}", _OPEN) from None
    with collect(DataError) as faults:
        for number, cells in bad[:_SHOWN]:
            more = f" (and {len(bad) - _SHOWN} more such rows)" if number == bad[:_SHOWN][-1][0] and len(bad) > _SHOWN else ""
            fix = f"Quote cells that hold a '{delimiter}', or mend the row"
            faults.add(f"{path}: row {number} (the header is row 1)", f"has {cells} cells, the header has {columns}{more}", fix)
        last = [column[-1].as_py() for column in table.columns] if table.num_rows else []
        if content.count(b'"') % 2 and any("\n" in cell for cell in last):
            faults.add(f"{path}: last row", f"holds a line break: {last!r}"[:200], _OPEN)
    return table


def _typed(column: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    absent = pc.is_in(trimmed, value_set=pa.array(MISSING))
    cells = pc.if_else(absent, pa.scalar(None, pa.string()), trimmed)
    if cells.null_count == len(cells):
        return pa.chunked_array([pa.nulls(len(cells))])
    if delimiter == ";" and _all(pc.match_substring_regex(cells, _DECIMAL_COMMA)):
        cells = pc.replace_substring(cells, ",", ".")
    if not pc.any(pc.match_substring_regex(cells, _CODE)).as_py():
        if pc.any(pc.starts_with(cells, "+")).as_py():
            cells = pc.replace_substring_regex(cells, r"^\+(\d|\.)", r"\1")
        for kind in _TYPES:
            try:
                found = cells.cast(kind)
            except pa.ArrowInvalid:
                continue
            if not (pa.types.is_floating(kind) and _all(pc.match_substring_regex(cells, _WHOLE))):
                return found
            break
    return pc.if_else(absent, pa.scalar(None, pa.string()), column)


def _all(cells: pa.ChunkedArray) -> bool:
    return bool(pc.all(cells).as_py())
