"""A run: a folder with configuration, schema, weights, metrics, predictions. It loads anywhere with polytask alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from polytask import __version__
from polytask.core import Batch, OptionError, RunError, Schema, System, registry
from polytask.data import nested

from . import _files
from .config import Config, named, read_yaml
from .predict import evaluate, predict

Scores = Mapping[str, Mapping[str, float]]


@dataclass
class Run:
    """A trained model with the schema that it reads data by."""

    config: Config
    schema: Schema
    system: System
    scores: Mapping[str, Scores]
    """Metrics by part (`validation`, `test`), task and name."""
    cost: Mapping[str, float]
    """`parameters`, training `seconds` and `steps`, `seconds_a_step` (0 for closed forms), `bytes` on disk and, unless the run
    was merged from others, `rows_a_second` predicted."""
    folder: Path | None = None

    @classmethod
    def load(cls, folder: Path | str, trust: bool = False) -> "Run":
        """Read a run folder. Raises `RunError` naming the file that is missing, damaged or of a newer version.

        trust: run the code of a system that is not polytask's, which lies in the folder.
        """
        folder = Path(folder)
        if not (folder / "model.safetensors").exists():
            known = "is not a finished run" if (folder / "config.yaml").exists() else "is not the folder of a run"
            fix = f"polytask fit --resume {folder}" if (folder / "config.yaml").exists() else "Give the --out of polytask fit"
            raise RunError.of(str(folder), known, fix)
        values = read_yaml(folder / "config.yaml")
        _check_version(folder, values.get("polytask"))
        name = named(values.get("system") or "")[0]
        if name.endswith(".py") and not trust:
            fix = "Read it, then: polytask ... --trust, or polytask.load(folder, trust=True)"
            raise RunError.of(name, "is code that this run needs, and not polytask's", fix)
        try:
            config = Config.from_dict(values)
        except OptionError as error:
            raise RunError(*(replace(f, where=f"{folder / 'config.yaml'}: {f.where}") for f in error.faults)) from None
        about = _files.read_json(folder / "schema.json")
        try:
            schema = Schema.from_json(about)
        except _DAMAGED as error:
            problem = f"does not describe a schema ({_files.one_line(error)})"
            raise RunError.of(str(folder / "schema.json"), problem, "It was edited: restore it or train again") from None
        model = folder / "model.safetensors"
        tensors, header = _files.read_tensors(model)
        try:
            system = registry.load(config.system).build(schema, config.options)
            system.load_state_dict(tensors)
            scores, cost = header["scores"], header["cost"]
        except (RuntimeError, *_DAMAGED) as error:
            fix = "config.yaml, schema.json and model.safetensors must be of one run: restore them or train again"
            raise RunError.of(str(model), f"does not fit {config.system} ({_files.one_line(error)})", fix) from None
        return cls(config, schema, system.eval(), scores, cost, folder)

    def save(self, folder: Path | str) -> None:
        """Write `config.yaml`, `schema.json`, `model.safetensors`: the latter last, for it marks the run as finished."""
        self.folder = Path(folder)
        describe(self.folder, self.config, self.schema)
        about = {"version": __version__, "system": self.config.system, "scores": self.scores, "cost": dict(self.cost)}
        _files.write_tensors(self.folder / "model.safetensors", self.system.state_dict(), about)

    def predict(self, data: Any) -> pd.DataFrame:
        """One row of predictions for each row of `data`, in the user's units; labels are not needed.

        data: a file, a frame, ...; or `{"file": data, "with": nested tables}`. Raises `DataError` naming the input columns that
        it lacks.
        """
        frame: pd.DataFrame = self.predict_table(nested.of(data)).to_pandas()
        return frame

    def predict_table(self, table: pa.Table) -> pa.Table:
        """As `predict`, from Arrow to Arrow."""
        return self.decode(predict(self.system, self.schema.only(tasks=()).encode(table)))

    def decode(self, predictions: Mapping[str, torch.Tensor]) -> pa.Table:
        """Predictions in the user's units."""
        columns: dict[str, pa.Array] = {}
        for name, prediction in predictions.items():
            columns |= self.schema.tasks[name].decode(prediction)
        return pa.table(columns)

    def evaluate(self, data: Any) -> dict[str, dict[str, float]]:
        """Every task's metrics on labelled `data`. Raises `DataError` naming the columns that are missing."""
        batch = self.schema.encode(nested.of(data))
        scores = evaluate(self.schema.tasks, predict(self.system, batch), batch)
        if not scores:
            wanted = ", ".join(column for task in self.schema.tasks.values() for column in task.columns)
            raise RunError.of("evaluate", "no row has a label of any task", f"The data need some of: {wanted}")
        return scores

    def write_predictions(self, table: pa.Table, batch: Batch, rows: torch.Tensor) -> None:
        """`predictions.parquet`: the predictions of these rows of the training table, with their row numbers and labels."""
        assert self.folder is not None
        chosen = table.take(pa.array(rows.numpy()))
        predictions = self.decode(predict(self.system, batch.index(rows)))
        columns = {"row": pa.array(rows.numpy())} | {n: predictions[n] for n in predictions.column_names}
        for task in self.schema.tasks.values():
            columns |= {f"true_{c}": chosen[c] for c in task.columns if c in chosen.column_names}
        _files.write(self.folder / "predictions.parquet", lambda path: pq.write_table(pa.table(columns), path))


_DAMAGED = (AttributeError, IndexError, KeyError, TypeError, ValueError, OptionError)
"""What reading an edited description may end in."""


def cost(system: System, seconds: float, steps: int, rows: Batch | None = None) -> dict[str, float]:
    """What the model cost to train, and costs to store and (where `rows` are given) to use; here, on this machine."""
    state = system.state_dict().values()
    found = {
        "parameters": float(sum(p.numel() for p in system.parameters())),
        "seconds": seconds,
        "steps": float(steps),
        "seconds_a_step": seconds / steps if steps else 0.0,
        "bytes": float(sum(tensor.numel() * tensor.element_size() for tensor in state)),
    }
    if rows is not None:
        started = time.perf_counter()
        predict(system, rows)
        found["rows_a_second"] = len(rows) / (time.perf_counter() - started)
    return found


def describe(folder: Path, config: Config, schema: Schema) -> None:
    """Write `schema.json` and `config.yaml`, with a copy of a user's own system, so that the folder can be moved."""
    values = config.to_dict()
    if config.system.endswith(".py"):
        own = registry.file_of(config.system)
        values["system"]["name"] = own.name
        _files.write_text(folder / own.name, own.read_text(encoding="utf-8"))
    _files.write_json(folder / "schema.json", schema.to_json())
    _files.write_yaml(folder / "config.yaml", values)


def _check_version(folder: Path, version: Any) -> None:
    def parts(text: str) -> tuple[int, ...]:
        return tuple(int(piece) for piece in text.split(".") if piece.isdigit())

    if parts(str(version)) > parts(__version__):
        raise RunError.of(str(folder), f"was written by polytask {version}; this is {__version__}", "pip install -U polytask")
