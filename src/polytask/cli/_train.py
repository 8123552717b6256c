"""`fit` and `compare`."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from polytask.core import Fit, OptionError, nearest
from polytask.core.errors import collect
from polytask.core.option import parse_settings
from polytask.engine import _cells, interrupt
from polytask.engine import compare as comparing
from polytask.engine import fit as fitting
from polytask.engine.checkpoint import Progress as Training
from polytask.engine.comparison import Comparison
from polytask.engine.config import KEYS, Config, read_yaml
from polytask.engine.run import Run
from polytask.report import page, tables

Settings = dict[str, Any]


def settings(
    given: Sequence[str] | None, ignore: str | None, group: str | None, time: str | None, training: Mapping[str, Any],
    system: str | None = None, balancer: str | None = None,
) -> Settings:  # fmt: skip
    """The configuration that flags and `--set` stand for; a bare key of `--set` is an option of the system."""
    values: Settings = {"training": {key: value for key, value in training.items() if value is not None}}
    seed = values["training"].get("seed")
    values["split"] = {} if seed is None else {"seed": seed}
    if group and time:
        raise OptionError.of("--group, --time", "are two ways to split", "Give one of them")
    if group:
        values["split"] |= {"how": "group", "column": group}
    if time:
        values["split"] |= {"how": "time", "column": time}
    if ignore:
        values["ignore"] = names(ignore)
    for key, value in parse_settings(given or []).items():
        if key == "data":
            raise OptionError.of("--set data", "is the first argument", "polytask fit DATA --tasks a,b")
        if isinstance(value, dict) and key not in KEYS and (fix := nearest(key, KEYS)).startswith("Did"):
            raise OptionError.of(f"--set {key}", "no such section", fix)
        over = {key: value} if key in KEYS else {"system": {key: value}}
        values = fitting.merge(values, over)
    for key, name in (("system", system), ("balancer", balancer)):
        if name is not None:
            values[key] = (values[key] if isinstance(values.get(key), dict) else {}) | {"name": name}
    return values


def starting(values: Settings, start: Path | None) -> Settings:
    """The same settings, from a run: its system and options hold where none are given."""
    if start is None:
        return values
    known = Run.load(start).config.to_dict()["system"]
    given = values.get("system", {})
    own = known if given.get("name", known["name"]) == known["name"] else {}
    return {**values, "system": {**own, **given}, "start": str(start)}


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def declarations(text: str | None) -> dict[str, Any] | None:
    """`died,days=count,time:event` -> declarations by name."""
    if text is None:
        return None
    pairs = (name.partition("=") for name in names(text))
    return {name: kind or None for name, _, kind in pairs}


def attached(given: Sequence[str] | None) -> dict[str, dict[str, str]]:
    """`labs=labs.csv:patient` -> `{"labs": {"file": "labs.csv", "key": "patient"}}`. Raises `OptionError` for another form."""
    found = {}
    for text in given or []:
        name, _, rest = text.partition("=")
        file, *columns = rest.rsplit(":", 2) if rest.count(":") > 1 else rest.rsplit(":", 1)
        if not name or not file or not columns or not all(columns):
            raise OptionError.of(f"--with {text}", "is not NAME=FILE:KEY or NAME=FILE:KEY:TO", "As in labs=labs.csv:patient")
        found[name] = {"file": file} | dict(zip(("key", "to"), columns, strict=False))
    return found


def source(data: str, nested: Mapping[str, Any]) -> Any:
    """The data with its nested tables."""
    return {"file": data, "with": dict(nested)} if nested else data


def from_file(
    data: str | None, tasks: str | None, values: Settings, nested: Mapping[str, Any] | None = None
) -> tuple[Any, Any, Settings]:
    """A YAML configuration, or a data file with `--tasks`: the data, the tasks and the settings."""
    if data is None:
        raise OptionError.of("data", "none given", "polytask fit DATA --tasks a,b   or   polytask fit polytask.yaml")
    declared = declarations(tasks)
    if not data.endswith((".yaml", ".yml")):
        return [source(data, nested)] if nested else data, declared or shipped_tasks(data), _over(shipped(data), values)
    if nested:
        raise OptionError.of("--with", "goes with a data file", f"Write data: [{{file: ..., with: {{...}}}}] in {data}")
    read = {key: value for key, value in read_yaml(Path(data)).items() if value is not None}
    sources, own = read.pop("data"), read.pop("tasks", {})
    return sources, own if declared is None else declared, _over(read, values)


def with_options(declared: Any, values: Settings) -> tuple[Any, Settings]:
    """The declared tasks with what `--set tasks.NAME.OPTION=VALUE` says of them, and the other settings.

    Raises `OptionError` for a task that is not declared.
    """
    rest = {key: value for key, value in values.items() if key != "tasks"}
    if not values.get("tasks"):
        return declared, rest
    found = dict(declared) if isinstance(declared, Mapping) else dict.fromkeys(declared or ())
    with collect(OptionError) as faults:
        for name, options in values["tasks"].items():
            if name not in found:
                faults.unknown("tasks", name, found)
                continue
            known = found[name]
            own: dict[str, Any] = dict(known) if isinstance(known, Mapping) else {"kind": known} if known else {}
            found[name] = {**own, **options} if isinstance(options, Mapping) else options
    return found, rest


def _over(base: Settings, values: Settings) -> Settings:
    """`values` over `base`: columns to ignore add up, and another system or balancer leaves the options of the first."""
    merged = fitting.merge(base, values)
    if values.get("ignore") and isinstance(base.get("ignore"), list):
        merged["ignore"] = list(dict.fromkeys([*base["ignore"], *values["ignore"]]))
    for key in ("system", "balancer"):
        new = _name(values.get(key))
        if new and new != _name(base.get(key)):
            merged[key] = values[key]
    return merged


def _name(value: Any) -> str | None:
    return value.get("name") if isinstance(value, Mapping) else value


def shipped(data: str) -> Settings:
    """What a shipped data set states of itself: columns to ignore, modalities, how to split."""
    if not data.startswith("@"):
        return {}
    from polytask.data import shipped as sets

    item = sets.get(data[1:])
    return {"ignore": list(item.ignore), "inputs": sets.declared_inputs(item), "split": dict(item.split)}


def shipped_tasks(data: str) -> dict[str, Any]:
    if not data.startswith("@"):
        return {}
    from polytask.data import shipped as sets

    return dict(sets.get(data[1:]).tasks)


def bar(*more: ProgressColumn) -> Progress:
    """A progress bar; nothing where the standard error is no terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), *more, console=console, disable=not console.is_terminal)


