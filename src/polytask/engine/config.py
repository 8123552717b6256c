"""The configuration of a run: every choice, readable and writable as YAML, checked all at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from polytask import __version__
from polytask.balance import _balancer
from polytask.core import OptionError, registry
from polytask.core.errors import collect
from polytask.core.option import dump, make
from polytask.data import nested
from polytask.data.sample import MixOptions
from polytask.data.split import SplitOptions

from . import _files
from .training import Training

KEYS = ("polytask", "data", "tasks", "inputs", "ignore", "split", "mix", "system", "balancer", "training", "start")
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
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Raises `OptionError` with every unknown key, unknown name and bad value at once."""
        with collect(OptionError) as faults:
            for key in values:
                if key not in KEYS:
                    faults.unknown(str(key), str(key), KEYS)
            for key, kinds in _SHAPES.items():
                if values.get(key) is not None and not isinstance(values[key], kinds):
                    wanted = " or ".join("a mapping" if kind is dict else f"a {kind.__name__}" for kind in kinds)
                    faults.add(key, f"must be {wanted}; got {values[key]!r}")
        system = named(values.get("system") or {}, "hard_sharing")
        defaults = _defaults(system[0])
        balancer = _balancer_of(values.get("balancer") or {}, defaults.get("balancer", "equal"))
        with collect(OptionError) as faults:
            with faults.gather():
                split = make(SplitOptions, values.get("split") or {}, "split")
            with faults.gather():
                mix = make(MixOptions, values.get("mix") or {}, "mix")
            with faults.gather():
                training = make(Training, {**defaults.get("training", {}), **(values.get("training") or {})}, "training")
            with faults.gather():
                options: Any = make(registry.load(system[0]).options_type, system[1], system[0])
            with faults.gather():
                balancing = _balancer.options(*balancer)
        return cls(
            data=_sources(values.get("data")),
            tasks=_declared(values.get("tasks") or {}),
            inputs=_declared(values.get("inputs") or {}),
            ignore=tuple(values.get("ignore") or ()),
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
    "data": (str, list),
    "tasks": (dict, list),
    "inputs": (dict,),
    "ignore": (list, tuple),
    "split": (dict,),
    "mix": (dict,),
    "system": (str, dict),
    "balancer": (str, dict),
    "training": (dict,),
    "start": (str,),
}


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases, so that a small file cannot grow huge."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping; files it names are looked for from its folder. Raises `OptionError` naming the file and the line."""
    if not path.is_file():
        raise OptionError.of(str(path), "no such file", "polytask init DATA writes one")
    if path.stat().st_size > _MOST_BYTES:
        raise OptionError.of(str(path), "is larger than any configuration", "Is it a data file?")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError.of(str(path), f"is not YAML: {_files.one_line(error)}") from None
    if not isinstance(values, dict):
        raise OptionError.of(str(path), f"must be a mapping of {', '.join(KEYS)}")
    base = path.parent
    values["data"] = list(_sources(values.get("data"), base))
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
    return file if file.startswith("@") or file == MEMORY else str((base / file).absolute())


def _sources(data: Any, base: Path = Path()) -> tuple[Mapping[str, Any], ...]:
    listed = [data] if isinstance(data, (str, Mapping)) else list(data or [])
    sources: list[dict[str, Any]] = [{"file": s} if isinstance(s, (str, Path)) else dict(s) for s in listed]
    for number, source in enumerate(sources):
        for key in source:
            if key not in ("file", "tasks", "with"):
                raise OptionError.of(f"data[{number}].{key}", "unknown key", "Write {file: PATH, tasks: [NAMES], with: {...}}")
        if "file" not in source:
            raise OptionError.of(f"data[{number}]", "names no file", "Write {file: PATH, tasks: [NAMES]}")
        if "with" in source:
            nested.check(f"data[{number}]", source["with"])
            parts = {n: {**p, "file": _absolute(str(p["file"]), base)} for n, p in source["with"].items()}
            source["with"] = parts
    return tuple({**source, "file": _absolute(str(source["file"]), base)} for source in sources)


def _declared(declared: Any) -> dict[str, Any]:
    return dict(declared) if isinstance(declared, Mapping) else dict.fromkeys(map(str, declared))


def named(value: Any, default: str = "") -> tuple[str, dict[str, Any]]:
    """The name and the options of a system or balancer section: a bare name, or a mapping with `name`."""
    if isinstance(value, str):
        return value, {}
    rest = dict(value)
    return str(rest.pop("name", default)), rest


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
