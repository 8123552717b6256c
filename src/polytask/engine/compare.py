"""`compare`: systems times balancers times seeds under one protocol, in parallel processes, cached by content."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from polytask import __version__
from polytask.core import Fault, OptionError, PolytaskError, nearest, registry
from polytask.core.errors import collect
from polytask.data import nested, read

from . import _files, parallel
from .comparison import Comparison, Result, label
from .config import Config
from .fit import merge, prepare_for, train
from .run import Run

REFERENCE = "single_task"
Error = tuple[type[PolytaskError], tuple[Fault, ...]]
Done = Callable[[int, int, Sequence[str]], None]
"""Called at the start and after each cell: how many cells are done, of how many, and which are being trained."""


@dataclass(frozen=True)
class Cell:
    """One training run of the grid."""

    system: str
    balancer: str
    seed: int
    values: Mapping[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.label}, seed {self.seed}"

    @property
    def label(self) -> str:
        return label(self.system, self.balancer)


def compare(
    data: Any,
    tasks: Sequence[str] | Mapping[str, Any],
    *,
    systems: Sequence[str] = ("single_task", "hard_sharing", "mmoe", "ple", "trees"),
    balancers: Sequence[str] = ("equal",),
    seeds: int = 3,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    out: Path | str = "runs/compare",
    jobs: int | None = None,
    done: Done | None = None,
) -> Comparison:
    """Train every system under every balancer on the same splits, budget and seeds, and say which one to ship.

    Seed `s` fixes the split and the weights of all systems alike. Baselines take part once, without balancers; `single_task`
    always takes part, for gains are measured against it. settings: as for `fit`.
    options: options by system, a user's own by the name of its file.
    out: holds every cell's run folder, so a second call trains only what is new, and a killed one goes on.
    jobs: processes at once (None: one a processor core).
    A system that cannot learn these tasks is left out, with its reason, and the rest goes on. Raises as `fit` does.
    """
    out = Path(out)
    cells = _grid(data, tasks, systems, balancers, seeds, settings or {}, options or {}, out)
    todo = [cell for cell in cells if not (cell.folder / "model.safetensors").exists()]
    jobs = jobs or os.cpu_count() or 1
    report = done or (lambda finished, total, running: None)
    report(len(cells) - len(todo), len(cells), [cell.name for cell in todo[:jobs]])
    skipped: dict[str, str] = {}
    open = list(todo)
    with closing(parallel.each(_run, todo, jobs)) as ended:
        for cell, error in ended:
            open.remove(cell)
            report(len(cells) - len(open), len(cells), [cell.name for cell in open[:jobs]])
            if error is not None:
                skipped[cell.label] = _reason(cell, *error)
    comparison = Comparison.of([_result(cell) for cell in cells if cell.label not in skipped], REFERENCE, skipped)
    winner = next(c for c in cells if (c.system, c.balancer, c.seed) == (*comparison.winner, 0))
    _copy(winner.folder, out / "best")
    _files.write_json(out / "comparison.json", comparison.to_dict() | {"best": str(out / "best")})
    return comparison


def _grid(
    data: Any, tasks: Any, systems: Sequence[str], balancers: Sequence[str], seeds: int,
    settings: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], out: Path,
) -> list[Cell]:  # fmt: skip
    """Every cell, each with its whole configuration; wrong names and options are found before anything is trained."""
    if seeds < 1:
        raise OptionError.of("seeds", f"must be at least 1; got {seeds}")
    listed = dict.fromkeys([REFERENCE, *systems])
    with collect(OptionError) as faults:
        stems = {Path(system).stem: registry.file_of(system) for system in listed}
        for name in options:
            if name not in stems:
                faults.add(f"options of '{name}'", "this system takes no part", nearest(name, stems))
        if not balancers:
            faults.add("balancers", "none given", "Give one at least: equal")
    files, digest = _on_disk(data, out)
    base: dict[str, Any] = {"data": files, "tasks": tasks if isinstance(tasks, Mapping) else list(tasks)}
    cells = []
    for seed in range(seeds):
        for system in listed:
            for balancer in ["equal"] if registry.is_baseline(system) else balancers:
                own = {"system": {"name": system, **options.get(Path(system).stem, {})}, "balancer": {"name": balancer}}
                seeded = {"split": {"seed": seed}, "training": {"seed": seed}}
                values = Config.from_dict(merge(merge(merge(base, settings), own), seeded)).to_dict()
                code = hashlib.sha256(registry.file_of(system).read_bytes()).hexdigest()
                # Where the data lie and how the machine is used change no number.
                content = values | {"data": [s.get("tasks") for s in values["data"]], "training": _numbers(values["training"])}
                key = hashlib.sha256(json.dumps([content, digest, code, __version__], sort_keys=True).encode()).hexdigest()[:10]
                folder = out / "cells" / f"{Path(system).stem}-{balancer}-{seed}-{key}"
                cells.append(Cell(system, balancer, seed, values, folder))
    return cells


def _on_disk(data: Any, out: Path) -> tuple[list[dict[str, Any]], str]:
    """The sources as files that other processes can read, and the digest of their content."""
    sources = (
        data if isinstance(data, list) and data and isinstance(data[0], Mapping) and "file" in data[0] else [{"file": data}]
    )
    files, digests = [], []
    for source in sources:
        parts = {name: {**part, "file": _file(part["file"], out)} for name, part in source.get("with", {}).items()}
        digests.append(read.digest(nested.table(source["file"], parts)))
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


def _numbers(training: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in training.items() if key not in ("threads", "save_every", "loggers")}


def _reason(cell: Cell, kind: type[PolytaskError], faults: Sequence[Fault]) -> str:
    """Why a cell's system cannot learn these tasks or take this balancer. Any other fault ends the comparison.

    Options were checked before, so an `OptionError` says that a system or balancer does not go with these tasks.
    """
    if kind is OptionError and cell.system != REFERENCE:
        return "; ".join(map(str, faults))
    raise kind(*(replace(fault, where=f"{cell.name}: {fault.where}") for fault in faults))


def _run(cell: Cell) -> Error | None:
    """Train a cell; its error, if any, in parts that pass between processes."""
    config = Config.from_dict(merge(cell.values, {"training": {"threads": cell.values["training"]["threads"] or 1}}))
    try:
        train(config, prepare_for(config), cell.folder, resume=(cell.folder / "config.yaml").exists())
    except PolytaskError as error:
        return type(error), error.faults
    return None


def _result(cell: Cell) -> Result:
    run = Run.load(cell.folder, trust=True)
    tasks = run.schema.tasks
    primary = {name: task.primary for name, task in tasks.items()}
    directions = {name: task.direction for name, task in tasks.items()}
    split = pq.read_table(cell.folder / "split.parquet")["part"].to_pylist()
    share = split.count("test") / max(1, split.count("train"))
    return Result(cell.system, cell.balancer, cell.seed, run.scores, run.cost, primary, directions, share, str(cell.folder))


def _copy(folder: Path, target: Path) -> None:
    """The run folder, whole or not at all."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(folder, fresh, ignore=shutil.ignore_patterns("checkpoint.safetensors"))
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
