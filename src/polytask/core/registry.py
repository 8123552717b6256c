"""Finds content by name: systems, baselines, balancers, and the kinds of inputs and tasks.

There is no list to edit: a file is an entry. Listing reads cards as literals with `ast`, so it imports
neither torch nor an extra.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .card import Card
from .errors import MissingExtra, OptionError, PolytaskError, nearest

if TYPE_CHECKING:
    from .system import System

_ROOT = Path(__file__).parents[1]
_PLACES = ("systems", "baselines")
_CARD_FIELDS = {field.name for field in fields(Card)} - {"id"}


def _stems(place: str) -> list[str]:
    return sorted(path.stem for path in (_ROOT / place).glob("*.py") if not path.stem.startswith("_"))


def read_literal(path: Path, name: str) -> Any:
    """The literal that a module assigns to `name`, without running the module; None if it assigns none.

    Raises `OptionError` when the value is not a literal, or the file is not Python.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise OptionError.of(f"{path.name}, line {error.lineno}", f"is not Python: {error.msg}", "Correct it") from None
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [name]:
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                fix = "Write strings, numbers, lists and dicts only"
                raise OptionError.of(f"{path.name}: {name}", "is not a literal", fix) from None
    return None


def _card(id: str, values: Any, where: str) -> Card:
    if not isinstance(values, dict) or "title" not in values:
        raise OptionError.of(where, "has no card", "Start it with card = {'title': ..., 'field': ..., 'example': {...}}")
    for key in values:
        if key not in _CARD_FIELDS:
            raise OptionError.of(f"{where}: card", f"unknown key '{key}'", nearest(key, _CARD_FIELDS))
    return Card(id=id, **values)


def card_of(path: Path) -> Card:
    """The card of a system's file."""
    return _card(path.stem, read_literal(path, "card"), path.name)


@cache
def systems() -> dict[str, Card]:
    """The cards of all systems and baselines, by id."""
    return {stem: card_of(_ROOT / place / f"{stem}.py") for place in _PLACES for stem in _stems(place)}


@cache
def is_baseline(id: str) -> bool:
    """Whether `id` is an honest rival rather than a published system."""
    return (_ROOT / "baselines" / f"{id}.py").exists()


@cache
def balancers() -> dict[str, Card]:
    """The cards of all balancers, by id: a file of `balance/` states one `card` or several `cards`."""
    found: dict[str, Card] = {}
    for stem in _stems("balance"):
        path = _ROOT / "balance" / f"{stem}.py"
        several = read_literal(path, "cards") or {stem: read_literal(path, "card")}
        found |= {id: _card(id, card, f"balance/{path.name}") for id, card in several.items()}
    return dict(sorted(found.items()))


def file_of(id: str) -> Path:
    """The file of a system: a known id, or the path of a user's own file. Raises `OptionError` with the nearest name."""
    if id.endswith(".py"):
        path = Path(id)
        if not path.is_file():
            raise OptionError.of(f"system '{id}'", "no such file", "Give the path of a Python file with one System class")
        return path.resolve()
    if id not in systems():
        raise OptionError.of("system", f"unknown name '{id}'", nearest(id, systems()))
    return next(path for place in _PLACES if (path := _ROOT / place / f"{id}.py").exists())


def load(id: str) -> "type[System]":
    """The class of a system, from its id or from a user's own file.

    Raises `OptionError` (unknown) or `MissingExtra` (with the `pip install` that mends it).
    """
    path = file_of(id)
    card = card_of(path)
    try:
        module = module_of(path)
    except ImportError as error:
        if card.extra is None:
            raise
        fix = f"pip install 'polytask[{card.extra}]'"
        raise MissingExtra.of(f"system '{id}'", f"needs the package '{error.name}'", fix) from error
    return _only_class(module, _base("system", "System"), path)  # type: ignore[no-any-return]


def module_of(path: Path) -> Any:
    """The module of a file of content, polytask's or a user's own."""
    if path.is_relative_to(_ROOT):
        return importlib.import_module(f"polytask.{path.parent.name}.{path.stem}")
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:12]
    name = f"polytask_user_{path.stem}_{digest}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise OptionError.of(str(path), "cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _base(module: str, name: str) -> type:
    base: type = getattr(importlib.import_module(f"polytask.core.{module}"), name)
    return base


def _own(module: Any) -> list[type]:
    """The classes that a module defines."""
    return [item for item in vars(module).values() if isinstance(item, type) and item.__module__ == module.__name__]


def _only_class(module: Any, base: type, path: Path) -> Any:
    own = [item for item in _own(module) if issubclass(item, base)]
    if len(own) != 1:
        names = ", ".join(item.__name__ for item in own) or "none"
        raise PolytaskError.of(path.name, f"must define exactly one {base.__name__} class; found {names}")
    return own[0]


@cache
def readers(kind: str) -> list[str]:
    """The systems and baselines whose example has an input of this kind."""
    return [id for id, card in systems().items() if kind in {text.split()[0] for text in card.example["inputs"].values()}]


@cache
def claims() -> dict[str, dict[str, Any]]:
    """The literals of all claims, by id."""
    return {stem: read_literal(_ROOT / "claims" / f"{stem}.py", "claim") for stem in _stems("claims")}


def kinds(place: str) -> list[str]:
    """The names of the kinds of `inputs` or of `tasks`."""
    return _stems(place)


@cache
def kind(place: str, name: str) -> Any:
    """The class of a kind of input (`place="inputs"`) or of task (`place="tasks"`)."""
    if name not in _stems(place):
        raise OptionError.of(f"{place} kind", f"unknown kind '{name}'", nearest(name, _stems(place)))
    base = _base("schema", "Input") if place == "inputs" else _base("task", "Task")
    path = _ROOT / place / f"{name}.py"
    return _only_class(importlib.import_module(f"polytask.{place}.{name}"), base, path)


def weighting(id: str) -> Any:
    """The class of a balancer's rule: the only `Weighting` of `balance/<id>.py`, or `rule(id)` of a file of several.

    A file may hold a `Balancer` in its place, for what no rule of weights can say.
    """
    if id not in balancers():
        raise OptionError.of("balancer", f"unknown name '{id}'", nearest(id, balancers()))
    path = _ROOT / "balance" / f"{id}.py"
    if path.exists():
        module = importlib.import_module(f"polytask.balance.{id}")
        whole = any(isinstance(item, type) and issubclass(item, _base("balancer", "Balancer")) for item in _own(module))
        return _only_class(module, _base("balancer", "Balancer" if whole else "Weighting"), path)
    for stem in _stems("balance"):
        if id in (read_literal(_ROOT / "balance" / f"{stem}.py", "cards") or {}):
            return importlib.import_module(f"polytask.balance.{stem}").rule(id)
    raise AssertionError(id)
