"""`fit` and `compare`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from polytask.core import Fit, OptionError
from polytask.core.option import parse_settings
from polytask.engine import compare as comparing
from polytask.engine import fit as fitting
from polytask.engine.checkpoint import Progress as Training
from polytask.engine.comparison import Comparison
from polytask.engine.config import KEYS, Config, read_yaml
from polytask.engine.run import Run
from polytask.report import tables

Settings = dict[str, Any]


def settings(
    given: Sequence[str] | None, ignore: str | None, group: str | None, time: str | None, training: Mapping[str, Any]
) -> Settings:
    """The configuration that flags and `--set` stand for; a bare key of `--set` is an option of the system."""
    values: Settings = {"training": {key: value for key, value in training.items() if value is not None}}
    seed = values["training"].get("seed")
    values["split"] = {} if seed is None else {"seed": seed}
    if group:
        values["split"] |= {"how": "group", "column": group}
    if time:
        values["split"] |= {"how": "time", "column": time}
    if ignore:
        values["ignore"] = names(ignore)
    for key, value in parse_settings(given or []).items():
        over = {key: value} if key in KEYS else {"system": {key: value}}
        values = fitting.merge(values, over)
    return values


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def declarations(text: str | None) -> dict[str, Any] | None:
    """`died,days=count,time:event` -> declarations by name."""
    if text is None:
        return None
    pairs = (name.partition("=") for name in names(text))
    return {name: kind or None for name, _, kind in pairs}


def from_file(data: str | None, tasks: str | None, values: Settings) -> tuple[Any, Any, Settings]:
    """A YAML configuration, or a data file with `--tasks`: the data, the tasks and the settings."""
    if data is None:
        raise OptionError.of("data", "none given", "polytask fit DATA --tasks a,b   or   polytask fit polytask.yaml")
    declared = declarations(tasks)
    if not data.endswith((".yaml", ".yml")):
        return data, declared or shipped_tasks(data), fitting.merge(shipped(data), values)
    read = read_yaml(Path(data))
    own = declared if declared is not None else read.pop("tasks", {})
    return read.pop("data"), own, fitting.merge({k: v for k, v in read.items() if k not in ("tasks", "data")}, values)


def shipped(data: str) -> Settings:
    """What a shipped data set states of itself: columns to ignore, modalities, how to split."""
    if not data.startswith("@"):
        return {}
    from polytask.data import real

    item = real.get(data[1:])
    inputs = {name: {"modality": group} for group, members in item.modalities.items() for name in members}
    return {"ignore": list(item.ignore), "inputs": inputs, "split": dict(item.split)}


def shipped_tasks(data: str) -> dict[str, Any]:
    if not data.startswith("@"):
        return {}
    from polytask.data import real

    return dict(real.get(data[1:]).tasks)


def bar() -> Progress:
    """A progress bar with the time that is left; it leaves no trace where the output is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def fit(
    data: str | None, tasks: str | None, out: Path | None, system: str | None, balancer: str | None, values: Settings
) -> None:
    """Train and show what came of it."""
    source, declared, values = from_file(data, tasks, values)
    for key, name in (("system", system), ("balancer", balancer)):
        if name is not None:
            values[key] = fitting.merge({"name": name}, _options(values.get(key)))
    values["data"] = source if isinstance(source, list) else [{"file": source}]
    config = Config.from_dict(fitting.merge({"tasks": declared}, values))
    folder = out or _free(Path("runs"), Path(config.system).stem)
    prepared = fitting.prepare_for(config)
    tables.show(tables.notes(prepared.notes, prepared.leaks))
    with bar() as progress:
        run = fitting.train(config, prepared, folder, report=_reporter(progress))
    _finish(run)


def resume(folder: Path) -> None:
    with bar() as progress:
        run = fitting.resume(folder, _reporter(progress))
    _finish(run)


def compare(
    data: str, tasks: str | None, systems: str, balancers: str, seeds: int, out: Path,
    given: Sequence[str] | None, values: Settings, jobs: int | None,
) -> Comparison:  # fmt: skip
    """Train the grid and show the leaderboard."""
    source, declared, values = from_file(data, tasks, values)
    options: dict[str, dict[str, Any]] = {}
    for key, value in parse_settings(given or []).items():
        if key in KEYS:
            values = fitting.merge(values, {key: value})
        elif isinstance(value, dict):
            options[key] = value
        else:
            raise OptionError.of(f"--set {key}", "names no system", f"Write SYSTEM.{key}=..., for example mmoe.{key}={value}")
    values = {key: value for key, value in values.items() if key not in ("system", "balancer")}
    with bar() as progress:
        line = progress.add_task("comparing", total=None)

        def done(finished: int, total: int, name: str) -> None:
            progress.update(line, completed=finished, total=total, description=name)

        found = comparing.compare(
            source, declared, systems=names(systems), balancers=names(balancers), seeds=seeds,
            settings=values, options=options, out=out, jobs=jobs, done=done,
        )  # fmt: skip
    tables.show(tables.comparison(found), f"The model: {out / 'best'}   (polytask predict {out / 'best'} NEW.csv)")
    return found


def _options(value: Any) -> Settings:
    return dict(value) if isinstance(value, Mapping) else {}


def _free(parent: Path, stem: str) -> Path:
    return next(path for n in range(1, 10**6) if not (path := parent / f"{stem}-{n}").exists())


def _reporter(progress: Progress) -> Any:
    lines: dict[int, Any] = {}

    def report(at: Training, stage: Fit, epochs: int) -> None:
        if at.stage not in lines:
            lines[at.stage] = progress.add_task(stage.name, total=epochs)
        progress.update(lines[at.stage], completed=at.epoch, description=f"{stage.name}: best score {at.best:.4f}")

    return report


def _finish(run: Run) -> None:
    tables.show(tables.run(run), f"The model: {run.folder}   (polytask predict {run.folder} NEW.csv)")
