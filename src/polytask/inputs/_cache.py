"""A folder of arrays that cost much to compute: decoded images, spectrograms, embeddings of texts.

It lies in `$POLYTASK_CACHE`, else in `$XDG_CACHE_HOME/polytask`, else in `~/.cache/polytask`, and may be deleted at any time.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped


def folder() -> Path:
    """Where arrays are kept."""
    own = os.environ.get("POLYTASK_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polytask"


def cached(key: Any, compute: Callable[[], Shaped[np.ndarray, "..."]]) -> Shaped[np.ndarray, "..."]:
    """The array that `compute` gives, from the disk where it was computed before; memory-mapped, writes stay in memory.

    `key` (JSON) says all that the array depends on. A damaged file is computed anew. Where the folder cannot be written, the
    array is returned without being kept.
    """
    path = folder() / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.npy"
    with suppress(OSError, ValueError, EOFError):
        return _read(path)
    array = compute()
    with suppress(OSError):
        _write(path, array)
        return _read(path)
    return array


def _read(path: Path) -> Shaped[np.ndarray, "..."]:
    array: Shaped[np.ndarray, "..."] = np.load(path, mmap_mode="c", allow_pickle=False)
    return array


def _write(path: Path, array: Shaped[np.ndarray, "..."]) -> None:
    """Under a temporary name first: a kill at any moment leaves the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
