"""`compare`: systems times balancers times seeds under one protocol, in parallel processes, cached by content."""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from polytask.core import OptionError, PolytaskError, registry
from polytask.data import read

from . import _files
from .comparison import Comparison, Result
from .config import VERSION, Config
from .fit import merge, prepare_for, train
from .run import Run

REFERENCE = "single_task"
Done = Callable[[int, int, str], None]
"""Called after each cell with the number done, the number in all, and the cell's name."""


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
        return f"{Path(self.system).stem} + {self.balancer}, seed {self.seed}"


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
    always takes part, for gains are measured against it. settings: as for `fit`. options: options by system.
    out: holds every cell's run folder, so a second call trains only what is new, and a killed one goes on.
    jobs: processes at once (None: one a processor core).
    """
    out = Path(out)
    cells = _grid(data, tasks, systems, balancers, seeds, settings or {}, options or {}, out)
    todo = [cell for cell in cells if not (cell.folder / "model.safetensors").exists()]
    finished = len(cells) - len(todo)
    for cell in _run_all(todo, jobs or os.cpu_count() or 1):
        finished += 1
        if done:
            done(finished, len(cells), cell.name)
    comparison = Comparison.of([_result(cell) for cell in cells], REFERENCE)
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
    files, digest = _on_disk(data, out)
    listed = dict.fromkeys([REFERENCE, *systems])
    base: dict[str, Any] = {"data": files, "tasks": tasks if isinstance(tasks, Mapping) else list(tasks)}
    cells = []
    for seed in range(seeds):
        for system in listed:
            for balancer in ["equal"] if registry.is_baseline(system) else balancers:
                own = {"system": {"name": system, **options.get(system, {})}, "balancer": {"name": balancer}}
                seeded = {"split": {"seed": seed}, "training": {"seed": seed}}
                values = Config.from_dict(merge(merge(merge(base, settings), own), seeded)).to_dict()
                code = hashlib.sha256(registry.file_of(system).read_bytes()).hexdigest()
                key = hashlib.sha256(json.dumps([values, digest, code, VERSION], sort_keys=True).encode()).hexdigest()[:10]
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
        table = read.table(source["file"])
        digests.append(read.digest(table))
        file = source["file"]
        if not isinstance(file, (str, Path)):
            file = out / "data" / f"{digests[-1][:16]}.parquet"
            _files.write(file, lambda path, table=table: pq.write_table(table, path))  # type: ignore[misc]
        files.append({**source, "file": str(file)})
    return files, "-".join(digests)


def _run_all(cells: Sequence[Cell], jobs: int) -> Any:
    """Train the cells, `jobs` at once, and yield each as it ends. A cell that fails ends the comparison with its error."""
    if jobs == 1 or len(cells) <= 1:
        for cell in cells:
            _run(cell)
            yield cell
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(cells)), mp_context=context) as pool:
        pending = {pool.submit(_run, cell): cell for cell in cells}
        try:
            for future in as_completed(pending):
                future.result()
                yield pending[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(cell: Cell) -> None:
    config = Config.from_dict(merge(cell.values, {"training": {"threads": cell.values["training"]["threads"] or 1}}))
    try:
        train(config, prepare_for(config), cell.folder, resume=(cell.folder / "data.json").exists())
    except PolytaskError as error:
        raise type(error).of(cell.name, str(error)) from error


def _result(cell: Cell) -> Result:
    run = Run.load(cell.folder)
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