@contextmanager
def stoppable(how: str) -> Iterator[None]:
    """Ctrl-C ends the command with exit code 130, SIGTERM with 143, and a sentence on how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        print(f"stopped. {how}", file=sys.stderr)
        raise typer.Exit(interrupt.code(error)) from None


def streamed(sources: Any) -> list[dict[str, Any]]:
    """The same sources, whose rows are not to be held in memory."""
    listed = sources if isinstance(sources, list) else [sources]
    return [{**({"file": one} if isinstance(one, str) else one), "stream": True} for one in listed]


def fit(
    data: str | None, tasks: str | None, out: Path | None, values: Settings, nested: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> None:  # fmt: skip
    """Train and show what came of it."""
    sources, declared, values = from_file(data, tasks, values, nested)
    sources = streamed(sources) if stream else sources
    declared, values = with_options(declared, values)
    config = Config.from_dict(values | {"data": sources, "tasks": declared})
    folder = out or _free(Path("runs"), Path(config.system).stem)
    prepared = fitting.prepare_for(config)
    first = "LOCAL_RANK" not in os.environ  # of several processes, the one that a person started
    if first:
        tables.show(*tables.notes(prepared.notes, prepared.leaks))
    with stoppable(f"Go on with: polytask fit --resume {folder}"), Watch(first) as watch:
        run = fitting.train(config, prepared, folder, report=watch.report)
    if first:
        _finish(run)


def resume(folder: Path, others: Mapping[str, Any]) -> None:
    """Go on with a run. others: what is given beside it, by name, and must be nothing."""
    if given := [name for name, value in others.items() if value is not None]:
        fix = "Leave that out, or start a new run"
        raise OptionError.of("--resume", f"goes on with a run as it began, without {', '.join(given)}", fix)
    with stoppable(f"Go on with: polytask fit --resume {folder}"), Watch() as watch:
        run = fitting.resume(folder, watch.report)
    _finish(run)


def compare(
    data: str, tasks: str | None, systems: str, balancers: str, seeds: int, out: Path,
    given: Sequence[str] | None, values: Settings, jobs: int | None, nested: Mapping[str, Any] | None = None,
    tuned: int = 0, search: Mapping[str, Any] | None = None, on: str = "local",
) -> Comparison:  # fmt: skip
    """Train the grid and show the leaderboard."""
    sources, declared, values = from_file(data, tasks, values, nested)
    values = {key: value for key, value in values.items() if key not in ("system", "balancer")}
    values, options = by_system(given, values)
    declared, values = with_options(declared, values)
    prepared = fitting.prepare_for(Config.from_dict(values | {"data": sources, "tasks": declared}))
    tables.show(*tables.notes(prepared.notes, prepared.leaks))
    how = "The same command goes on from here: what is trained is not trained again"
    with stoppable(how), counted() as done:
        found = comparing.compare(
            sources, declared, systems=names(systems), balancers=names(balancers), seeds=seeds,
            settings=values, options=options, out=out, jobs=jobs, on=on, tuned=tuned, search=search, done=done,
        )  # fmt: skip
    tables.show(
        tables.comparison(found), f"The model: {out / 'best'}   (polytask predict {out / 'best'} NEW.csv)",
        f"The report: {page.write(out, importance=False)}   (polytask report {out} adds what mattered)",
    )  # fmt: skip
    return found


def by_system(
    given: Sequence[str] | None, values: Settings, systems: Sequence[str] = (), base: Mapping[str, Settings] | None = None
) -> tuple[Settings, dict[str, Settings]]:
    """`--set` of several systems: the settings of all with what it adds to them, and the options by system over `base`.

    A bare option is the system's where there is one alone. Raises `OptionError` where it names no system.
    """
    options: dict[str, Settings] = {name: dict(own) for name, own in (base or {}).items()}
    for key, value in parse_settings(given or []).items():
        if key in KEYS and key not in ("system", "balancer"):
            values = fitting.merge(values, {key: value})
        elif isinstance(value, dict):
            options[key] = options.get(key, {}) | value
        elif len(systems) == 1:
            options.setdefault(Path(systems[0]).stem, {})[key] = value
        else:
            raise OptionError.of(f"--set {key}", "names no system", f"Write SYSTEM.{key}=..., for example mmoe.{key}={value}")
    return values, options


@contextmanager
def counted() -> Iterator[_cells.Done]:
    """A progress bar of many training runs: how many are done, and which are running."""
    with bar(TimeRemainingColumn()) as progress:
        line = progress.add_task("reading", total=None)

        def done(finished: int, total: int, running: Sequence[str]) -> None:
            progress.update(line, completed=finished, total=total, description="; ".join(running[:3]) or "preparing")

        yield done


def _free(parent: Path, stem: str) -> Path:
    return next(path for n in range(1, 10**6) if not (path := parent / f"{stem}-{n}").exists())


class Watch:
    """The progress of a run: a bar a stage, with its best score so far; full when the stage has ended, however early."""

    def __init__(self, visible: bool = True) -> None:
        self._bar = bar()
        self._bar.disable |= not visible
        self._lines: dict[int, TaskID] = {}

    def __enter__(self) -> "Watch":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is None:
            self._fill()
        self._bar.stop()

    def report(self, at: Training, stage: Fit, epochs: int) -> None:
        """Called by the loop after each epoch."""
        if at.stage not in self._lines:
            self._fill()
            self._lines[at.stage] = self._bar.add_task(stage.name, total=epochs)
        self._bar.update(self._lines[at.stage], completed=at.epoch, description=f"{stage.name}: best score {at.best:.4f}")

    def _fill(self) -> None:
        for task in self._bar.tasks:
            self._bar.update(task.id, total=task.completed)


def _finish(run: Run) -> None:
    assert run.folder is not None
    tables.show(
        tables.run(run), tables.training(run), f"The model: {run.folder}   (polytask predict {run.folder} NEW.csv)",
        f"The report: {page.write(run.folder, importance=False)}   (polytask report {run.folder} adds what mattered)",
    )  # fmt: skip
