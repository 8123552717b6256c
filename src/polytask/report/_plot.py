"""Panels with two axes, as SVG inside HTML: points with intervals, lines, steps. What hovers tells its figures."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TypeAlias

from . import _svg
from ._svg import Real, Scale, number

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 352, 10, 206
_WIDE = 1100
"""Pixels across the widest drawing: names are placed for it."""
_Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Axes:
    """From values to places in a panel of 360 by 250. log: the axis is a logarithm's."""

    x: Scale
    y: Scale
    log: bool = False

    def at(self, x: Real, y: Real) -> tuple[float, float]:
        """The place of a point."""
        if self.log:
            x, y = math.log10(x), math.log10(y)
        return _LEFT + (_RIGHT - _LEFT) * self.x.at(x) / 100, _BOTTOM - (_BOTTOM - _TOP) * self.y.at(y) / 100

    def frame(self, across: str, up: str) -> str:
        """Grid, ticks and names of the axes."""
        parts = []
        for tick in self._ticks(self.y, 4):
            y = _BOTTOM - (_BOTTOM - _TOP) * self.y.at(tick) / 100
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{self._text(tick)}</text>')
        for tick in self._ticks(self.x, 5):
            x = _LEFT + (_RIGHT - _LEFT) * self.x.at(tick) / 100
            parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{_BOTTOM}" y2="{_BOTTOM + 4}"/>')
            parts.append(f'<text x="{x:.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{self._text(tick)}</text>')
        middle = (_LEFT + _RIGHT) / 2
        parts.append(f'<text class="name" x="{middle:.0f}" y="{_BOTTOM + 34}" text-anchor="middle">{escape(across)}</text>')
        place = (_TOP + _BOTTOM) / 2
        turned = f'transform="translate(11 {place:.0f}) rotate(-90)"'
        parts.append(f'<text class="name" {turned} text-anchor="middle">{escape(up)}</text>')
        return "".join(parts)

    def _ticks(self, scale: Scale, most: int) -> list[Real]:
        return [math.log10(value) for value in _powers(scale)] if self.log else scale.ticks(most)

    def _text(self, tick: Real) -> str:
        return number(10**tick if self.log else tick)

    def diagonal(self) -> str:
        """Where prediction and truth agree."""
        low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        if self.log:
            low, high = 10**low, 10**high
        (x1, y1), (x2, y2) = self.at(low, low), self.at(high, high)
        return f'<line class="ideal" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'

    def point(self, x: Real, y: Real, low: Real, high: Real, tip: str, colour: int = 0, hollow: bool = False) -> str:
        """A point with an interval; `tip` is shown where it is touched."""
        px, py = self.at(x, y)
        parts = [f"<title>{escape(tip)}</title>", f'<circle class="reach" cx="{px:.1f}" cy="{py:.1f}" r="11"/>']
        if math.isfinite(low) and math.isfinite(high):
            (_, y1), (_, y2) = self.at(x, self._inside(low)), self.at(x, self._inside(high))
            parts.append(f'<line class="whisker" x1="{px:.1f}" x2="{px:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>')
        kind = "ring" if hollow else "spot"
        parts.append(f'<circle class="{kind}" cx="{px:.1f}" cy="{py:.1f}" r="4"/>')
        return f'<g class="point a{colour % 8}">{"".join(parts)}</g>'

    def _inside(self, value: Real) -> Real:
        low, high = (10**self.y.low, 10**self.y.high) if self.log else (self.y.low, self.y.high)
        return min(max(value, low), high)

    def line(self, points: Sequence[tuple[Real, Real]], colour: int = 0, dashed: bool = False, step: bool = False) -> str:
        """Straight lines through points, or steps that hold each value until the next."""
        places = [self.at(x, y) for x, y in points]
        text = f"M{places[0][0]:.1f} {places[0][1]:.1f}" if places else "M0 0"
        for (_, before), (x, y) in pairwise(places):
            text += f"H{x:.1f}" + (f"V{y:.1f}" if y != before else "") if step else f"L{x:.1f} {y:.1f}"
        dashes = ' stroke-dasharray="5 3"' if dashed else ""
        return f'<path class="path a{colour % 8}" d="{text}"{dashes}/>'

    def cloud(self, points: Sequence[tuple[Real, Real]]) -> str:
        """Many points, without figures."""
        places = (self.at(x, y) for x, y in points)
        return f'<g class="cloud">{"".join(f"<circle cx={x:.0f} cy={y:.0f} r=2 />" for x, y in places)}</g>'

    def bars(self, edges: Sequence[Real], counts: Sequence[int], height: int = 34) -> str:
        """How many rows lie where: small bars on the lower edge."""
        most = max(counts, default=0) or 1
        parts = []
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            (x1, _), (x2, _) = self.at(low, self.y.low), self.at(high, self.y.low)
            tall = height * count / most
            parts.append(f"<rect x={x1 + 0.5:.1f} y={_BOTTOM - tall:.1f} width={x2 - x1 - 1:.1f} height={tall:.1f} />")
        return f'<g class="counts">{"".join(parts)}</g>'


