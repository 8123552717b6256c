"""A run: a folder with configuration, schema, weights, metrics, predictions. It loads anywhere with polytask alone."""

import hashlib
import json
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
from polytask.core import Batch, DataError, OptionError, RunError, Schema, System, registry
from polytask.data import nested

from . import _files
from .config import KEYS, Config, named, read_yaml
from .predict import CHUNK, evaluate, predict

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
    was merged from others, `rows_a_second` predicted and the processor `threads` of training."""
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
        config = read_config(folder, trust)
        schema = _schema(folder / "schema.json")
        model = folder / "model.safetensors"
        tensors, about = _files.read_tensors(model)
        _same_run(folder, config, schema, about)
        try:
            system = registry.load(config.system).build(schema, config.options)
            _put(system, tensors)
        except (RuntimeError, *_DAMAGED) as error:
            problem = f"does not fit {Path(config.system).stem} ({_files.one_line(error)})"
            raise RunError.of(str(model), problem, _RESTORE) from None
        return cls(config, schema, system.eval(), about["scores"], about["cost"], folder)

    def save(self, folder: Path | str) -> None:
        """Write `config.yaml`, `schema.json`, `model.safetensors`: the latter last, for it marks the run as finished."""
        self.folder = Path(folder)
        describe(self.folder, self.config, self.schema)
        about = {
            "version": __version__,
            "system": Path(self.config.system).name,
            "schema": _digest(self.schema),
            "scores": self.scores,
            "cost": dict(self.cost),
        }
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

    def write_predictions(self, table: pa.Table, batch: Batch, rows: torch.Tensor, numbers: torch.Tensor | None = None) -> None:
        """`predictions.parquet`: the predictions of these rows of the training table, with their row numbers and labels.

        numbers: of all rows (None: 0, 1, ...).
        """
        assert self.folder is not None
        chosen = table.take(pa.array(rows.numpy()))
        predictions = self.decode(predict(self.system, batch.view(rows)))
        columns = {"row": pa.array((rows if numbers is None else numbers[rows]).numpy())} | {
            n: predictions[n] for n in predictions.column_names
        }
        for task in self.schema.tasks.values():
            columns |= {f"true_{c}": chosen[c] for c in task.columns if c in chosen.column_names}
        _files.write(self.folder / "predictions.parquet", lambda path: pq.write_table(pa.table(columns), path))


_DAMAGED = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError, DataError, OptionError)
"""What reading an edited description may end in."""
_RESTORE = "config.yaml, schema.json and model.safetensors must be of one run: restore them or train again"


def read_config(folder: Path, trust: bool = True) -> Config:
    """The configuration of a run folder. Raises `RunError` naming `config.yaml` and what is wrong in it.

    trust: whether a system that is not polytask's may be run.
    """
    path = folder / "config.yaml"
    try:
        if not path.exists():
            raise RunError.of(str(path), "no such file", "Restore it, or train again")
        values = read_yaml(path)
        if absent := [key for key in KEYS if key not in values and key != "start"]:
            problem = f"has no {', '.join(absent)}: it was cut short or edited"
            raise RunError.of(str(path), problem, "Restore it, or train again")
        name = named(values["system"] or {})[0]
        if name.endswith(".py") and not trust:
            fix = "Read it, then: polytask ... --trust, or polytask.load(folder, trust=True)"
            raise RunError.of(name, "is code that this run needs, and not polytask's", fix)
        return Config.from_dict(values)
    except OptionError as error:
        named_faults = (f if f.where.startswith(str(path)) else replace(f, where=f"{path}: {f.where}") for f in error.faults)
        raise RunError(*named_faults) from None


def _schema(path: Path) -> Schema:
    values = _files.read_json(path)
    try:
        return Schema.from_json(values)
    except _DAMAGED as error:
        problem = f"does not describe a schema ({_files.one_line(error)})"
        raise RunError.of(str(path), problem, "It was edited: restore it or train again") from None


def _digest(schema: Schema) -> str:
    return hashlib.sha256(json.dumps(schema.to_json(), sort_keys=True).encode()).hexdigest()


def _same_run(folder: Path, config: Config, schema: Schema, about: Any) -> None:
    """Raise `RunError` where a file of the folder is of another run, or was edited."""
    model = folder / "model.safetensors"
    if not isinstance(about, Mapping) or not all(isinstance(about.get(key), Mapping) for key in ("scores", "cost")):
        raise RunError.of(str(model), "does not say what run it is of", "It was edited: restore it or train again")
    system, trained = Path(config.system).name, Path(str(about.get("system", config.system))).name
    if trained != system:
        raise RunError.of(str(model), f"holds the weights of {trained}; config.yaml says {system}", _RESTORE)
    if about.get("schema", _digest(schema)) != _digest(schema):
        raise RunError.of(str(folder / "schema.json"), "is not the schema that this model was trained with", _RESTORE)
    if set(config.tasks) != set(schema.tasks):
        problem = f"names the tasks {', '.join(config.tasks) or 'none'}; schema.json {', '.join(schema.tasks) or 'none'}"
        raise RunError.of(str(folder / "config.yaml"), problem, _RESTORE)


def _put(system: System, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load the weights. Raises `ValueError` naming the first tensor that does not go there, or that holds no numbers."""
    own = system.state_dict()
    for name in own.keys() & tensors.keys():
        if own[name].numel() and own[name].is_floating_point() != tensors[name].is_floating_point():
            raise ValueError(f"tensor '{name}' is of {tensors[name].dtype}; the configuration makes it {own[name].dtype}")
    try:
        system.load_state_dict(tensors)
    except RuntimeError as error:  # it may be a matter of shapes that only the system knows
        raise ValueError(_difference(own, tensors) or _files.one_line(error)) from None
    for name, parameter in system.named_parameters():
        if parameter.is_floating_point() and not bool(parameter.isfinite().all()):
            raise ValueError(f"tensor '{name}' holds values that are no numbers")


def _difference(own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> str:
    for name in dict.fromkeys([*own, *tensors]):
        if name not in own or name not in tensors:
            return f"tensor '{name}' is {'unknown' if name in tensors else 'missing'}"
        if own[name].shape != tensors[name].shape:
            return f"tensor '{name}' is {_words(tensors[name])}; the configuration makes it {_words(own[name])}"
    return ""


def _words(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


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
        some = rows.index(torch.arange(min(len(rows), CHUNK)))
        started = time.perf_counter()
        predict(system, some)
        found["rows_a_second"] = len(some) / (time.perf_counter() - started)
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
