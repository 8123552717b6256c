"""`predict` and `evaluate`."""

from pathlib import Path

from polytask.data import read
from polytask.engine.run import Run
from polytask.report import tables


def predict(folder: Path, data: str, out: Path | None, trust: bool = False) -> None:
    """Write the predictions, or show the first few."""
    if out is not None:
        read.format_for(out)
    run = Run.load(folder, trust)
    predictions = run.predict_table(read.table(data))
    if out is not None:
        read.write(predictions, out)
        tables.show(f"{predictions.num_rows:,} rows of predictions: {out}")
        return
    head = predictions.slice(0, 10).to_pylist()
    rows = [[tables.number(v) if isinstance(v, float) else str(v) for v in row.values()] for row in head]
    tables.show(tables.plain(f"First of {predictions.num_rows:,} rows", predictions.column_names, rows))


def evaluate(folder: Path, data: str, trust: bool) -> None:
    """Show every metric."""
    run = Run.load(folder, trust)
    tables.show(tables.scores(run, run.evaluate(data)))
