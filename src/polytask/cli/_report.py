"""`report`."""

from pathlib import Path

from polytask.report import page, tables


def report(folder: Path, out: Path | None, importance: bool = True) -> None:
    """Write the page and say where it is."""
    path = page.write(folder, out, importance)
    tables.show(f"The report: {path}   ({path.stat().st_size / 1000:,.0f} kB; it opens in any browser, without a network)")
