"""What `tune` may try: ranges derived from the options' own declarations, and those that a user gives.

An option is called as `--set` calls it: `width` is the system's, `training.lr` and `balancer.rho` name their section.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from polytask.core import Fault, OptionError, nearest, registry
from polytask.core.option import Option, make, options_of

from .config import Config
from .training import Training

SEARCHED = ("width", "depth", "dropout", "experts", "ridge", "columns", "training.lr", "training.weight_decay")
"""What is searched where the user names nothing, if a system has it; of a balancer, every number that is not whole."""
_WIDE = 10.0
"""A positive number is searched from a tenth of its default to ten times it, a whole number from half to twice."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log`: evenly over their logarithms."""

    low: float | int
    high: float | int
    whole: bool = False
    log: bool = False

    def nearest(self, value: Any) -> Any:
        return min(max(value, self.low), self.high) if isinstance(value, (int, float)) else self.low

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}" + " (log)" * self.log


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Any, ...]

    def nearest(self, value: Any) -> Any:
        return value if value in self.values else self.values[0]

    def __str__(self) -> str:
        return ",".join(map(str, self.values))


Domain: TypeAlias = Range | Choices
Space: TypeAlias = Mapping[str, Domain]


def derived(option: Option, default: Any) -> Domain | None:
    """The values to try around `default`, within the option's bounds; None where its declaration suggests none.

    Named choices and booleans: all. Shares (bounded above and below): within half of the default, exclusive bounds left out.
    Other positive numbers: a tenth to ten times the default, whole ones a half to twice, on a log scale.
    """
    kind = _plain_type(option.type)
    if option.choices or get_origin(kind) is Literal:
        return Choices(option.choices or get_args(kind))
    if kind is bool:
        return Choices((False, True))
    if kind not in (int, float) or default is None or isinstance(default, bool):
        return None
    low, high = _limits(option.bounds, default, kind is int)
    if kind is float and math.isfinite(low) and math.isfinite(high):
        return Range(max(low, default - 0.5), min(high, default + 0.5))
    if default <= 0:
        return None
    factor = 2.0 if kind is int else _WIDE
    found = max(low, default / factor), min(high, default * factor)
    if kind is int:
        found = math.ceil(max(found[0], 1)), math.floor(found[1])
    return Range(*found, whole=kind is int, log=True)


def _plain_type(hint: Any) -> Any:
    """The type without None."""
    if get_origin(hint) in (Union, UnionType):
        rest = [part for part in get_args(hint) if part is not type(None)]
        return rest[0] if len(rest) == 1 else hint
    return hint


def _limits(bounds: Mapping[str, float | int], default: float | int, whole: bool) -> tuple[float | int, float | int]:
    """The least and the largest value; one that is excluded is kept away from, a tenth of the way to the default."""
    low, high = bounds.get("ge", -math.inf), bounds.get("le", math.inf)
    if "gt" in bounds:
        low = bounds["gt"] + (1 if whole else 0.1 * (default - bounds["gt"]))
    if "lt" in bounds:
        high = bounds["lt"] - (1 if whole else 0.1 * (bounds["lt"] - default))
    return low, high


def read(text: str) -> tuple[str, Any]:
    """`lr=1e-4..1e-2`, `width=64,128` or a bare `width` (a derived range) -> the name and what is asked for."""
    name, equals, value = text.partition("=")
    if not name or (equals and not value):
        raise OptionError.of(f"--search {text}", "is not NAME, NAME=LOW..HIGH or NAME=A,B,C", "As in lr=1e-4..1e-2")
    if not equals:
        return name.strip(), None
    return name.strip(), value if ".." in value else value.split(",")


@dataclass(frozen=True)
class _Place:
    """Where an option is declared, and its value in the base configuration."""

    cls: type
    option: Option
    default: Any
    where: str

    def checked(self, value: Any) -> Any:
        return getattr(make(self.cls, {self.option.name: value}, self.where), self.option.name)


def _places(config: Config, trains: bool) -> dict[str, _Place]:
    """Every option of a configuration by its name on the command line; those of training where the system trains by it."""
    sections: list[tuple[str, Any, str, Callable[[str], Any]]] = [
        ("", type(config.options), config.system, lambda name: getattr(config.options, name)),
    ]
    if trains:
        rule = registry.weighting(config.balancer).Options
        sections.append(("training.", Training, "training", lambda name: getattr(config.training, name)))
        sections.append(("balancer.", rule, config.balancer, lambda name: config.balancing[name]))
    return {
        prefix + name: _Place(cls, option, value(name), where)
        for prefix, cls, where, value in sections
        for name, option in options_of(cls).items()
    }


