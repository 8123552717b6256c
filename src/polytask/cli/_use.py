"""`predict` and `evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from polytask.core import DataError, System
from polytask.data import _groups, nested, read
from polytask.data.formats import parquet
from polytask.data.prepare import PIECE
from polytask.engine import _files
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
        _check(out, data)
    run = Run.load(folder, trust)
    if out is not None and not given and (written := _in_pieces(run, data, out)):
        return tables.show(f"{written:,} rows of predictions: {out}")
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


def _in_pieces(run: Run, data: str, out: Path) -> int:
    """Predict a large Parquet file into another, never holding it whole; the rows written, 0 where this is no such file.

    Systems that say more than predictions look at all rows at once, and so do links between rows.
    """
    named = data.endswith(parquet.suffixes) and out.name.endswith(parquet.suffixes)
    if not named or type(run.system).tables is not System.tables or run.schema.of_kind("links"):
        return 0
    found = _groups.groups(data)[0]
    rows = found[-1].start + found[-1].rows
    if rows <= PIECE:
        return 0
    names = [name for name in _groups.columns(found).names if name in run.schema.inputs]

    def write(path: Path) -> None:
        writer = None
        for group in found:
            for _, piece in group.pieces(PIECE, names):
                predictions = run.predict_table(piece)
                writer = writer or pq.ParquetWriter(path, predictions.schema, compression="zstd")
                writer.write_table(predictions)
        if writer is not None:
            writer.close()

    _files.write(out, write)
    return rows


def _check(out: Path, data: str) -> None:
    """Raise `DataError` before anything is computed where the predictions cannot be written, or would replace the data."""
    read.format_for(out)
    if not out.parent.is_dir():
        raise DataError.of(str(out), f"no folder '{out.parent}' to write to", "Make it first")
    if out.is_dir():
        raise DataError.of(str(out), "is a folder", "Name a file to write")
    if out.exists() and Path(data).exists() and out.samefile(data):
        raise DataError.of(str(out), "is the file of the data, which would be lost", "Choose another --out")


def evaluate(folder: Path, data: str, given: Sequence[str] | None, trust: bool) -> None:
    """Show every metric."""
    run = Run.load(folder, trust)
    tables.show(tables.scores(run, run.evaluate(_train.source(data, _train.attached(given)))))
