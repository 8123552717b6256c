"""Options: settings that are declared once, in a frozen dataclass, a line each.

Validation, the JSON schema, the table of the docs, `polytask show`, `--set key=value` and the written configuration all
derive from the declaration.
"""

import dataclasses
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from .errors import Fault, OptionError, nearest, shown

T = TypeVar("T")
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_LARGEST = 2**53
"""The largest whole number that every reader of JSON keeps, and that no size or seed needs to pass."""


def opt(
    default: Any,
    help: str,
    *,
    paper: str | None = None,
    ours: str | None = None,
    ge: float | int | None = None,
    gt: float | int | None = None,
    le: float | int | None = None,
    lt: float | int | None = None,
    choices: tuple[Any, ...] = (),
    was: str | None = None,
) -> Any:
    """One typed setting. `paper` says where the paper states the default, `ours` why we chose it; `was` is its old name."""
    bounds = {name: bound for name, bound in {"ge": ge, "gt": gt, "le": le, "lt": lt}.items() if bound is not None}
    metadata = {"help": help, "paper": paper, "ours": ours, "bounds": bounds, "choices": choices, "was": was}
    return dataclasses.field(default=default, metadata={"option": metadata})


def fitted(default: Any = None) -> Any:
    """A field that training rows fill (statistics, classes); no user sets it by name, but `schema.json` holds it."""
    return dataclasses.field(default=default, metadata={"fitted": True})


@dataclass(frozen=True)
class Option:
    """What is known of one setting."""

    name: str
    type: Any
    default: Any
    help: str
    paper: str | None
    ours: str | None
    bounds: Mapping[str, float | int]
    choices: tuple[Any, ...]
    was: str | None

    @property
    def allowed(self) -> str:
        """The values allowed, in words: `int >= 1`, `one of relu, silu`."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        return f"{_words(self.type)} {' and '.join(f'{_BOUNDS[k]} {v:g}' for k, v in self.bounds.items())}".strip()

    @property
    def provenance(self) -> str:
        return f"paper: {self.paper}" if self.paper else f"ours: {self.ours}" if self.ours else ""


def _words(kind: Any) -> str:
    """A type in words: `int`, `a list of float`, `a mapping or none`."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(str, parts))
    if origin in (tuple, list):
        return f"a list of {_words(parts[0])}"
    if origin in (Union, types.UnionType):
        return " or ".join(map(_words, parts))
    names: dict[Any, str] = {dict: "a mapping", Mapping: "a mapping", type(None): "none", str: "text", bool: "true or false"}
    return names.get(origin or kind) or str(getattr(kind, "__name__", kind))


def options_of(cls: type) -> dict[str, Option]:
    """The settings that a dataclass declares with `opt`, by name, in order."""
    found: dict[str, Option] = _options_of(cls)
    return found


@cache
def _options_of(cls: Any) -> dict[str, Option]:
    hints = get_type_hints(cls)
    return {
        field.name: Option(field.name, hints[field.name], field.default, **field.metadata["option"])
        for field in dataclasses.fields(cls)
        if "option" in field.metadata
    }


@cache
def _adapter(cls: Any, name: str) -> Any:  # a TypeAdapter
    option = options_of(cls)[name]
    bounds: dict[str, Any] = dict(option.bounds)
    return TypeAdapter(Annotated[option.type, Field(**bounds)])  # type: ignore[arg-type]


def _check(cls: type, option: Option, value: Any, where: str) -> tuple[Any, Fault | None]:
    given = value
    if isinstance(value, str) and value.lower() in ("none", "null") and "None" in str(option.type):
        value = None
    if isinstance(value, str) and str(option.type).startswith("tuple["):
        value = (value,)
    problem, fix = f"must be {option.allowed}; got {shown(given)}", ""
    if isinstance(value, bool) and option.type in (int, float):
        return value, Fault(f"{where}.{option.name}", problem)
    try:
        value = _adapter(cls, option.name).validate_python(value)
        if not (unusable := _unusable(value, option.type)) and (not option.choices or value in option.choices):
            return value, None
        problem = f"{unusable}; got {shown(given)}" if unusable else problem
    except ValidationError:
        pass
    if option.choices:
        fix = nearest(given, map(str, option.choices))
    return value, Fault(f"{where}.{option.name}", problem, fix if fix.startswith("Did") else "")


def _unusable(value: Any, kind: Any) -> str:
    """What is wrong with a number, or with one in a list, that no bound of an option names."""
    if isinstance(value, (tuple, list)):
        return next(filter(None, (_unusable(item, kind) for item in value)), "")
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return f"must be {_LARGEST} at most" if kind is int and abs(value) > _LARGEST else ""


def make(cls: type[T], values: Mapping[str, Any], where: str, fixed: Mapping[str, Any] | None = None) -> T:
    """An instance of `cls` from user-given `values` (strings are converted) and `fixed` fields that are not options.

    Raises `OptionError` with every unknown name and every value out of range at once.
    """
    known = options_of(cls)
    renamed = {option.was: name for name, option in known.items() if option.was}
    faults: list[Fault] = []
    clean: dict[str, Any] = dict(fixed or {})
    for key, value in values.items():
        name = renamed.get(key, key)
        if name not in known:
            faults.append(Fault(f"{where}.{key}", "unknown option", nearest(key, known)))
            continue
        clean[name], fault = _check(cls, known[name], value, where)
        faults += [fault] if fault else []
    if faults:
        raise OptionError(*faults)
    return cls(**clean)


def dump(instance: Any) -> dict[str, Any]:
    """Every option of an instance with its value, as YAML and JSON can write it."""
    return {name: _plain(getattr(instance, name)) for name in options_of(type(instance))}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON schema of the options of `cls`."""
    properties = {}
    for name, option in options_of(cls).items():
        entry = _adapter(cls, name).json_schema() | {"description": option.help, "default": _plain(option.default)}
        properties[name] = entry | ({"enum": list(option.choices)} if option.choices else {})
    return {"type": "object", "additionalProperties": False, "properties": properties}


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """`["heads=4", "training.lr=1e-3"]` -> `{"heads": "4", "training": {"lr": "1e-3"}}`; lists are comma-separated."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise OptionError(Fault("--set", f"'{setting}' is not KEY=VALUE", "Write for example --set width=128"))
        *path, last = key.strip().split(".")
        place = parsed
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise OptionError(Fault(f"--set {setting}", f"'{part}' has a value of its own", "Leave one of the two out"))
        if isinstance(place.get(last), dict):
            fix = f"Write as in --set {key}.{next(iter(place[last]))}=..., for each of its options"
            raise OptionError(Fault(f"--set {setting}", f"'{last}' has options of its own", fix))
        place[last] = value.split(",") if "," in value else value
    return parsed
