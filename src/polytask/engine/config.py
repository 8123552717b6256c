"""The configuration of a run: every choice, readable and writable as YAML, checked all at once."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polytask import __version__
from polytask.balance import _balancer
from polytask.core import OptionError, registry
from polytask.core.errors import Faults, collect, shown
from polytask.core.option import dump, make
from polytask.data import nested
from polytask.data.sample import MixOptions
from polytask.data.split import SplitOptions

from . import _yaml
from .training import Training

KEYS = ("polytask", "data", "tasks", "inputs", "ignore", "split", "mix", "system", "balancer", "training", "start")
_MACHINE = ("threads", "save_every", "loggers", "conflict")
MEMORY = "(in memory)"
"""Stands for the file of data that were given as an object."""
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Config:
    """Every choice of a run.

    data: files or shipped data sets; each `{"file": absolute path, "tasks": names or None for all}`.
    tasks, inputs: declarations by name (None or {}: inferred). ignore: columns that are never inputs.
    system, options: an id (or a user's file) and its options. balancer, balancing: an id and its options.
    start: the folder of a run whose inputs and shared weights are taken over (None: start anew).
    """

    data: tuple[Mapping[str, Any], ...]
    tasks: Mapping[str, Any]
    inputs: Mapping[str, Any]
    ignore: tuple[str, ...]
    split: SplitOptions
    mix: MixOptions
    system: str
    options: Any
    balancer: str
    balancing: Mapping[str, Any]
    training: Training = field(default_factory=Training)
    start: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, every option written out; `from_dict` gives the equal configuration back."""
        return {
            "polytask": __version__,
            "data": [dict(source) for source in self.data],
            "tasks": {name: _plain(declared) for name, declared in self.tasks.items()},
            "inputs": {name: _plain(declared) for name, declared in self.inputs.items()},
            "ignore": list(self.ignore),
            "split": dump(self.split),
            "mix": dump(self.mix),
            "system": {"name": self.system, **dump(self.options)},
            "balancer": {"name": self.balancer, **self.balancing},
            "training": dump(self.training),
        } | ({} if self.start is None else {"start": self.start})

    @classmethod
    def from_dict(cls, values: Mapping[Any, Any]) -> "Config":
        """Raises `OptionError` with every unknown key, unknown name and bad value at once."""
        with collect(OptionError) as faults:
            _check(values, faults)
        system = named(values.get("system") or {}, "hard_sharing")
        defaults = _defaults(system[0])
        balancer = _balancer_of(values.get("balancer") or {}, defaults.get("balancer", "equal"))
        with collect(OptionError) as faults:
            with faults.gather():
                split = make(SplitOptions, _texts(values.get("split")), "split")
            with faults.gather():
                mix = make(MixOptions, _texts(values.get("mix")), "mix")
            with faults.gather():
                training = make(Training, {**defaults.get("training", {}), **_texts(values.get("training"))}, "training")
            with faults.gather():
                options: Any = make(registry.load(system[0]).options_type, system[1], system[0])
            with faults.gather():
                balancing = _balancer.options(*balancer)
            tasks: dict[str, Any] = {}
            with faults.gather():
                tasks = _declared("tasks", values.get("tasks"))
            with faults.gather():
                inputs = _declared("inputs", values.get("inputs"))
            with faults.gather():
                ignore = tuple(_declared("ignore", values.get("ignore")))
            with faults.gather():
                data = _sources(values.get("data"))
                _check_tasks(data, tasks)
        return cls(
            data=data,
            tasks=tasks,
            inputs=inputs,
            ignore=ignore,
            split=split,
            mix=mix,
            system=_absolute(system[0]) if system[0].endswith(".py") else system[0],
            options=options,
            balancer=balancer[0],
            balancing=balancing,
            training=training,
            start=_absolute(str(values["start"])) if values.get("start") else None,
        )


_SHAPES: dict[str, tuple[type, ...]] = {
    "polytask": (str, int, float),
    "data": (str, list, dict),
    "tasks": (dict, list, str),
    "inputs": (dict,),
    "ignore": (list, str),
    "split": (dict,),
    "mix": (dict,),
    "system": (str, dict),
    "balancer": (str, dict),
    "training": (dict,),
    "start": (str,),
}
_WORDS = {dict: "a mapping", list: "a list", str: "a name", int: "a number", float: "a number"}


def _check(values: Mapping[Any, Any], faults: Faults) -> None:
    """Add unknown sections, sections that are no mapping, and a version that is newer than this one."""
    version = values.get("polytask")
    if isinstance(version, str) and _parts(version) > _parts(__version__):
        raise OptionError.of("polytask", f"was written by polytask {version}; this is {__version__}", "pip install -U polytask")
    for key, value in values.items():
        kinds = _SHAPES.get(key, ())
        if not kinds:
            faults.unknown(str(key) or "''", str(key), KEYS)
        elif not isinstance(value, (type(None), tuple, Mapping, *kinds)) or _is_other(value, kinds):
            faults.add(str(key), f"must be {' or '.join(dict.fromkeys(_WORDS[kind] for kind in kinds))}; got {shown(value)}")


def _is_other(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a mapping, a tuple (a list elsewhere) or a truth value stands where none may."""
    if isinstance(value, Mapping):
        return dict not in kinds
    return isinstance(value, bool) or (isinstance(value, tuple) and list not in kinds)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(piece) for piece in version.split(".") if piece.isdecimal())


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping; files it names are looked for from its folder. Raises `OptionError` naming the file and the line."""
    if not path.is_file():
        raise OptionError.of(str(path), "is a folder" if path.is_dir() else "no such file", "polytask init DATA writes one")
    if path.stat().st_size > _MOST_BYTES:
        raise OptionError.of(str(path), "is larger than any configuration", "Is it a data file?")
    try:
        values = _yaml.read(path.read_bytes())
    except ValueError as error:
        raise OptionError.of(str(path), f"is not YAML: {error}", "Correct it, or write one anew: polytask init DATA") from None
    if not isinstance(values, dict):
        fix = "Start it with data: FILE; polytask init DATA writes one"
        raise OptionError.of(str(path), f"must be a mapping of {', '.join(KEYS)}; got {shown(values)}", fix)
    base = path.parent
    try:
        with collect(OptionError) as faults:
            _check(values, faults)
        values["data"] = list(_sources(values.get("data"), base))
    except OptionError as error:
        raise OptionError(*(replace(fault, where=f"{path}: {fault.where}") for fault in error.faults)) from None
    if isinstance(values.get("start"), str):
        values["start"] = _absolute(values["start"], base)
    name, options = named(values.get("system") or "")
    if name.endswith(".py"):
        values["system"] = {"name": _absolute(name, base), **options}
    return values


def _balancer_of(given: Any, default: Any) -> tuple[str, dict[str, Any]]:
    """The balancer that is asked for; the options of the system's own hold as long as it is that one."""
    own, options = named(default)
    name, more = named(given, own)
    return name, {**options, **more} if name == own else more


def _defaults(system: str) -> Mapping[str, Any]:
    """What the system's card trains it with; nothing for an unknown name, whose fault is told elsewhere."""
    known = system.endswith(".py") and Path(system).is_file()
    return registry.card_of(registry.file_of(system)).defaults if known or system in registry.systems() else {}


def numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a written configuration a run's numbers follow from: not where the data lie, nor how the machine is used."""
    own = {key: value for key, value in values.items() if key not in ("polytask", "start")}
    training = {key: value for key, value in values["training"].items() if key not in _MACHINE}
    return own | {"data": [source.get("tasks") for source in values["data"]], "training": training}


def files_of(source: Mapping[str, Any]) -> list[Any]:
    """The file of a source and those of its nested tables."""
    return [source["file"], *(part["file"] for part in source.get("with", {}).values())]


def named_files(source: Mapping[str, Any]) -> dict[str, Any]:
    """The source with `MEMORY` in place of data that are no file."""
    found = {**source, "file": _name(source["file"])}
    if "with" in source:
        found["with"] = {name: {**part, "file": _name(part["file"])} for name, part in source["with"].items()}
    return found


def _name(file: Any) -> str:
    return str(file) if isinstance(file, (str, Path)) else MEMORY


def _absolute(file: str, base: Path = Path()) -> str:
    plain = file.startswith("@") or file == MEMORY or "://" in file
    return file if plain else str((base / os.path.expanduser(file)).absolute())


def _sources(data: Any, base: Path = Path()) -> tuple[Mapping[str, Any], ...]:
    listed = [data] if isinstance(data, (str, Mapping)) else list(data or [])
    sources: list[dict[str, Any]] = []
    with collect(OptionError) as faults:
        for number, given in enumerate(listed):
            with faults.gather():
                sources.append(_source(f"data[{number}]", {"file": given} if isinstance(given, (str, Path)) else given, base))
    return tuple(sources)


def _source(where: str, source: Any, base: Path) -> dict[str, Any]:
    form = "Write {file: PATH, tasks: [NAMES], with: {...}, stream: true}"
    if not isinstance(source, Mapping):
        raise OptionError.of(where, f"must be a file or a mapping; got {shown(source)}", form)
    with collect(OptionError) as faults:
        for key in source:
            if key not in ("file", "tasks", "with", "stream"):
                faults.add(f"{where}.{key}", "unknown key", form)
        if not isinstance(source.get("file"), (str, Path)):
            faults.add(where, "names no file", form)
        if not isinstance(source.get("stream", False), bool):
            faults.add(f"{where}.stream", f"must be true or false; got {shown(source['stream'])}")
        tasks = source.get("tasks")
        if tasks is not None and not (isinstance(tasks, (list, tuple)) and all(isinstance(name, str) for name in tasks)):
            faults.add(f"{where}.tasks", f"must be a list of names; got {shown(tasks)}", form)
        if "with" in source:
            nested.check(where, source["with"])
    found = {**source, "file": _absolute(str(source["file"]), base)}
    if "with" in source:
        found["with"] = {n: {**part, "file": _absolute(str(part["file"]), base)} for n, part in source["with"].items()}
    return found


def _check_tasks(data: tuple[Mapping[str, Any], ...], tasks: Mapping[str, Any]) -> None:
    """The tasks of a source are among all."""
    with collect(OptionError) as faults:
        for number, source in enumerate(data):
            for name in source.get("tasks") or ():
                if tasks and name not in tasks:
                    faults.unknown(f"data[{number}].tasks", name, tasks)


def _declared(place: str, declared: Any) -> dict[str, Any]:
    """Names with what is declared of each: None where they are only listed."""
    if isinstance(declared, Mapping):
        with collect(OptionError) as faults:
            for name, item in declared.items():
                _check_declaration(f"{place}.{name}", item, faults)
        return {str(name): _plain(item) for name, item in declared.items()}
    names = [declared] if isinstance(declared, str) else list(declared or [])
    with collect(OptionError) as faults:
        for number, name in enumerate(names):
            if not isinstance(name, (str, int, float)) or isinstance(name, bool):
                faults.add(f"{place}[{number}]", f"must be the name of a column; got {shown(name)}", f"As in {place}: [a, b]")
    return dict.fromkeys(map(str, names))


def _check_declaration(where: str, declared: Any, faults: Faults) -> None:
    form = "Write a kind, or {kind: KIND, OPTION: VALUE}"
    if declared is not None and not isinstance(declared, (str, Mapping)):
        faults.add(where, f"cannot be declared by {shown(declared)}", form)
    if not isinstance(declared, Mapping):
        return
    for key in ("kind", "modality"):
        if not isinstance(declared.get(key), (str, type(None))):
            faults.add(f"{where}.{key}", f"must be a name; got {shown(declared[key])}", form)
    columns = declared.get("columns")
    several = isinstance(columns, (list, tuple)) and all(isinstance(name, str) for name in columns)
    if not (columns is None or isinstance(columns, str) or several):
        faults.add(f"{where}.columns", f"must be names of columns; got {shown(columns)}", "Write columns: [a, b]")


def named(value: Any, default: str = "") -> tuple[str, dict[str, Any]]:
    """The name and the options of a system or balancer section: a bare name, or a mapping with `name`."""
    if isinstance(value, str):
        return value, {}
    rest = _texts(value)
    return str(rest.pop("name", default)), rest


def _texts(section: Any) -> dict[str, Any]:
    """A section, or none, by names that are strings."""
    return {str(key): value for key, value in (section or {}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
