"""Training runs that other processes can carry out: data as files, whole configurations, and folders named by content."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from polytask import __version__
from polytask.core import Fault, OptionError, PolytaskError, nearest, registry
from polytask.core.errors import collect
from polytask.data import _groups, nested, read

from . import _files
from .config import Config, numbers
from .fit import merge, prepare_for, train
from .loop import Report
from .run import Run

Error = tuple[type[PolytaskError], tuple[Fault, ...]]
Done = Callable[[int, int, Sequence[str]], None]
"""Called at the start and after each cell: how many cells are done, of how many, and which are being trained."""


def check(systems: Sequence[str], balancers: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raises `OptionError` with every system that does not exist and all options of what takes no part."""
    with collect(OptionError) as faults:
        known = {Path(system).stem: registry.file_of(system) for system in systems}
        for name in options:
            if name not in known and name not in balancers:
                faults.add(f"options of '{name}'", "this system takes no part", nearest(name, [*known, *balancers]))
        if not balancers:
            faults.add("balancers", "none given", "Give one at least: equal")


def sections(system: str, balancer: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A system and a balancer in a configuration, with the options that are given for each by its name."""
    return {
        "system": {"name": system, **options.get(Path(system).stem, {})},
        "balancer": {"name": balancer, **options.get(balancer, {})},
    }


def pairs(systems: Sequence[str], balancers: Sequence[str]) -> list[tuple[str, str]]:
    """Every system with every balancer; a baseline once, for it has none."""
    return [(system, name) for system in systems for name in (["equal"] if registry.is_baseline(system) else balancers)]


def on_disk(data: Any, out: Path) -> tuple[list[dict[str, Any]], str]:
    """The sources as files that other processes can read, and the digest of their content."""
    sources = (
        data if isinstance(data, list) and data and isinstance(data[0], Mapping) and "file" in data[0] else [{"file": data}]
    )
    files, digests = [], []
    for source in sources:
        parts = {name: {**part, "file": _file(part["file"], out)} for name, part in source.get("with", {}).items()}
        streamed = source.get("stream")
        digests.append(_groups.groups(source["file"])[1] if streamed else read.digest(nested.table(source["file"], parts)))
        files.append({**source, "file": _file(source["file"], out), **({"with": parts} if parts else {})})
    return files, "-".join(digests)


def _file(data: Any, out: Path) -> str:
    """The data as a file or a shipped data set."""
    if isinstance(data, (str, Path)):
        return str(data) if str(data).startswith("@") else str(Path(data).absolute())
    table = read.table(data)
    file = out / "data" / f"{read.digest(table)[:16]}.parquet"
    _files.write(file, lambda path: pq.write_table(table, path))
    return str(file.absolute())


def content(values: Mapping[str, Any], system: str) -> list[Any]:
    """All that a run's numbers follow from, but the data: its configuration, the system's code and polytask's version."""
    code = hashlib.sha256(registry.file_of(system).read_bytes()).hexdigest()
    return [{**values, **numbers(values)}, code, __version__]


def key(*parts: Any) -> str:
    """The digest of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run(values: Mapping[str, Any], folder: Path, report: Report | None = None) -> Run:
    """Train by a whole configuration on one thread, unless it says how many; what the folder holds of it already is kept."""
    config = Config.from_dict(merge(values, {"training": {"threads": values["training"]["threads"] or 1}}))
    return train(config, prepare_for(config), folder, resume=(folder / "config.yaml").exists(), report=report)


def copy(folder: Path, target: Path) -> None:
    """The run folder, whole or not at all."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(folder, fresh, ignore=shutil.ignore_patterns("checkpoint.safetensors"))
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
