"""`apply`."""

from collections.abc import Sequence
from pathlib import Path

from polytask.core.option import parse_settings
from polytask.data import read
from polytask.engine.apply import apply as answer
from polytask.report import tables

from ._use import write_extras


def apply(system: str, data: str, out: Path | None, settings: Sequence[str] | None) -> None:
    """Write a system's answers, and beside them its other tables; or show the first rows of each.

    `--out plan.parquet` writes `plan.parquet`, and for a table named `schedule` `plan.schedule.parquet`.
    """
    if out is not None:
        read.format_for(out)
    answers, more = answer(system, data, parse_settings(settings or []))
    if out is None:
        for name, table in {"": answers, **more}.items():
            head = table.slice(0, 10).to_pylist()
            rows = [[tables.number(v) if isinstance(v, float) else str(v) for v in row.values()] for row in head]
            title = f"First of {table.num_rows:,} rows" + (f" of '{name}'" if name else "")
            tables.show(tables.plain(title, table.column_names, rows))
        return
    read.write(answers, out)
    tables.show(f"{answers.num_rows:,} rows of answers: {out}")
    write_extras(more, out)
