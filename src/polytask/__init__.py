"""polytask: one model for many tasks.

`fit` trains one model for all tasks of a table, `compare` tries published ways of sharing it against honest rivals, `load`
reads a trained run: `polytask.load("runs/first").predict(frame)`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .engine.compare import compare as compare
    from .engine.estimator import MultiTaskEstimator as MultiTaskEstimator
    from .engine.fit import fit as fit
    from .engine.fit import resume as resume
    from .engine.run import Run as Run
    from .engine.tune import tune as tune

__version__ = "0.1.0"
__all__ = ["MultiTaskEstimator", "Run", "__version__", "compare", "fit", "load", "resume", "tune"]

_HOMES = {
    "MultiTaskEstimator": "engine.estimator",
    "Run": "engine.run",
    "compare": "engine.compare",
    "fit": "engine.fit",
    "resume": "engine.fit",
    "tune": "engine.tune",
}


def load(folder: "Path | str", trust: bool = False) -> "Run":
    """The trained model of a run folder. trust: run the code of a user's own system that lies in it."""
    from .engine.run import Run

    return Run.load(folder, trust)


def __getattr__(name: str) -> Any:
    """Import on first use: `import polytask` alone is quick."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'polytask' has no attribute '{name}'")
    return getattr(import_module(f"polytask.{_HOMES[name]}"), name)
