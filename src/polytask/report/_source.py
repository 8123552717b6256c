"""What a run folder tells without its model, so that no code of a user's own has to run."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from polytask.core import RunError, Schema
from polytask.engine import _files
from polytask.engine.comparison import Comparison, Result
from polytask.engine.config import read_yaml

T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """A finished run. What may be absent or damaged is None, and `why` says so by the file's name.

    values: `config.yaml`. history: `metrics.csv`. gradients: cosines and norms by stage, epoch and pair of tasks. card: of the
    data. predictions: of the test rows, with `true_` columns.
    """

    folder: Path
    values: Mapping[str, Any]
    schema: Schema
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    cost: Mapping[str, float]
    history: pd.DataFrame | None
    gradients: pd.DataFrame | None
    card: Mapping[str, Any] | None
    predictions: pa.Table | None
    why: Mapping[str, str]

    @property
    def system(self) -> str:
        return Path(self.values["system"]["name"]).stem

    @property
    def balancer(self) -> str:
        return str(self.values["balancer"]["name"])

    def absent(self, file: str) -> str:
        """Why there is nothing to tell of this file."""
        return self.why.get(file, f"{file} holds nothing on it")

    @classmethod
    def of(cls, folder: Path) -> "Told":
        """Raises `RunError` where the folder is no finished run, or what marks it as one is damaged."""
        if not (folder / "model.safetensors").exists():
            fix = f"polytask fit --resume {folder}" if (folder / "config.yaml").exists() else "Give the --out of fit or compare"
            raise RunError.of(str(folder), "holds no finished run and no comparison", fix)
        about = _header(folder / "model.safetensors")
        try:
            schema = Schema.from_json(_files.read_json(folder / "schema.json"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problem = f"does not describe a schema ({_files.one_line(error)})"
            raise RunError.of(str(folder / "schema.json"), problem, "It was edited: restore it or train again") from None
        why: dict[str, str] = {}

        def found(name: str, read: Callable[[Path], T]) -> T | None:
            try:
                return read(folder / name)
            except FileNotFoundError:
                why[name] = f"this run has no {name}"
            except (OSError, ValueError, RunError) as error:  # an ArrowInvalid is a ValueError
                why[name] = f"{name} cannot be read ({_files.one_line(error)})"
            return None

        return cls(
            folder,
            read_yaml(folder / "config.yaml"),
            schema,
            about["scores"],
            about["cost"],
            found("metrics.csv", lambda path: pd.read_csv(path)),
            found("gradients.parquet", lambda path: pq.read_table(path).to_pandas()),
            found("card.json", lambda path: dict(json.loads(path.read_text(encoding="utf-8")))),
            found("predictions.parquet", lambda path: pq.read_table(path)),
            why,
        )


def _header(model: Path) -> dict[str, Any]:
    try:
        with safe_open(model, framework="np") as file:
            about = json.loads((file.metadata() or {})["polytask"])
        return {"scores": _defined(about["scores"]), "cost": _defined(about["cost"])}
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        problem = f"does not tell what the run came to ({_files.one_line(error)})"
        raise RunError.of(str(model), problem, "It was cut short or edited: train again") from None


def _defined(value: Any) -> Any:
    """What JSON writes as null is undefined."""
    if isinstance(value, Mapping):
        return {key: _defined(item) for key, item in value.items()}
    return float("nan") if value is None else value


@dataclass(frozen=True)
class Compared:
    """A comparison folder: its sums, its cells by name of system and balancer, and the cell that is to be shipped."""

    folder: Path
    found: Comparison
    cells: Mapping[str, Sequence[Told]]
    best: Told
    command: Sequence[str] | None

    @classmethod
    def of(cls, folder: Path) -> "Compared":
        """Raises `RunError` where `comparison.json` or a cell is damaged; a cell whose folder is gone is left out."""
        path = folder / "comparison.json"
        values = _files.read_json(path)
        try:
            results = [Result(**_result(cell)) for cell in values["cells"]]
            found = Comparison.of(results, values["reference"], values["skipped"], values.get("tuned", 0))
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            problem = f"does not tell what was compared ({_files.one_line(error)})"
            raise RunError.of(str(path), problem, "It was edited: call compare again, nothing is trained twice") from None
        names = {(row.system, row.balancer): row.name for row in found.rows}
        cells: dict[str, list[Told]] = {row.name: [] for row in found.rows}
        for result in results:
            # The folder may have been moved since: cells lie in it.
            place = folder / "cells" / Path(result.folder).name
            if (place / "model.safetensors").exists():
                cells[names[result.system, result.balancer]].append(Told.of(place))
        winner = cells[found.rows[0].name]
        best = winner[0] if winner else Told.of(folder / "best")
        return cls(folder, found, cells, best, values.get("command"))


def _result(cell: Mapping[str, Any]) -> dict[str, Any]:
    scores = {part: {task: _defined(metrics) for task, metrics in tasks.items()} for part, tasks in cell["scores"].items()}
    return {**cell, "scores": scores, "cost": _defined(cell["cost"])}
