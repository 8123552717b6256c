"""Real data sets that ship with the package, one a file: where it is from, its licence, tasks, inputs and split.

A module of this package is a data set: there is no list to edit. Each states, as literals,

- `about`: title, origin, licence, rows, and the SHA-256 of its Parquet file (None where no file ships);
- `tasks`: by name, a kind, or a mapping with `kind`, `columns` (if not the task's name) and the kind's settings;
- `ignore`: columns that are no inputs: identifiers, all answers, and what gives an answer away;
- `modalities`: the input columns that are measured together ({} where there is no such thing);
- `split`: at random, or by the column whose values stay in one part;

and a function `load() -> pyarrow.Table`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import pyarrow as pa

from polytask.core.errors import DataError, nearest


@runtime_checkable
class DataSet(Protocol):
    """What every module of this package has."""

    about: Mapping[str, Any]
    tasks: Mapping[str, Any]
    ignore: Sequence[str]
    modalities: Mapping[str, Sequence[str]]
    split: Mapping[str, str]
    load: Callable[[], pa.Table]


def names() -> list[str]:
    """The data sets, by name."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> DataSet:
    """The data set of this name. Raises `DataError`, with the nearest name, where there is none."""
    known = names()
    if name not in known:
        raise DataError.of(f"data set '{name}'", "is not known", nearest(name, known))
    return cast(DataSet, importlib.import_module(f"{__name__}.{name}"))
