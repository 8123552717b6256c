"""What training reports: `metrics.csv` always, TensorBoard and MLflow where asked, a progress bar on a terminal."""

import csv
import io
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polytask.core import MissingExtra, RunError

from . import _files

Row = dict[str, float | int | str]


class Logger(ABC):
    """Takes the numbers of an epoch."""

    @abstractmethod
    def epoch(self, row: Row, step: int) -> None:
        """Report one epoch."""

    @abstractmethod
    def close(self) -> None:
        """Flush."""


class TensorBoard(Logger):
    """Scalars for TensorBoard, in the run's `tensorboard` folder (extra `logging`)."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]

    def epoch(self, row: Row, step: int) -> None:
        for name, value in _numbers(row).items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class MLflow(Logger):
    """Metrics of one MLflow run, at the tracking address that MLflow's own settings give (extra `logging`)."""

    def __init__(self, folder: Path) -> None:
        import mlflow

        self.mlflow: Any = mlflow
        mlflow.start_run(run_name=folder.name)

    def epoch(self, row: Row, step: int) -> None:
        self.mlflow.log_metrics({name.replace("(", "_"): value for name, value in _numbers(row).items()}, step=step)

    def close(self) -> None:
        self.mlflow.end_run()


def check(names: Sequence[str]) -> None:
    """Raise `MissingExtra` where a logger's package is not installed."""
    for name in names:
        if find_spec(name) is None:
            fix = "pip install 'polytask[logging]'"
            raise MissingExtra.of(f"logger '{name}'", f"needs the package '{name}'", fix)


def _numbers(row: Row) -> dict[str, float]:
    return {name: float(v) for name, v in row.items() if not isinstance(v, str) and math.isfinite(v)}


def loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """The loggers asked for. Raises `RunError` where one cannot start, such as an MLflow server that does not answer."""
    known: dict[str, Any] = {"tensorboard": TensorBoard, "mlflow": MLflow}
    started = []
    for name in names:
        try:
            started.append(known[name](folder))
        except Exception as error:  # a logger's package may fail in any way
            raise RunError.of(f"logger '{name}'", f"cannot start: {_files.one_line(error)}") from error
    return started


def write_csv(path: Path, history: Sequence[Row]) -> None:
    """`metrics.csv`: a row an epoch, columns in order of first appearance."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    _files.write_text(path, text.getvalue())
