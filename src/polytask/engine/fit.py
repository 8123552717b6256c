"""`fit`: the main job, from data and tasks to a run."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from polytask.balance import _balancer
from polytask.core import Batch, Columns, OptionError, RunError, Schema, Solve, System, registry
from polytask.core.errors import collect, shown
from polytask.data import prepare, stream
from polytask.data.prepare import Prepared

from . import _files, log, threads, warm
from .config import MEMORY, Config, files_of, named_files, numbers
from .loop import Loop, Report
from .predict import evaluate, predict
from .run import Run, cost, describe, read_config
from .training import Training


def fit(
    data: Any,
    tasks: Sequence[str] | Mapping[str, Any] | None = None,
    *,
    system: str = "hard_sharing",
    balancer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> Run:
    """Train one model for all `tasks` of `data`.

    data: a file, a data frame, `@name` of a shipped data set, or a list of `{"file": data, "tasks": names}`.
        It may attach nested tables, `{"file": ..., "with": {"labs": {"file": ..., "key": "patient"}}}` (`data/nested.py`).
    tasks: column names (kinds are inferred; `time:event` is survival), or declarations by name.
    balancer: None is the system's own, as a rule `equal`.
    settings: anything that a configuration file may hold: `{"system": {"width": 128}, "training": {"lr": 1e-3}, "split": ...}`.
    out: the run folder to write (None: nothing is written). resume: go on from its checkpoint.
    report: called after every epoch.
    Raises `DataError`, `OptionError`, `RunError`: each says where, what was found and how to mend it.
    """
    own = {} if balancer is None else {"balancer": {"name": balancer}}
    values = merge({"system": {"name": system}, **own}, settings or {})
    if tasks is not None:
        values["tasks"] = tasks if isinstance(tasks, (str, Mapping)) else list(tasks)
    sources = data if isinstance(data, list) and data and _is_source(data[0]) else [{"file": data}]
    values["data"] = [named_files(source) for source in sources]
    config = Config.from_dict(values)
    prepared = prepare_for(config, sources)
    return train(config, prepared, Path(out) if out is not None else None, resume=resume, report=report)


def resume(folder: Path | str, report: Report | None = None) -> Run:
    """Go on with a run that was stopped, from its folder alone, to the numbers of an uninterrupted one."""
    folder = Path(folder)
    if not (folder / "config.yaml").exists():
        raise RunError.of(str(folder), "is not the folder of a run", "Give the --out of the fit that was stopped")
    config = read_config(folder)
    return train(config, prepare_for(config), folder, resume=True, report=report)


def prepare_for(config: Config, data: Sequence[Mapping[str, Any]] | None = None) -> Prepared:
    """The data of a configuration; `data` stands in for its sources where they lie in memory."""
    if not config.tasks:
        raise OptionError.of("tasks", "none given", "Name the columns to predict: --tasks died,days or tasks=['died', 'days']")
    sources = config.data if data is None else data
    if not sources:
        raise OptionError.of("data", "none given", "Give a file, a data frame or @name of a shipped data set")
    if data is None and any(MEMORY in files_of(source) for source in sources):
        fix = "Call fit again with them, out= this folder and resume=True"
        raise RunError.of("data", "were given in memory, which this folder cannot hold", fix)
    how = (sources, config.tasks, config.inputs, config.ignore, config.split)
    if any(source.get("stream") for source in sources):
        if config.start is not None:
            raise OptionError.of("start", "needs all rows in memory, and they are streamed", "Leave out stream")
        return stream.prepare_stream(*how)
    prepared = prepare.prepare(*how, whole=config.start is not None)
    return prepared if config.start is None else warm.prepared_for(prepared, Run.load(config.start))


def build(config: Config, schema: Schema) -> System:
    """The untrained system; its weights follow from the seed."""
    torch.manual_seed(config.training.seed)
    return registry.load(config.system).build(schema, config.options)


def train(
    config: Config, prepared: Prepared, folder: Path | None = None, *, resume: bool = False, report: Report | None = None
) -> Run:
    """Train, score on the test rows, and write the run folder, which no other process can write meanwhile."""
    log.check(config.training.loggers)
    fabric = _fabric(config.training)
    first = folder is not None and fabric.global_rank == 0
    with _files.locked(folder) if folder is not None and first else nullcontext():
        return _train(fabric, config, prepared, folder, resume, report)


def _train(fabric: Fabric, config: Config, prepared: Prepared, folder: Path | None, resume: bool, report: Report | None) -> Run:
    training = config.training
    system = build(config, prepared.schema)
    if isinstance(prepared, stream.Streamed):
        _require_batches(config, system)
    if config.start is not None and not resume:
        warm.start_from(system, Run.load(config.start))
    balancer = _balancer.make(config.balancer, list(system.objectives()), config.balancing)
    if folder is not None and fabric.global_rank == 0:
        _start_folder(folder, config, prepared, resume)
    fabric.barrier()
    source = prepared.training_source(training.batch_size, training.seed, config.mix, fabric.global_rank, fabric.world_size)
    parts = {part: prepared.rows(part) for part in ("train", "validation", "test")}
    loop = Loop(system, balancer, training, fabric, source, parts["train"], parts["validation"], folder, report)
    with threads.limited(loop.threads):
        loop.run()
        system.cpu().eval()
        scores = _scores(system, parts)
        spent = cost(system, loop.progress.seconds, loop.progress.steps, parts["train"]) | {"threads": float(loop.threads)}
        run = Run(config, prepared.schema, system, scores, spent, folder)
        if folder is not None and fabric.global_rank == 0:
            run.write_predictions(prepared.table, prepared.batch, prepared.split.test, prepared.numbers)
            run.save(folder)
    return run


def _require_batches(config: Config, system: System) -> None:
    """Raises `OptionError` where a stage of the system needs all training rows at once."""
    solved = [stage.name for stage in system.stages() if isinstance(stage, Solve)]
    if solved:
        problem = f"its stage '{solved[0]}' needs all training rows in memory, and they are streamed"
        fix = "Leave out stream, or take a system that learns from batches: hard_sharing, mmoe, ple"
        raise OptionError.of(f"system '{config.system}'", problem, fix)


def _fabric(training: Training) -> Fabric:
    """The machine as asked for, its processes running."""
    try:
        fabric = Fabric(
            accelerator=training.accelerator,
            devices=training.devices,
            strategy=training.strategy,
            precision=cast(Any, training.precision),
        )
    except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        text = _files.one_line(error)
        named = [name for name in ("accelerator", "strategy", "devices", "precision") if name in text.lower()]
        raise RunError.of(
            f"training.{(named or ['accelerator'])[0]}", text, "Lightning Fabric names what is possible"
        ) from error
    cores = os.cpu_count() or 1
    if fabric.device.type == "cpu" and training.devices > cores:
        problem = f"{training.devices} asked for; this machine has {cores} processor cores and no other device"
        raise RunError.of("training.devices", problem, f"Give {cores} at most")
    fabric.launch()
    return fabric


def _scores(system: System, parts: Mapping[str, Batch]) -> dict[str, dict[str, dict[str, float]]]:
    return {part: evaluate(system.tasks, predict(system, parts[part]), parts[part]) for part in ("validation", "test")}


def _start_folder(folder: Path, config: Config, prepared: Prepared, resume: bool) -> None:
    """Write what is known before training. Raises `RunError` where that would mix two runs in one folder."""
    _files.clean(folder)
    begun = (folder / "config.yaml").exists()
    if {path.name for path in folder.iterdir()} - _FIRST and not begun:
        raise RunError.of(str(folder), "holds other files, and no run", "Choose another --out")
    if begun and not resume:
        fix = f"polytask fit --resume {folder} goes on with it; else choose another --out"
        raise RunError.of(str(folder), "already holds a run", fix)
    about = {"digest": prepared.digest, "config": numbers(config.to_dict())}
    if begun:
        _check_same(folder, about)
    _files.write_json(folder / "data.json", about)
    _files.write(folder / "split.parquet", lambda path: pq.write_table(prepared.split.to_table(), path))
    if not (folder / "card.json").exists():
        _files.write_json(folder / "card.json", _data_card(prepared))
    describe(folder, config, prepared.schema)


def _check_same(folder: Path, about: Mapping[str, Any]) -> None:
    """Raises `RunError` where the data or the configuration are not those that the run began with."""
    known = _files.read_json(folder / "data.json")
    known = known if isinstance(known, Mapping) else {}
    if known.get("digest") != about["digest"]:
        raise RunError.of(str(folder), "the data have changed since this run began", "Restore them, or start a new run")
    now, then = (dict(_flat(one.get("config") or {})) for one in (json.loads(json.dumps(about)), known))
    with collect(RunError) as faults:
        for key in dict.fromkeys([*then, *now]) if then else ():
            if now.get(key, _ABSENT) != then.get(key, _ABSENT):
                problem = f"is {shown(now.get(key, _ABSENT))}; this run began with {shown(then.get(key, _ABSENT))}"
                faults.add(f"{folder / 'config.yaml'}: {key}", problem, "Restore it, or start a new run with another --out")


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _data_card(prepared: Prepared) -> dict[str, Any]:
    """What the report tells of the data, and the command that was given."""
    schema, batch = prepared.schema, prepared.batch

    def share(masks: Columns, name: str) -> float:
        return float(masks.tensor(name).float().mean())

    return {
        "rows": sum(prepared.counts.values()),
        "split": prepared.counts,
        "notes": list(prepared.notes),
        "leaks": [str(leak) for leak in prepared.leaks],
        "inputs": {n: {"kind": i.kind, "missing": 1 - share(batch.present, n)} for n, i in schema.inputs.items()},
        "tasks": {n: {"kind": t.kind, "labelled": share(batch.labelled, n)} for n, t in schema.tasks.items()},
        "command": command(),
    }


def command() -> list[str] | None:
    """The words of the command line; None where Python code called."""
    return ["polytask", *sys.argv[1:]] if Path(sys.argv[0]).stem == "polytask" else None


_FIRST = {"data.json", "split.parquet", "card.json", "schema.json"}
"""What a run that was killed at once may have left behind without its configuration."""
_ABSENT = "nothing"


def _is_source(item: Any) -> bool:
    return isinstance(item, Mapping) and "file" in item


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, mapping by mapping; a bare name counts as `{"name": name}`."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, str):
            value = {"name": value}
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
