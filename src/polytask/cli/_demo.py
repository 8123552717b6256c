"""`demo`: the main job, end to end, on a shipped data set."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.text import Text

from polytask.data import shipped
from polytask.engine import _files
from polytask.engine.run import Run
from polytask.report import tables

from . import _train, _use

SYSTEMS = "hard_sharing,mmoe,ple,trees,linear"


def demo(out: Path, seeds: int, jobs: int | None) -> None:
    """Compare, ship, predict: each step is a command that works the same on the user's own file."""
    about = shipped.get("support2").about
    tables.show(
        Text(about["title"], style="bold"), f"{about['rows']:,} rows. {about['origin']}.",
        "To predict with one model: death in hospital, disability after two months, days in hospital, and survival.",
        "", Text(f"$ polytask compare @support2 --systems {SYSTEMS} --seeds {seeds} --out {out}", style="dim"),
    )  # fmt: skip
    values = _train.settings(None, None, None, None, {})
    _train.compare("@support2", None, SYSTEMS, "equal", seeds, out, None, values, jobs)
    table = shipped.load("support2")
    run = Run.load(out / "best")
    labels = {column for task in run.schema.tasks.values() for column in task.columns}
    new = out / "new_patients.parquet"
    rows: pa.Table = table.drop_columns([name for name in table.column_names if name in labels]).slice(0, 100)
    _files.write(new, lambda path: pq.write_table(rows, path))
    predictions = out / "predictions.parquet"
    tables.show("", Text(f"$ polytask predict {out / 'best'} {new} --out {predictions}", style="dim"))
    _use.predict(out / "best", str(new), predictions)
    _use.predict(out / "best", str(new), None)
