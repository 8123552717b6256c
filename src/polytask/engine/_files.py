"""Files are written whole or not at all: a temporary name in the same folder, flushed to the disk, then renamed."""

import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from polytask.core import PolytaskError, RunError

from . import _yaml

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(path: Path, save: Callable[[Path], None]) -> None:
    """Let `save` write a temporary file, then put it at `path`; a kill at any moment leaves the old file or the new one.

    Raises `RunError` naming the path where the disk is full, or where nothing may be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        raise _unwritten(path, error) from error
    finally:
        if os.path.lexists(temporary):
            temporary.unlink()


def _flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritten(path: Path, error: Exception) -> PolytaskError:
    told = re.search(r"os error (\d+)", str(error))  # of safetensors
    number = getattr(error, "errno", None) or (int(told[1]) if told else 0)
    fix = "Choose another place"
    if number in _FULL:
        begun = (path.parent / "checkpoint.safetensors").exists()
        fix = "Free some space" + (f", then: polytask fit --resume {path.parent}" if begun else "")
    return RunError.of(str(path), f"cannot be written: {os.strerror(number) if number else one_line(error)}", fix)


def clean(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left in a folder."""
    for path in folder.glob(".*.tmp"):
        if not _alive(path.name.split(".")[-2]):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _alive(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing a run folder meanwhile; a kill lets go of it.

    Raises `RunError` where another holds it, or where the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritten(folder, error) from error
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        fix = "Wait until it has ended, or choose another --out"
        raise RunError.of(str(folder), "another process is writing this run", fix) from None
    finally:
        os.close(handle)


def one_line(error: BaseException, most: int = 300) -> str:
    """The text of another library's error, for one of ours."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else text[:most] + "..."


def write_text(path: Path, text: str) -> None:
    write(path, lambda temporary: _text(temporary, text))


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises `RunError` naming the file when it is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unread(path, error) from None
    except (ValueError, RecursionError) as error:
        raise RunError.of(str(path), f"is not JSON ({one_line(error)})", "It was cut short or edited: train again") from None


def _unread(path: Path, error: OSError) -> PolytaskError:
    if not path.exists():
        return RunError.of(str(path), "no such file", "Is this the folder of a run?")
    return RunError.of(str(path), f"cannot be read: {error.strerror or one_line(error)}", "Restore it, or train again")


def write_yaml(path: Path, value: Any) -> None:
    write_text(path, _yaml.dump(value))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Any = None) -> None:
    """Tensors as safetensors, with `about` (JSON) in the header."""
    clean = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write(path, lambda temporary: save_file(clean, temporary, metadata={"polytask": json.dumps(about)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Tensors and `about`. Raises `RunError` on a missing file or one that is not safetensors: nothing is unpickled."""
    try:
        with safe_open(path, framework="pt") as file:
            about = (file.metadata() or {}).get("polytask", "null")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(about)  # noqa: SIM118
    except OSError as error:
        raise _unread(path, error) from None
    except (SafetensorError, ValueError) as error:
        fix = "It was cut short, edited, or is another format (nothing is unpickled): train again"
        raise RunError.of(str(path), f"is not a safetensors file ({one_line(error)})", fix) from None
