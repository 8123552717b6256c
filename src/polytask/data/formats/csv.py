"""Comma-separated values, and their cousins with semicolons, tabs and pipes.

Columns are read as strings and take the first type that all their cells have: whole numbers, numbers (also with marks between
thousands), booleans, ISO 8601 moments; else they stay strings, as they do where numbers begin with zeros (codes) or would not
fit 64 bits.
"""

import csv
import io
import re
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from polytask.core import DataError, Fault
from polytask.core.errors import collect

from . import _stream, _thousands

suffixes = _stream.with_compressions(".csv", ".tsv", ".tab", ".txt")
MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "n/a", "NaN", "nan", "NaT", "NULL", "null", "None", "none", "?", "-")
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
    """Read a file with a header. The delimiter, UTF-16 and UTF-32 are detected; what is no UTF-8 is read as Latin-1, with a
    warning. Null bytes are left out, with a warning.

    A semicolon file may have decimal commas. Columns without a name are called `unnamed: NUMBER`, as is the first one where
    each row has one cell more than the header. Raises `DataError` for an empty file, a header alone, bytes that are no text,
    and every row with too few or too many cells.
    """
    content = _stream.read(path)
    if not content.strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise DataError.of(str(path), "is empty", "Give a file with a header and rows")
    encoding = _encoding(content[:_HEAD])
    if encoding == "utf-8":
        content, encoding = _utf8(path, content)
    size = max(_HEAD, content.find(b"\n") + 2)  # the whole header, however wide the table
    head = content[:size].decode(encoding, errors="ignore")
    delimiter = _delimiter(head, whole=len(content) <= size)
    names = _header(path, head, delimiter)
    if len(names) == 1:
        _doubt_delimiter(path, head)
    table = _strings(path, content, encoding, delimiter, len(names))
    if table.num_rows < 2:
        raise DataError.of(str(path), "has a header and no rows", "Give a file with rows")
    header = [column[0].as_py().strip() or f"unnamed: {number}" for number, column in enumerate(table.columns)]
    return pa.table([_typed(n, c, delimiter) for n, c in zip(header, table.slice(1).columns, strict=True)], header)


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
    """UTF-16 and UTF-32 by their marks, UTF-16 by zeros in every other byte of plain text too; else UTF-8 (see `_utf8`)."""
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    odd = np.frombuffer(head[: len(head) // 2 * 2], dtype=np.uint8).reshape(-1, 2) == 0
    zeros = odd.mean(0) if len(odd) else np.zeros(2)
    if zeros[1] > 0.4 and zeros[0] < 0.05:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > 0.4 and zeros[1] < 0.05 else "utf-8"


def _utf8(path: Path, content: bytes) -> tuple[bytes, str]:
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(0)) + 1
        problem = f"holds {content.count(0)} null bytes, the first in line {line}"
        warnings.warn(f"{path}: {problem}; they are left out. Was the file written to its end?", stacklevel=3)
        content = content.replace(b"\0", b"")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        if strange := _CONTROL.search(content[:_HEAD]):
            raise DataError.of(
                str(path), f"is no text: it holds bytes such as {strange[0]!r}", "Export the data as CSV"
            ) from None
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
        counts = _counts(text, delimiter)
        return (counts[0] - 1) * counts.count(counts[0]) / len(counts) if counts else 0.0

    return max(",;\t|", key=score)


def _counts(text: str, delimiter: str) -> list[int]:
    """How many cells each row has; none where it cannot be the delimiter, as a cell would be longer than any is."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter == " ")
        return [len(row) for row in reader if row]
    except csv.Error:
        return []


def _header(path: Path, head: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(head.lstrip("\ufeff\r\n"), newline=""), delimiter=delimiter))
    except (csv.Error, StopIteration) as error:
        raise DataError.of(str(path), f"has no header: {error}", _OPEN) from None


def _doubt_delimiter(path: Path, head: str) -> None:
    """Warn where a single column seems to be several with another delimiter."""
    text = "".join(head.lstrip("\ufeff\r\n").splitlines(keepends=True)[:20])
    for delimiter in (" ", ":", "^", "~"):
        counts = set(_counts(text, delimiter))
        if len(counts) == 1 and counts.pop() > 1:
            problem = f"has one column, unless cells are separated by '{delimiter}'"
            warnings.warn(f"{path}: {problem}. Separate them by commas, semicolons, tabs or '|'", stacklevel=3)
            return


def _strings(path: Path, content: bytes, encoding: str, delimiter: str, columns: int, named: bool = False) -> pa.Table:
    """All cells, the header's too, as strings; columns are called 0, 1, ..."""
    names = [str(number) for number in range(columns)]
    bad: list[int] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        bad.append(row.actual_columns)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            pa.py_buffer(content),
            pyarrow.csv.ReadOptions(column_names=names, encoding=encoding, block_size=_BLOCK),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise DataError.of(str(path), f"is no table: {error}", _OPEN) from None
    if not named and bad and table.num_rows < 2 and set(bad) == {columns + 1} and encoding in ("utf-8", "latin-1"):
        warnings.warn(f"{path}: each row has one cell more than the header; the first is read as its name", stacklevel=4)
        return _strings(path, delimiter.encode() + content.lstrip(b"\r\n"), encoding, delimiter, columns + 1, named=True)
    with collect(DataError) as faults:
        if bad:
            faults.found += _ragged(path, content.decode(encoding, errors="replace"), delimiter, columns, len(bad))
        last = [column[-1].as_py() for column in table.columns] if table.num_rows else []
        if content.count(b'"') % 2 and any("\n" in cell for cell in last):
            faults.add(f"{path}: last row", f"holds a line break: {last!r}"[:200], _OPEN)
    return table


def _ragged(path: Path, text: str, delimiter: str, columns: int, count: int) -> list[Fault]:
    """The first rows of another length than the header, by the line of the file in which each begins."""
    odd: list[tuple[int, int]] = []
    reader, begin = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1
    with suppress(csv.Error):  # a cell longer than any is
        for row in reader:
            if row and len(row) != columns:
                odd.append((begin, len(row)))
            if len(odd) == _SHOWN:
                break
            begin = reader.line_num + 1
    fix = f"Quote cells that hold a '{delimiter}', or mend the line"
    fix += f". {_OPEN}" if text.count('"') % 2 else ""
    more = f" (and {count - len(odd)} more such rows)" if count > len(odd) else ""
    if not odd:
        return [Fault(str(path), f"has {count} rows of another length than the header, which has {columns} cells", fix)]
    faults = [Fault(f"{path}: line {line}", f"has {cells} cells, the header has {columns}", fix) for line, cells in odd]
    return [*faults[:-1], replace(faults[-1], problem=faults[-1].problem + more)]


def _typed(name: str, column: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
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
        else:
            if (plain := _thousands.plain(cells)) is not None:
                differs = pc.not_equal(cells, plain)
                shown, value = (some.filter(differs)[0].as_py() for some in (cells, plain))
                warnings.warn(f"column '{name}': '{shown}' is read as {value}, and other cells likewise", stacklevel=3)
                return _typed(name, plain, ",")
    return pc.if_else(absent, pa.scalar(None, pa.string()), column)


def _all(cells: pa.ChunkedArray) -> bool:
    return bool(pc.all(cells).as_py())
