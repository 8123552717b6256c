"""Pieces of HTML that the sections of a report share."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from polytask.core import PolytaskError

from . import _svg


@dataclass(frozen=True)
class Part:
    """A section: its id, its name in the list of contents, and its HTML."""

    id: str
    name: str
    html: str


def part(id: str, name: str, title: str, body: Callable[[], str], lead: str = "") -> Part:
    """A section; where its body cannot be made, the reason stands in its place. lead: HTML."""
    try:
        text = body()
    except PolytaskError as error:
        text = nothing("; ".join(map(str, error.faults)))
    head = escape(title[:1].upper() + title[1:])
    about = f'<p class="lead">{lead}</p>' if lead else ""
    return Part(
        id,
        name,
        f'<section class="part" id="{id}" aria-labelledby="{id}-title"><h2 id="{id}-title">{head}</h2>{about}{text}</section>',
    )


def nothing(why: str) -> str:
    """A sentence in place of what cannot be shown."""
    return f'<p class="none">Not shown: {escape(why)}.</p>'


@dataclass(frozen=True)
class Cell:
    """A cell of a table: HTML, and what it is sorted by (None: it comes last). head: it names the row."""

    body: str
    sort: float | str | None = None
    kind: str = ""
    head: bool = False

    @property
    def words(self) -> bool:
        """Whether it holds words, which begin at the left, and no figure."""
        return isinstance(self.sort, str)

    def html(self) -> str:
        value = (
            ""
            if self.sort is None or self.sort != self.sort
            else f"{self.sort:.9g}"
            if isinstance(self.sort, float)
            else self.sort
        )
        name, scope = ("th", ' scope="row"') if self.head else ("td", "")
        kinds = " ".join(filter(None, ["words" if self.words else "", self.kind]))
        kind = f' class="{kinds}"' if kinds else ""
        return f'<{name}{scope}{kind} data-sort="{escape(value)}">{self.body}</{name}>'


@dataclass(frozen=True)
class Line:
    """A row of a table. attributes: HTML, escaped."""

    cells: Sequence[Cell]
    attributes: str = ""


def table(caption: str, heads: Sequence[str], lines: Iterable[Line], kind: str = "", sortable: bool = True) -> str:
    """A table that scrolls within itself. caption: text. heads: HTML."""
    lines = list(lines)
    words = [cell.words for cell in lines[0].cells] if lines else [False] * len(heads)
    tops = "".join(
        f'<th scope="col"{" class=words" * left}>{f"<button type=button class=sort>{head}</button>" if sortable else head}</th>'
        for head, left in zip(heads, words, strict=True)
    )
    rows = "".join(
        f"<tr{' ' * bool(line.attributes)}{line.attributes}>{''.join(cell.html() for cell in line.cells)}</tr>"
        for line in lines
    )
    classes = " ".join(filter(None, ["sortable" if sortable else "", kind]))
    label = escape(caption)
    return (
        f'<p class="axis">{label}</p><div class="scroll" role="region" tabindex="0" aria-label="{label}"><table class="{classes}" '
        f'aria-label="{label}"><thead><tr>{tops}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def head(name: str, below: str = "") -> str:
    """The head of a column, a second line in small letters."""
    return f"{escape(name)}<small>{escape(below)}</small>" if below else escape(name)


def number(value: float, sign: bool = False) -> str:
    """A figure; a dash where it is undefined."""
    return _svg.number(value, sign)


def score(value: float, sign: bool = False, digits: int = 3) -> str:
    """A figure beside others of its kind: as many digits behind the point in each."""
    if not math.isfinite(value) or abs(value) >= 100:
        return _svg.number(value, sign)
    return f"{value + 0.0:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def said(name: str) -> str:
    """A metric's name as people write it."""
    return name.replace("_", " ")


def count(value: float) -> str:
    """1234567 -> 1.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}" if math.isfinite(value) else "–"


def share(value: float) -> str:
    """A percentage; tiny ones are not called none."""
    return "< 0.1 %" if 0 < value < 0.001 else f"{100 * value:.1f} %" if value not in (0, 1) else f"{100 * value:.0f} %"


def tiles(found: Iterable[tuple[str, str, str]]) -> str:
    """Figures to be read at once: (name, figure, what it means); text."""
    each = "".join(
        f'<li class="tile"><small>{escape(name)}</small><span class="count">{escape(figure)}</span><small>{escape(meaning)}</small></li>'
        for name, figure, meaning in found
    )
    return f'<ul class="tiles big">{each}</ul>'


def chip(kind: str, name: str, sign: str = "", count: int | None = None) -> str:
    """A button that keeps the items whose `data-KIND` is the name. sign: HTML."""
    number = "" if count is None else f" <span>{count}</span>"
    return (
        f'<button type="button" class="chip" aria-pressed="false" data-kind="{kind}" data-value="{escape(name)}">'
        f"{sign}{escape(name)}{number}</button>"
    )


def filters(items: str, found_by: str, chips: Mapping[str, str]) -> str:
    """The search and the chips (by kind, HTML) that hide items all over the page."""
    fields = "".join(f"<fieldset><legend>{kind.capitalize()}</legend>{html}</fieldset>" for kind, html in chips.items())
    return (
        f'<form class="filters" role="search" aria-label="Filter the {items}"><label>Search <input type="search" id="search" '
        f'placeholder="{found_by}" autocomplete="off"></label>{fields}<p><output id="shown" aria-live="polite"></output> '
        '<button type="reset" id="clear">Show all</button></p></form>'
    )


def choice(id: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    """One of several bodies at a time, by a row of buttons. options: (name, HTML). Without a script all are shown."""
    shown = [(name, body) for name, body in options if body]
    if len(shown) < 2:
        return "".join(body for _, body in shown)
    buttons = "".join(
        f'<button type="button" class="chip" aria-pressed="{"false" if place else "true"}" data-pick="{id}-{place}">{escape(name)}</button>'
        for place, (name, _) in enumerate(shown)
    )
    bodies = "".join(
        f'<div class="picked" id="{id}-{place}"><h4 class="only-plain">{escape(name)}</h4>{body}</div>'
        for place, (name, body) in enumerate(shown)
    )
    return f'<div class="choice"><div class="choose" role="group" aria-label="{escape(label)}">{buttons}</div>{bodies}</div>'


def meter(value: float, most: float, text: str) -> str:
    """A figure with a bar whose length is its share of the most; negative ones have none."""
    width = 100 * max(0.0, value) / most if most > 0 and math.isfinite(value) else 0.0
    return f'<span class="meter"><span style="width:{width:.1f}%"></span></span><span class="value">{text}</span>'