def square(values: Sequence[Real]) -> Axes:
    """The same scale on both axes; logarithmic where all values are positive and the largest is far from the smallest."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    log = min(finite) > 0 and max(finite) / min(finite) > 30
    turn: Callable[[float], float] = math.log10 if log else float
    scale = Scale.around([turn(value) for value in finite])
    return Axes(scale, scale, log)


def panel(title: str, drawn: str, about: str, below: str = "") -> str:
    """A figure with its title. about: what it shows, in words. below: HTML."""
    return (
        f'<figure class="curve"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 360 246" role="img" aria-label="{escape(about)}">{drawn}</svg>{below}</figure>'
    )


def scatter(points: Sequence["Spot"], across: str, up: str, about: str) -> str:
    """Quality against cost at any width: places across are percents, so text keeps its size. Costs are on a log scale."""
    spots = [spot for spot in points if spot.x > 0 and math.isfinite(spot.y)]
    if not spots:
        return ""
    x = Scale.around([math.log10(spot.x) for spot in spots])
    x = Scale(x.low - 0.12 * (x.high - x.low), x.high + 0.12 * (x.high - x.low))
    y = Scale.around([value for spot in spots for value in (spot.y, spot.low, spot.high)] + [0.0])
    height, floor = 330, 286

    def up_at(value: Real) -> float:
        return 8 + (floor - 8) * (100 - y.at(value)) / 100

    parts = [_level(up_at(tick), tick) for tick in y.ticks(5)]
    parts += [_svg.tick(x.at(math.log10(tick)), _short(tick), floor) for tick in _powers(x)]
    parts.append(f'<text class="name" x="50%" y="{floor + 36}" text-anchor="middle">{escape(across)}</text>')
    places = [(x.at(math.log10(spot.x)) * _WIDE / 100, spot) for spot in spots]
    taken = [(px - 7, up_at(spot.y) - 7, px + 7, up_at(spot.y) + 7) for px, spot in places]
    taken += [(px - 1, up_at(spot.high), px + 1, up_at(spot.low)) for px, spot in places if math.isfinite(spot.low)]
    for spot in sorted(spots, key=lambda spot: -spot.y):
        parts.append(_spot(spot, x.at(math.log10(spot.x)), up_at, taken))
    return (
        f'<p class="axis">{escape(up)}</p><svg class="strip scatter" height="{height}" role="img" aria-label="{escape(about)}">'
        f"{''.join(parts)}</svg>"
    )


def _level(height: float, tick: Real) -> str:
    line = f'<line class="{"grid" if tick else "zero"}" x1="0" x2="100%" y1="{height:.1f}" y2="{height:.1f}"/>'
    return f'{line}<text x="2" y="{height - 4:.1f}">{number(tick, tick != 0)}</text>'


@dataclass(frozen=True)
class Spot:
    """One system of a scatter."""

    name: str
    x: float
    y: float
    low: float
    high: float
    tip: str
    colour: int
    rival: bool


def _spot(spot: Spot, place: float, up_at: Callable[[Real], float], taken: list[_Box]) -> str:
    y = up_at(spot.y)
    parts = [f"<title>{escape(spot.tip)}</title>", f'<circle class="reach" cx="{place:.2f}%" cy="{y:.1f}" r="14"/>']
    if math.isfinite(spot.low):
        ends = f'y1="{up_at(spot.high):.1f}" y2="{up_at(spot.low):.1f}"'
        parts.append(f'<line class="whisker" x1="{place:.2f}%" x2="{place:.2f}%" {ends}/>')
    parts.append(f'<circle class="{"ring" if spot.rival else "spot"}" cx="{place:.2f}%" cy="{y:.1f}" r="5.5"/>')
    anchor, shift, label = _beside(spot, place, y, taken)
    words = f'<text x="{shift}" y="{label:.1f}" text-anchor="{anchor}">{escape(spot.name)}</text>'
    return (
        f'<g class="point a{spot.colour % 8}" data-arm="{escape(spot.name)}">{"".join(parts)}'
        f'<svg x="{place:.2f}%" overflow="visible">{words}</svg></g>'
    )


def _beside(spot: Spot, place: float, y: float, taken: list[_Box]) -> tuple[str, int, float]:
    """Where a name goes: the first side on which it covers nothing, on a page as wide as it gets."""
    x, wide = place * _WIDE / 100, 7.0 * len(spot.name)
    sides = [
        ("start", 10, 4.0),
        ("end", -10, 4.0),
        ("start", 8, -10.0),
        ("end", -8, -10.0),
        ("start", 8, 18.0),
        ("end", -8, 18.0),
    ]
    sides += [("start", 10, 32.0), ("end", -10, 32.0), ("start", 10, -24.0)]
    for anchor, shift, down in sides:
        left = x + shift if anchor == "start" else x + shift - wide
        box = (left, y + down - 11, left + wide, y + down + 3)
        inside = box[0] >= 0 and box[2] <= _WIDE
        if inside and not any(a < box[2] and c > box[0] and b < box[3] and d > box[1] for a, b, c, d in taken):
            taken.append(box)
            return anchor, shift, y + down
    return ("start", 10, y + 4) if place < 60 else ("end", -10, y + 4)


def _powers(x: Scale) -> list[float]:
    """Round values on a logarithmic axis."""
    low, high = 10.0**x.low, 10.0**x.high
    steps = (1, 2, 5) if high / low < 300 else (1,)
    found = [step * 10.0**power for power in range(math.floor(x.low), math.ceil(x.high) + 1) for step in steps]
    return [value for value in found if low <= value <= high]


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
