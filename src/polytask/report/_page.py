"""The frame of a page that needs nothing but itself: style, signs and script are inside."""

from html import escape
from pathlib import Path

_HERE = Path(__file__).parent
_SIGNS = {
    "reproduced": '<path d="M2 7.5L5.5 11L12 3.5"/>',
    "not-reproduced": '<path d="M3 3L11 11M11 3L3 11"/>',
    "undecided": '<path d="M1.5 6C3.5 3 5.5 3 7 5S10.5 7 12.5 4M1.5 11C3.5 8 5.5 8 7 10S10.5 12 12.5 9"/>',
    "unfair": '<path d="M2 5H12M2 9H12M10 2L4 12"/>',
    "not-run": '<path d="M3 7H11"/>',
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The page asks for nothing, and the browser sees to it."""


def whole(body: str, title: str, own: str) -> str:
    """A whole HTML document. title: text. own: the name of a kind of page that has style or a script beside the common ones."""
    style, script = _read("css", own), _read("js", own)
    signs = "".join(f'<symbol id="i-{name}" viewBox="0 0 14 14">{path}</symbol>' for name, path in _SIGNS.items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{escape(title)}</title>'
        f"<style>\n{style}</style></head>\n<body>"
        f'<svg class="signs" width="0" height="0" aria-hidden="true">{signs}</svg>'
        f"{body}\n<script>\n{script}</script></body></html>\n"
    )


def _read(suffix: str, own: str) -> str:
    paths = [_HERE / f"{name}.{suffix}" for name in ("_page", f"_{own}")]
    return "".join(path.read_text(encoding="utf-8") for path in paths if path.exists())
