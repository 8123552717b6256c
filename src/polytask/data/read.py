"""Tables from whatever a user has: files, shipped data sets, data frames, Python lists; and back into files."""

import os
import pkgutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from polytask.core import DataError, nearest
from polytask.core.errors import collect

from . import _records, formats
from ._digest import digest
from .formats import _stream

__all__ = ["digest", "format_for", "table", "write"]
_HEAD = 1 << 16
_ELSE: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip file", "Add .gz to its name"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "Add .zst to its name"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "Unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV"),
    (b"\x89PNG", "a PNG image", "Give a table with a column of image files"),
    (b"\xff\xd8\xff", "a JPEG image", "Give a table with a column of image files"),
    (b"%PDF", "a PDF", "Give the data as CSV"),
    (b"SQLite format 3", "an SQLite database", "Export a table as CSV"),
    (b"\x80\x04", "a pickle, which is never opened", "Save the data as Parquet"),
    (b"<!doctype html", "a web page", "Download the data themselves"),
    (b"<html", "a web page", "Download the data themselves"),
)
"""How files of other kinds begin, what they are, and what to do."""


@cache
def _formats() -> dict[str, Any]:
    """The modules of `data/formats`, by name."""
    names = [module.name for module in pkgutil.iter_modules(formats.__path__) if not module.name.startswith("_")]
    return {name: import_module(f"{formats.__name__}.{name}") for name in names}


def _by_suffix(path: Path) -> Any:
    return next((module for module in _formats().values() if path.name.lower().endswith(module.suffixes)), None)


def format_for(path: Path) -> Any:
    """The module of the format that a path's suffix names. Raises `DataError` with the nearest suffix."""
    module = _by_suffix(path)
    if module is None:
        suffixes = [suffix for known in _formats().values() for suffix in known.suffixes if suffix.count(".") == 1]
        problem = f"unknown suffix '{path.suffix}'" if path.suffix else "has no suffix to tell its format"
        raise DataError.of(str(path), problem, nearest(path.suffix, suffixes))
    return module


def table(source: Any) -> pa.Table:
    """A table from any source.

    source: the path of a file (CSV, Parquet, Arrow, JSON lines; by its suffix, else by its content), `@name` for a shipped data
    set, a pandas or polars data frame, an Arrow table, a `datasets.Dataset`, a mapping of columns, or a list of mappings.
    Names of columns become strings. A pandas index is a column where it is named, else ignored. Columns of mixed types become
    strings, with a warning.

    Raises `DataError` for what cannot be read, has no rows, or has two columns of one name.
    """
    if isinstance(source, (str, Path)):
        return _checked(*_from_name(source))
    return _checked(_from_object(source), "data")


def write(table: pa.Table, path: Path) -> None:
    """Write a table in the format of the path's suffix, whole or not at all. Raises `DataError` for an unknown suffix."""
    module = format_for(path)
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        module.write(table, part)
        part.replace(path)
    except FileNotFoundError:
        raise DataError.of(str(path), f"no folder '{path.parent}' to write to", "Make it first") from None
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else str(error)
        raise DataError.of(str(path), f"cannot be written: {problem}", "Free some space, or choose another --out") from error
    finally:
        if os.path.lexists(part):
            part.unlink()


def _from_name(source: str | Path) -> tuple[pa.Table, str]:
    if str(source).startswith("@"):
        from . import shipped

        return shipped.load(str(source)[1:]), str(source)
    path = _expanded(source)
    if path.is_dir():
        raise DataError.of(str(path), "is a folder", "Name a file in it")
    if not path.exists():
        if "://" in str(source):
            raise DataError.of(str(source), "is an address, and files are read from the disk only", "Download it first")
        folder = path.parent
        fix = nearest(path.name, os.listdir(folder)) if folder.is_dir() else f"There is no folder '{folder}'."
        raise DataError.of(str(path), "no such file", fix)
    return _module(path).read(path), str(path)


def _expanded(source: str | Path) -> Path:
    """With a leading `~` written out. Raises `DataError` for what is no possible path."""
    try:
        path = Path(source).expanduser()
        path.exists()
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError.of(str(source)[:200], f"is no path of a file: {error}", "Name a file") from None
    return path


def _module(path: Path) -> Any:
    """The format that the suffix names, else the one that the content shows. Raises `DataError` where the two disagree."""
    named = _by_suffix(path)
    with path.open("rb") as file:
        start = file.read(64)
    _refuse_others(path, start)
    head = _stream.read(path, _HEAD)
    if not head or (named is not None and named.sniff(path, head)):
        return named or format_for(path)
    shown = next(((name, module) for name, module in _formats().items() if module.sniff(path, head)), None)
    if named is None:
        return shown[1] if shown else format_for(path)
    if shown is not None:
        problem = f"does not hold what its suffix says; it looks like {shown[0]}"
        raise DataError.of(str(path), problem, f"Rename it to {path.stem}{shown[1].suffixes[0]}")
    return named


def _refuse_others(path: Path, start: bytes) -> None:
    """Raise `DataError` for a file that begins like one of another kind."""
    if path.name.lower().endswith((".gz", ".zst", ".npz")) or (start.startswith(b"PK") and b".npy" in start):
        return
    lower = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, what, fix in _ELSE:
        if start.startswith(mark) or lower.startswith(mark):
            raise DataError.of(str(path), f"is {what}", fix)


def _from_object(source: Any) -> pa.Table:
    """Types of optional packages are told by what they can do, so that none is imported."""
    if isinstance(source, pa.Table):
        return source
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
        return _from_pandas(source)
    if hasattr(source, "with_format") and hasattr(source, "__len__") and not isinstance(source, Mapping):
        return source.with_format("arrow")[:]
    if hasattr(source, "to_arrow"):  # polars: its stream has views of strings, of which Arrow takes no rows
        return source.to_arrow()
    if isinstance(source, pa.RecordBatch) or hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    if isinstance(source, Mapping):
        if source and all(hasattr(value, "with_format") for value in source.values()):
            raise DataError.of("data", f"is a dictionary of data sets: {', '.join(source)}", "Give one of them")
        return _records.from_columns(source, "data")
    if isinstance(source, Sequence) and not isinstance(source, (bytes, str)):
        return _records.from_rows(source, "data")
    fix = "Give a path, @name, a pandas or polars data frame, an Arrow table, a datasets.Dataset, or a dict of lists"
    raise DataError.of("data", f"cannot be read from a {type(source).__name__}", fix)


def _from_pandas(frame: Any) -> pa.Table:
    if all(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    repeated = [str(name) for name, count in Counter(map(str, frame.columns)).items() if count > 1]
    _refuse_repeated(repeated, "data")
    return _records.from_columns({name: frame[name] for name in frame.columns}, "data")


def _refuse_repeated(names: Sequence[str], where: str) -> None:
    with collect(DataError) as faults:
        for name in names:
            faults.add(where, f"has more than one column '{name}'", "Rename or remove all but one")


def _checked(found: pa.Table, where: str) -> pa.Table:
    try:
        found.column_names  # noqa: B018 - names may be any bytes until they are asked for
    except UnicodeDecodeError:
        raise DataError.of(where, "has a column whose name is not UTF-8", "Write it again with another name") from None
    _refuse_repeated([name for name, count in Counter(found.column_names).items() if count > 1], where)
    if not found.num_columns or not found.num_rows:
        raise DataError.of(where, f"has {found.num_rows} rows and {found.num_columns} columns", "Give at least one of each")
    return found.rename_columns([name or f"unnamed: {number}" for number, name in enumerate(found.column_names)])
