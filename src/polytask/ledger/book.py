"""The book: what was measured, a line a cell, only ever added to.

Lines are added under a lock and in one piece, so that two writers never mix theirs; a line that a killed writer left
unfinished is passed over when reading, and the next line starts anew.
"""

import fcntl
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polytask import __version__

from .measured import Measured


@dataclass(frozen=True)
class Record:
    """One cell as it was measured: what `Measured` holds, of which cell, by which code, where, when, and in how long.

    key: the content of all that decides the numbers (`polytask.ledger.content`).
    """

    claim: str
    arm: str
    seed: int
    size: str
    key: str
    metrics: Mapping[str, float]
    parameters: int
    steps: int
    tried: int
    seconds: float
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    when: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cell: tuple[str, str, int, str, str], measured: Measured, seconds: float) -> "Record":
        """The record of a cell `(claim, arm, seed, size, key)`, measured here and now."""
        curves = {name: [_short(value) for value in values] for name, values in measured.curves.items()}
        metrics = {name: float(value) for name, value in measured.metrics.items()}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        counts = (int(measured.parameters), int(measured.steps), int(measured.tried))
        return cls(*cell, metrics, *counts, round(seconds, 3), curves, when, machine(), versions())


class Book:
    """The records of a folder, one file a claim."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(record), allow_nan=True).encode() + b"\n"
        with open(self._path(record.claim), "ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def read(self, claim: str) -> list[Record]:
        """Every whole record of a claim, oldest first; fields that a newer version added are passed over."""
        path = self._path(claim)
        if not path.exists():
            return []
        known = Record.__dataclass_fields__
        found = []
        for line in path.read_bytes().splitlines():
            try:
                values = json.loads(line)
                found.append(Record(**{name: value for name, value in values.items() if name in known}))
            except (ValueError, TypeError, AttributeError):
                continue  # what a killed writer left
        return found

    def _path(self, claim: str) -> Path:
        return self.folder / f"{claim}.jsonl"


def latest(records: Sequence[Record], size: str) -> list[Record]:
    """The newest record of every arm and seed at this size."""
    return list({(r.arm, r.seed): r for r in records if r.size == size}.values())


@cache
def machine() -> dict[str, Any]:
    """The processor, its cores, and the system."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0] if named else model
    return {"processor": model, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


@cache
def versions() -> dict[str, str]:
    """Of the packages that decide numbers."""
    return {"polytask": __version__} | {name: version(name) for name in ("torch", "numpy", "scikit-learn", "torchjd")}


def _short(value: float) -> float:
    """Six digits are enough to draw."""
    return float(f"{float(value):.6g}")
