"""The configuration of a run: every choice, readable and writable as YAML, checked all at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from polytask.balance import _balancer
from polytask.core import OptionError, registry
from polytask.core.errors import Faults, collect
from polytask.core.option import dump, make
from polytask.data.sample import MixOptions
from polytask.data.split import SplitOptions

from .training import Training

VERSION = "0.1.0"
KEYS = ("polytask", "data", "tasks", "inputs", "ignore", "split", "mix", "system", "balancer", "training")
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Config:
    """Every choice of a run.

    data: files or shipped data sets; each `{"file": path, "tasks": names or None for all}`.
    tasks, inputs: declarations by name (None or {}: inferred). ignore: columns that are never inputs.
    system, options: an id (or a user's file) and its options. balancer, balancing: an id and its options.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, every option written out; `from_dict` gives the equal configuration back."""
        return {
            "polytask": VERSION,
            "data": [dict(source) for source in self.data],
            "tasks": {name: _plain(declared) for name, declared in self.tasks.items()},
            "inputs": {name: _plain(declared) for name, declared in self.inputs.items()},
            "ignore": list(self.ignore),
            "split": dump(self.split),
            "mix": dump(self.mix),
            "system": {"name": self.system, **dump(self.options)},
            "balancer": {"name": self.balancer, **self.balancing},
            "training": dump(self.training),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Raises `OptionError` with every unknown key, unknown name and bad value at once."""
        with collect(OptionError) as faults:
            for key in values:
                if key not in KEYS:
                    faults.unknown(str(key), str(key), KEYS)
            for key, kinds in _SHAPES.items():
                if key in values and not isinstance(values[key], kinds):
                    wanted = " or ".join("a mapping" if kind is dict else f"a {kind.__name__}" for kind in kinds)
                    faults.add(key, f"must be {wanted}; got {values[key]!r}")
        system = _named(values.get("system", "hard_sharing"))
        balancer = _named(values.get("balancer", "equal"))
        with collect(OptionError) as faults:
            split = _try(faults, SplitOptions, values.get("split") or {}, "split")
            mix = _try(faults, MixOptions, values.get("mix") or {}, "mix")
            training = _try(faults, Training, values.get("training") or {}, "training")
            options = _system_options(faults, *system)
            balancing = _balancer_options(faults, *balancer)
        return cls(
            data=_sources(values.get("data")),
            tasks=_declared(values.get("tasks") or {}),
            inputs=_declared(values.get("inputs") or {}),
            ignore=tuple(values.get("ignore") or ()),
            split=split,
            mix=mix,
            system=system[0],
            options=options,
            balancer=balancer[0],
            balancing=balancing,
            training=training,
        )

    @classmethod
    def read(cls, path: Path) -> "Config":
        """Read a YAML file; data files are looked for from its folder. Raises `OptionError` naming the file and line."""
        return cls.from_dict(read_yaml(path))


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
}


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases, so that a small file cannot grow huge."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises `OptionError` naming the file, and the line of a fault."""
    if not path.is_file():
        raise OptionError.of(str(path), "no such file", "polytask init DATA writes one")
    if path.stat().st_size > _MOST_BYTES:
        raise OptionError.of(str(path), "is larger than any configuration", "Is it a data file?")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError.of(str(path), f"is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise OptionError.of(str(path), f"must be a mapping of {', '.join(KEYS)}")
    base = path.parent
    values["data"] = [_resolved(source, base) for source in _sources(values.get("data"))]
    return values


def _resolved(source: Mapping[str, Any], base: Path) -> dict[str, Any]:
    file = str(source["file"])
    return {**source, "file": file if file.startswith("@") or Path(file).is_absolute() else str(base / file)}


def _sources(data: Any) -> tuple[Mapping[str, Any], ...]:
    listed = [data] if isinstance(data, (str, Mapping)) else list(data or [])
    sources = tuple({"file": str(s)} if isinstance(s, (str, Path)) else dict(s) for s in listed)
    for number, source in enumerate(sources):
        for key in source:
            if key not in ("file", "tasks"):
                raise OptionError.of(f"data[{number}].{key}", "unknown key", "Write {file: PATH, tasks: [NAMES]}")
        if "file" not in source:
            raise OptionError.of(f"data[{number}]", "names no file", "Write {file: PATH, tasks: [NAMES]}")
    return sources


def _declared(declared: Any) -> dict[str, Any]:
    return dict(declared) if isinstance(declared, Mapping) else dict.fromkeys(map(str, declared))


def _named(value: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    rest = dict(value)
    return str(rest.pop("name", "")), rest


def _try(faults: Faults, cls: type, values: Mapping[str, Any], where: str) -> Any:
    try:
        return make(cls, values, where)
    except OptionError as error:
        faults.found.extend(error.faults)
        return None


def _system_options(faults: Faults, id: str, values: Mapping[str, Any]) -> Any:
    try:
        return make(registry.load(id).options_type, values, id)
    except OptionError as error:
        faults.found.extend(error.faults)
        return None


def _balancer_options(faults: Faults, id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _balancer.options(id, values)
    except OptionError as error:
        faults.found.extend(error.faults)
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
