"""Columns of file paths: recognised by extension, decoded by threads, kept in the cache, all unreadable files named at once."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from polytask.core import DataError, arrow

from ._cache import cached

_SHOWN = 5


def have_extension(column: pa.ChunkedArray, extensions: tuple[str, ...]) -> bool:
    """Whether the column is strings of which at least 90 % end like these files."""
    array = arrow.plain(column)
    pattern = rf"\.({'|'.join(extensions)})$"
    if not arrow.is_text(array.type):
        return False
    return arrow.all_cells(array, lambda cells: pc.match_substring_regex(cells, pattern, ignore_case=True), 0.9)


def decode(
    name: str,
    column: pa.ChunkedArray,
    root: str,
    settings: Any,
    read: Callable[[Path], Shaped[np.ndarray, "..."]],
    blank: Shaped[np.ndarray, "..."],
) -> tuple[Shaped[Tensor, "rows ..."], Bool[Tensor, "rows"]]:
    """What `read` gives for each row's file, `blank` where there is none.

    Each different file is read once; the result is kept under the files' names, sizes and times, and `settings` (JSON: all else
    that `read` depends on). Raises `DataError` that names the rows and files which are missing or cannot be read.
    """
    cells = arrow.texts(name, arrow.plain(column))
    coded = cells.dictionary_encode()
    paths = [Path(root, path).expanduser() for path in coded.dictionary.to_pylist()]
    rows = pc.fill_null(coded.indices, -1).cast(pa.int64()).to_numpy()

    def compute() -> Shaped[np.ndarray, "..."]:
        arrays = _read_all(name, paths, rows, read)
        filled: Shaped[np.ndarray, "..."] = np.stack([*arrays, blank])[rows]
        return filled

    key = [settings, [_signature(path) for path in paths], rows.tolist()]
    return torch.from_numpy(cached(key, compute)), torch.from_numpy(arrow.valid(cells))


def _signature(path: Path) -> list[Any]:
    try:
        status = path.stat()
    except (OSError, ValueError):  # gone, or no possible name; reading it says which
        return [str(path.absolute())]
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def _read_all(
    name: str, paths: list[Path], rows: Shaped[np.ndarray, "rows"], read: Callable[[Path], Shaped[np.ndarray, "..."]]
) -> list[Shaped[np.ndarray, "..."]]:
    problems: dict[int, str] = {}

    def one(i: int) -> Any:
        try:
            return read(paths[i])
        except FileNotFoundError:
            problems[i] = "no such file"
        except Exception as error:  # decoders raise many kinds of error on damaged files
            said = str(error).split("\n")[0].rsplit(">: ")[-1].rstrip(". ")  # soundfile names the stream first
            problems[i] = said or type(error).__name__

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        arrays = list(pool.map(one, range(len(paths))))
    if problems:
        first = {i: int(np.argmax(rows == i)) for i in sorted(problems)[:_SHOWN]}
        shown = "; ".join(f"row {row}: '{paths[i]}' ({problems[i]})" for i, row in first.items())
        more = "; ..." if len(problems) > _SHOWN else ""
        fix = "Correct the paths, set `root` (the folder that relative paths start from), or leave the cells empty"
        raise DataError.of(f"column '{name}'", f"{len(problems)} of {len(paths)} files cannot be read ({shown}{more})", fix)
    return arrays
