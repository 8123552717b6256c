"""A claim: what a paper says, as arms that can be run and comparisons that can fail."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polytask.core import Card, MissingExtra, OptionError, nearest, registry
from polytask.core.errors import Faults, collect

from .measured import Measured

SIZES = ("smoke", "quick", "full")
Measure = Callable[[str, int, str], Measured]


@dataclass(frozen=True)
class Check:
    """One comparison: `effect = arm - against` in `metric`, with its sign turned where less is better; claimed: above `margin`.

    against: other arms (or controls), each of which must be beaten; without any, the metric itself is compared with 0.
    margin: the smallest gain that matters, stated before the runs. A negative one says "no worse than this".
    decides: whether the claim's verdict rests on it; others are reported beside.
    says: the statement in a practitioner's words. unit: of the metric, as in "points of accuracy".
    """

    name: str
    arm: str
    against: tuple[str, ...]
    metric: str
    direction: int
    margin: float
    says: str
    unit: str = ""
    decides: bool = True


@dataclass(frozen=True)
class Claim:
    """A claim as its file states it.

    statement, source, reported: the paper's words, the place in it, and the numbers there.
    arms: what is compared, the first being the system as published. controls: trivial rivals.
    seeds: how many at each size. test_share: test rows / training rows where seeds split the same rows anew, else 0.
    data: data sets used. simulated: what is simulated and how (None: nothing).
    systems: the systems and balancers whose code decides the numbers.
    unfair: why an arm may differ from the first in parameters, steps or tuning.
    differs: why the result may differ from the paper's.
    """

    id: str
    statement: str
    source: str
    reported: str
    arms: Mapping[str, str]
    checks: tuple[Check, ...]
    seeds: Mapping[str, int]
    controls: Mapping[str, str] = dataclasses.field(default_factory=dict)
    data: tuple[str, ...] = ()
    simulated: str | None = None
    systems: tuple[str, ...] = ()
    test_share: float = 0.0
    unfair: Mapping[str, str] = dataclasses.field(default_factory=dict)
    differs: str = ""
    path: Path = Path()

    @property
    def everything(self) -> dict[str, str]:
        """Arms and controls."""
        return {**self.arms, **self.controls}

    @property
    def card(self) -> Card:
        """The card of the system (or balancer) that the claim is about."""
        found = {**registry.balancers(), **registry.systems()}
        return found[self.id] if self.id in found else Card(id=self.id, title=self.statement)

    def measure(self) -> Measure:
        """The function that runs a cell. Raises `MissingExtra` where a package is not installed."""
        try:
            module = registry.module_of(self.path)
        except ImportError as error:
            fix = f"pip install 'polytask[{self.card.extra}]'" if self.card.extra else f"pip install {error.name}"
            raise MissingExtra.of(f"claim '{self.id}'", f"needs the package '{error.name}'", fix) from error
        found: Measure = module.measure
        return found


def names() -> list[str]:
    """The ids of all claims."""
    return list(registry.claims())


def get(id: str) -> Claim:
    """The claim of a system or balancer, or of a user's own file. Raises `OptionError`: unknown, or not well stated."""
    if id.endswith(".py"):
        path = Path(id)
        if not path.is_file():
            raise OptionError.of(
                f"claim '{id}'", "no such file", "Give the path of a Python file with claim = {...} and measure"
            )
        return parse(path.stem, registry.read_literal(path, "claim"), path)
    if id not in registry.claims():
        raise OptionError.of("claim", f"unknown name '{id}'", nearest(id, registry.claims()))
    return parse(id, registry.claims()[id], Path(__file__).parents[1] / "claims" / f"{id}.py")


_CLAIM = {field.name for field in dataclasses.fields(Claim)} - {"id", "path"}
_CHECK = {field.name for field in dataclasses.fields(Check)} - {"name"}
_NEEDED = ("statement", "source", "reported", "arms", "checks", "seeds")


def parse(id: str, values: Any, path: Path) -> Claim:
    """A claim from its literal. Raises `OptionError` with every fault."""
    where = f"claim '{id}'"
    if not isinstance(values, dict):
        raise OptionError.of(where, "has no literal claim = {...}", "See polytask.ledger.claim.Claim for what it states")
    with collect(OptionError) as faults:
        for key in values:
            if key not in _CLAIM:
                faults.add(where, f"unknown key '{key}'", nearest(key, _CLAIM))
        for key in _NEEDED:
            if not values.get(key):
                faults.add(where, f"states no {key}", f"Add {key}")
        arms, controls = values.get("arms") or {}, values.get("controls") or {}
        known = {**arms, **controls}
        checks = [_check(where, name, check, known, faults) for name, check in (values.get("checks") or {}).items()]
        for name in values.get("unfair") or {}:
            if name not in known:
                faults.add(f"{where}: unfair", f"no arm '{name}'", nearest(name, known))
        for name in set(arms) & set(controls):
            faults.add(where, f"'{name}' is an arm and a control", "Rename one")
        for size in SIZES:
            if size not in (values.get("seeds") or {}):
                faults.add(f"{where}: seeds", f"none for size '{size}'", f"Write {size}: NUMBER")
    rest = {key: tuple(values[key]) for key in ("data", "systems") if key in values}
    stated = {**values, **rest, "checks": tuple(check for check in checks if check is not None)}
    return Claim(id=id, path=path, **{"systems": (id,), **stated})


def _check(where: str, name: str, values: Any, arms: Mapping[str, str], faults: Faults) -> Check | None:
    place = f"{where}: checks.{name}"
    if not isinstance(values, dict) or not {"arm", "metric", "direction", "margin", "says"} <= set(values):
        faults.add(place, "needs arm, against, metric, direction, margin and says", "Write them")
        return None
    for key in set(values) - _CHECK:
        faults.add(place, f"unknown key '{key}'", nearest(key, _CHECK))
    against = values.get("against") or ()
    against = (against,) if isinstance(against, str) else tuple(against)
    for arm in (values["arm"], *against):
        if arm not in arms:
            faults.add(place, f"no arm '{arm}'", nearest(arm, arms))
    if values["direction"] not in ("max", "min"):
        faults.add(f"{place}.direction", f"is {values['direction']!r}", "Write max or min")
        return None
    known = {key: value for key, value in values.items() if key in _CHECK}
    sign = 1 if values["direction"] == "max" else -1
    return Check(name=name, **{**known, "against": against, "direction": sign})