def spaces(
    configs: Mapping[str, Config], trained: Mapping[str, bool], fixed: Mapping[str, Iterable[str]], search: Mapping[str, Any]
) -> dict[str, dict[str, Domain]]:
    """What each study searches, by the studies' names.

    trained: whether the study's system trains by gradient descent, and so takes options of training and of a balancer.
    fixed: the options that the user has set: with another value than the default, they are not searched unless asked for.
    search: what the user asks for: `{"lr": "1e-4..1e-2", "mmoe.experts": [4, 8], "width": None}`; empty: `SEARCHED`.
        A bare name is the system's option, else training's, else the balancer's; `mmoe.` or `famo.` before it names one
        system or balancer alone. What a system lacks is not searched for it.
    Raises `OptionError` with every name that no study knows and every bad value.
    """
    places = {study: _places(config, trained[study]) for study, config in configs.items()}
    if not search:
        return {study: _usual(places[study], set(fixed[study])) for study in configs}
    found: dict[str, dict[str, Domain]] = {study: {} for study in configs}
    faults: dict[str, Fault] = {}
    known: set[str] = set()
    for asked, wanted in search.items():
        hits = 0
        for study, config in configs.items():
            own = places[study]
            name = asked.removeprefix(f"{Path(config.system).stem}.")
            if asked.startswith(f"{config.balancer}."):
                name = "balancer" + asked.removeprefix(config.balancer)
            known |= {*own, *Training.__dataclass_fields__}
            full = next((full for full in (name, f"training.{name}", f"balancer.{name}") if full in own), None)
            if full is None:
                hits += name.removeprefix("training.") in Training.__dataclass_fields__  # it trains by no gradient descent
                continue
            hits += 1
            try:
                found[study][full] = _asked(own[full], wanted)
            except OptionError as error:
                faults |= {str(fault): fault for fault in error.faults}
        if not hits:
            faults[asked] = Fault(f"--search {asked}", "no system or balancer here has this option", nearest(asked, known))
    if faults:
        raise OptionError(*faults.values())
    return found


def _usual(places: Mapping[str, _Place], fixed: set[str]) -> dict[str, Domain]:
    names = [name for name in SEARCHED if name in places]
    names += [name for name, place in places.items() if name.startswith("balancer.") and place.option.type is float]
    names = [name for name in names if name not in fixed or places[name].default == places[name].option.default]
    chosen = {name: derived(places[name].option, places[name].default) for name in names}
    return {name: domain for name, domain in chosen.items() if domain is not None}


def _asked(place: _Place, wanted: Any) -> Domain:
    """What the user asks for, checked as the option checks its values."""
    where = f"--search {place.where}.{place.option.name}"
    if wanted is None:
        domain = derived(place.option, place.default)
        if domain is None:
            raise OptionError.of(where, "has no range of its own", f"Give one: {place.option.name}=LOW..HIGH or =A,B,C")
        return domain
    if isinstance(wanted, str):
        ends = [place.checked(end.strip()) for end in wanted.split("..", 1)] if ".." in wanted else [place.checked(wanted)]
        if len(ends) == 1:
            return _asked(place, [wanted])
        low, high = ends
        if any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in ends):
            raise OptionError.of(where, f"is not a number, so '{wanted}' is no range", "List its values: A,B,C")
        if not low < high:
            raise OptionError.of(where, f"the range {wanted} is empty", "Write LOW..HIGH with LOW < HIGH")
        return Range(low, high, all(isinstance(end, int) for end in ends), log=low > 0 and high >= 10 * low)
    values = tuple(dict.fromkeys(place.checked(_text(value)) for value in wanted))
    if not all(value is None or isinstance(value, (bool, int, float, str)) for value in values):
        raise OptionError.of(where, "holds several values at once, which are not searched", "Set it with --set")
    return Choices(values)


def _text(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def nested(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"width": 64, "training.lr": 1e-3}` -> the sections of a configuration."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        section, _, key = name.rpartition(".")
        found.setdefault(section or "system", {})[key] = value
    return found


def first(space: Space, config: Config) -> dict[str, Any]:
    """The options as they are without tuning, each brought into its range."""
    places = _places(config, trains=True)
    return {name: domain.nearest(places[name].default) for name, domain in space.items()}


def names(sections: Mapping[str, Any]) -> Sequence[str]:
    """The options that sections of a configuration set, as `nested` takes them."""
    prefixes = {"system": "", "training": "training.", "balancer": "balancer."}
    return [prefix + key for section, prefix in prefixes.items() for key in sections.get(section, {}) if key != "name"]
