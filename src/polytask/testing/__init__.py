"""The conformance suites, shipped: what every system, kind of task, kind of input and weighting must hold."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._report import Check as Check
    from ._report import Report as Report
    from .inputs import check_input as check_input
    from .systems import check_system as check_system
    from .tasks import check_task as check_task
    from .weightings import check_weighting as check_weighting

# Suites are imported on first use: only that of systems needs the engine.
_MODULE = {
    "Check": "_report",
    "Report": "_report",
    "check_input": "inputs",
    "check_system": "systems",
    "check_task": "tasks",
    "check_weighting": "weightings",
}

__all__ = ["Check", "Report", "check_input", "check_system", "check_task", "check_weighting"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'polytask.testing' has no attribute '{name}'")
    return getattr(import_module(f"polytask.testing.{_MODULE[name]}"), name)
