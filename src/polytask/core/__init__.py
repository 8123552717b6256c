"""The nouns of polytask. No input or output, no field of application."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .balancer import Balancer as Balancer
    from .balancer import Entry as Entry
    from .balancer import Update as Update
    from .balancer import Weighting as Weighting
    from .batch import Batch as Batch
    from .batch import Column as Column
    from .batch import Columns as Columns
    from .batch import Graph as Graph
    from .batch import Ragged as Ragged
    from .batch import Record as Record
    from .card import Card as Card
    from .errors import DataError as DataError
    from .errors import Fault as Fault
    from .errors import MissingExtra as MissingExtra
    from .errors import OptionError as OptionError
    from .errors import PolytaskError as PolytaskError
    from .errors import RunError as RunError
    from .errors import nearest as nearest
    from .option import fitted as fitted
    from .option import opt as opt
    from .schema import Input as Input
    from .schema import Schema as Schema
    from .source import Source as Source
    from .stage import Fit as Fit
    from .stage import Parameters as Parameters
    from .stage import Solve as Solve
    from .stage import Stage as Stage
    from .system import PerTask as PerTask
    from .system import System as System
    from .task import Task as Task

# Names are imported on first use, so that listing systems and printing help do not wait for torch.
_HOMES = {
    "balancer": ("Balancer", "Entry", "Update", "Weighting"),
    "batch": ("Batch", "Column", "Columns", "Graph", "Ragged", "Record"),
    "card": ("Card",),
    "errors": ("DataError", "Fault", "MissingExtra", "OptionError", "PolytaskError", "RunError", "nearest"),
    "option": ("fitted", "opt"),
    "schema": ("Input", "Schema"),
    "source": ("Source",),
    "stage": ("Fit", "Parameters", "Solve", "Stage"),
    "system": ("PerTask", "System"),
    "task": ("Task",),
}
_MODULE = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Balancer",
    "Batch",
    "Card",
    "Column",
    "Columns",
    "DataError",
    "Entry",
    "Fault",
    "Fit",
    "Graph",
    "Input",
    "MissingExtra",
    "OptionError",
    "Parameters",
    "PerTask",
    "PolytaskError",
    "Ragged",
    "Record",
    "RunError",
    "Schema",
    "Solve",
    "Source",
    "Stage",
    "System",
    "Task",
    "Update",
    "Weighting",
    "fitted",
    "nearest",
    "opt",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'polytask.core' has no attribute '{name}'")
    return getattr(import_module(f"polytask.core.{_MODULE[name]}"), name)
