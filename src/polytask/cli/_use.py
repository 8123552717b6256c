"""`predict` and `evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from polytask.data import nested, read
from polytask.engine.predict import predict as predict_batch
from polytask.engine.run import Run
from polytask.report import tables

from . import _train


def write_extras(extras: Mapping[str, pa.Table], out: Path) -> None:
    """What a system says beside its predictions, in files beside theirs: `out.schedule.csv` for a table `schedule`."""
    for name, table in extras.items():
        path = out.with_name(f"{out.stem}.{name}{out.suffix}")
        read.write(table, path)
        tables.show(f"{name}, {table.num_rows:,} rows: {path}")


def predict(folder: Path, data: str, out: Path | None, given: Sequence[str] | None = None, trust: bool = False) -> None:
    """Write the predictions, or show the first few."""
    if out is not None:
        read.format_for(out)
    run = Run.load(folder, trust)
    batch = run.schema.only(tasks=()).encode(nested.of(_train.source(data, _train.attached(given))))
    predictions, extras = run.decode(predict_batch(run.system, batch)), run.system.tables(batch)
    if out is not None:
        read.write(predictions, out)
        tables.show(f"{predictions.num_rows:,} rows of predictions: {out}")
        write_extras(extras, out)
        return
    head = predictions.slice(0, 10).to_pylist()
    rows = [[tables.number(v) if isinstance(v, float) else str(v) for v in row.values()] for row in head]
    tables.show(tables.plain(f"First of {predictions.num_rows:,} rows", predictions.column_names, rows))


def evaluate(folder: Path, data: str, given: Sequence[str] | None, trust: bool) -> None:
    """Show every metric."""
    run = Run.load(folder, trust)
    tables.show(tables.scores(run, run.evaluate(_train.source(data, _train.attached(given)))))
