"""Data sets by name, `@name` on the command line: the real ones that ship with the package, and simulated worlds.

A module of `data/real` or `data/worlds` is a data set if it states, as literals,

- `about`: title, origin, licence, rows, and the SHA-256 of its Parquet file (None where no file ships);
- `tasks`: by name, a kind, or a mapping with `kind`, `columns` (if not the task's name) and the kind's settings;
- `ignore`: columns that are no inputs: identifiers, all answers, and what gives an answer away;
- `modalities`: the input columns that are measured together ({} where there is no such thing);
- `split`: at random, or by the column whose values stay in one part;
- optionally `inputs`: declarations of inputs whose kind does not show;

and a function `load() -> pyarrow.Table`. There is no list to edit.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import pyarrow as pa

from polytask.core.errors import DataError, MissingExtra, nearest

from . import real, worlds


@runtime_checkable
class DataSet(Protocol):
    """What every module of a data set has."""

    about: Mapping[str, Any]
    tasks: Mapping[str, Any]
    ignore: Sequence[str]
    modalities: Mapping[str, Sequence[str]]
    split: Mapping[str, str]
    load: Callable[[], pa.Table]


def names() -> list[str]:
    """The data sets, by name: the real ones, then the simulated."""
    return [*_stems(real), *(name for name in _stems(worlds) if isinstance(_module(worlds, name), DataSet))]


def simulated(name: str) -> bool:
    """Whether a data set is made by a simulator."""
    return name not in _stems(real)


def get(name: str) -> DataSet:
    """The data set of this name. Raises `DataError`, with the nearest name, where there is none."""
    known = names()
    if name not in known:
        raise DataError.of(f"data set '{name}'", "is not known", nearest(name, known))
    return cast(DataSet, _module(worlds if simulated(name) else real, name))


def load(name: str) -> pa.Table:
    """The table of a data set. Raises `MissingExtra` where it needs a package that is not installed."""
    item = get(name)
    try:
        return item.load()
    except ImportError as error:
        extra = item.about.get("extra")
        raise MissingExtra.of(f"@{name}", f"needs the package '{error.name}'", f"pip install 'polytask[{extra}]'") from error


def declared_inputs(item: DataSet) -> dict[str, dict[str, Any]]:
    """What the data set states of its inputs: kinds, their settings, modalities."""
    inputs = {name: dict(declaration) for name, declaration in getattr(item, "inputs", {}).items()}
    for group, members in item.modalities.items():
        for name in members:
            inputs.setdefault(name, {})["modality"] = group
    return inputs


def _stems(package: Any) -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def _module(package: Any, name: str) -> Any:
    return importlib.import_module(f"{package.__name__}.{name}")
