"""The report of a run or of a comparison: one page that opens from a disk, without a network."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from polytask import __version__
from polytask.core import RunError
from polytask.engine import _files

from . import _of_comparison, _of_run, _page
from ._parts import Part
from ._source import Compared, Told


def write(folder: Path, out: Path | None = None, importance: bool = True) -> Path:
    """Write the page of a run folder or a comparison folder, whole or not at all, and say where: FOLDER/report.html by default.

    importance: also shuffle inputs and see how much worse the model becomes. It reads the data again and takes seconds; without
    it the page takes a moment. Raises `RunError` where the folder holds neither, or is damaged.
    """
    if not folder.is_dir():
        raise RunError.of(str(folder), "no such folder", "Give the --out of polytask fit or polytask compare")
    out = out or folder / "report.html"
    if (folder / "comparison.json").exists():
        compared = Compared.of(folder)
        lead, parts = _of_comparison.lead(compared), _of_comparison.parts(compared, importance)
        text = _whole("comparison", _of_comparison.title(compared), lead, parts)
    else:
        run = Told.of(folder)
        text = _whole("run", _of_run.title(run), _of_run.lead(run), _of_run.parts(run, importance))
    _files.write_text(out, text)
    return out


def _whole(kind: str, title: str, lead: str, parts: Sequence[Part]) -> str:
    """lead: HTML below the title."""
    links = "".join(f'<li><a href="#{part.id}">{escape(part.name)}</a></li>' for part in parts)
    made = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC")
    theme = '<button type="button" id="theme" aria-label="Switch between light and dark">Light / dark</button>'
    body = (
        f'<header class="top"><div class="headline"><div><p class="eyebrow">polytask · report of a {kind}</p>'
        f"<h1>{escape(title)}</h1></div>{theme}</div>{lead}</header>"
        f'<nav class="contents" aria-label="Contents"><ul>{links}</ul></nav>'
        f"<main>{''.join(part.html for part in parts)}</main><footer><p>Made by polytask {__version__} on {made}. "
        "Intervals are t intervals over splits, widened for their overlap (Nadeau and Bengio 2003).</p></footer>"
    )
    return _page.whole(body, f"polytask: {title}", "report")
