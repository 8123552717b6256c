"""Files are written whole or not at all: a temporary name in the same folder, flushed to the disk, then renamed."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from polytask.core import RunError


def write(path: Path, save: Callable[[Path], None]) -> None:
    """Let `save` write a temporary file, then put it at `path`; a kill at any moment leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    except FileNotFoundError:
        raise RunError.of(str(path), "no such file", "Is this the folder of a run?") from None
    except ValueError as error:
        raise RunError.of(str(path), f"is not JSON ({one_line(error)})", "It was cut short or edited: train again") from None


def write_yaml(path: Path, value: Any) -> None:
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


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
    except FileNotFoundError:
        raise RunError.of(str(path), "no such file", "Is this the folder of a run?") from None
    except (SafetensorError, ValueError) as error:
        fix = "It was cut short, edited, or is another format (nothing is unpickled): train again"
        raise RunError.of(str(path), f"is not a safetensors file ({one_line(error)})", fix) from None
