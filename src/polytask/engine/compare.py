"""`compare`: systems times balancers times seeds under one protocol, in parallel processes, cached by content."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from polytask.core import Fault, OptionError, PolytaskError

from . import _cells, _files, parallel, space
from .comparison import Comparison, Key, Result, label
from .config import Config
from .fit import command, merge
from .run import Run
from .tune import tune

REFERENCE = "single_task"


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
    on: str = parallel.LOCAL,
    tuned: int = 0,
    search: Mapping[str, Any] | None = None,
    done: _cells.Done | None = None,
) -> Comparison:
    """Train every system under every balancer on the same splits, budget and seeds, and say which one to ship.

    Seed `s` fixes the split and the weights of all systems alike. Baselines take part once, without balancers; `single_task`
    always takes part, for gains are measured against it. settings: as for `fit`.
    options: options by system or balancer, a user's own system by the name of its file.
    out: holds every cell's run folder, so a second call trains only what is new, and a killed one goes on.
    jobs, on: as for `parallel.workers`; they change no number.
    tuned: trials by which each system's options are chosen first, on the validation rows of seed 0 (0: none); `search` as for
        `tune`. The studies lie in `out/tuning`.
    A system that cannot learn these tasks is left out, with its reason, and the rest goes on. Raises as `fit` does.
    """
    out, settings, options = Path(out).absolute(), settings or {}, options or {}
    _files.clean(out)
    if seeds < 1:
        raise OptionError.of("seeds", f"must be at least 1; got {seeds}")
    systems = list(dict.fromkeys([REFERENCE, *systems]))
    _cells.check(systems, balancers, options)
    chosen: dict[Key, dict[str, Any]] = {}
    if tuned:
        found = tune(
            data, tasks, systems=systems, balancers=balancers, trials=tuned, search=search, options=options,
            settings=merge(settings, _seeded(0)), out=out / "tuning", jobs=jobs, on=on, done=done,
        )  # fmt: skip
        chosen = {(one.system, one.balancer): space.nested(one.options) for one in found.found}
    cells = _grid(data, tasks, systems, balancers, seeds, settings, options, chosen, out)
    todo = [cell for cell in cells if not (cell.folder / "model.safetensors").exists()]
    shown = jobs or os.cpu_count() or 1
    report = done or (lambda finished, total, running: None)
    report(len(cells) - len(todo), len(cells), [cell.name for cell in todo[:shown]])
    skipped: dict[str, str] = {}
    open = list(todo)
    with closing(parallel.each(_run, todo, jobs, on)) as ended:
        for cell, error in ended:
            open.remove(cell)
            report(len(cells) - len(open), len(cells), [cell.name for cell in open[:shown]])
            if error is not None:
                skipped[cell.label] = _reason(cell, *error)
    comparison = Comparison.of([_result(cell) for cell in cells if cell.label not in skipped], REFERENCE, skipped, tuned)
    winner = next(c for c in cells if (c.system, c.balancer, c.seed) == (*comparison.winner, 0))
    _cells.copy(winner.folder, out / "best")
    _files.write_json(out / "comparison.json", comparison.to_dict() | {"best": str(out / "best"), "command": command()})
    return comparison


def _grid(
    data: Any, tasks: Any, systems: Sequence[str], balancers: Sequence[str], seeds: int,
    settings: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], tuned: Mapping[Key, Mapping[str, Any]], out: Path,
) -> list[Cell]:  # fmt: skip
    """Every cell, each with its whole configuration; wrong names and options are found before anything is trained."""
    files, digest = _cells.on_disk(data, out)
    base: dict[str, Any] = {"data": files, "tasks": tasks if isinstance(tasks, Mapping) else list(tasks)}
    cells = []
    for seed in range(seeds):
        for system, balancer in _cells.pairs(systems, balancers):
            own = _cells.sections(system, balancer, options)
            chosen = merge(tuned.get((system, balancer), {}), _seeded(seed))
            values = Config.from_dict(merge(merge(merge(base, settings), own), chosen)).to_dict()
            content, *code = _cells.content(values, system)
            key = _cells.key(content, digest, *code)[:10]
            cells.append(Cell(system, balancer, seed, values, out / "cells" / f"{Path(system).stem}-{balancer}-{seed}-{key}"))
    return cells


def _seeded(seed: int) -> dict[str, Any]:
    return {"split": {"seed": seed}, "training": {"seed": seed}}


def _reason(cell: Cell, kind: type[PolytaskError], faults: Sequence[Fault]) -> str:
    """Why a cell's system cannot learn these tasks or take this balancer. Any other fault ends the comparison.

    Options were checked before, so an `OptionError` says that a system or balancer does not go with these tasks.
    """
    if kind is OptionError and cell.system != REFERENCE:
        return "; ".join(map(str, faults))
    raise kind(*(replace(fault, where=f"{cell.name}: {fault.where}") for fault in faults))


def _run(cell: Cell) -> _cells.Error | None:
    """Train a cell; its error, if any, in parts that pass between processes."""
    try:
        _cells.run(cell.values, cell.folder)
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
