"""Plots as SVG inside HTML: intervals with their margin, and learning curves.

Intervals are drawn a row each, at places in percent, so that rows fit any screen while text keeps its size. Shapes and dashes tell
apart what colours do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import zip_longest
from typing import TypeAlias

POINTS = 120
"""A curve is thinned to about so many points."""
SHAPES = {
    "reproduced": "M-5-5H5V5H-5Z",
    "not reproduced": "M0-6.5L6.5 0L0 6.5L-6.5 0Z",
    "undecided": "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z",
    "control": "M0 5.5L-5.5-4.5H5.5Z",
}
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 2", "12 4", "6 2 1 2")

Real: TypeAlias = float | int
"""Places on a drawing are whole numbers at times."""


@dataclass(frozen=True)
class Row:
    """One interval. shape: a name of `SHAPES`. dots: each seed's value. figures: the same in words."""

    label: str
    shape: str
    mean: Real
    low: Real
    high: Real
    dots: tuple[Real, ...]
    figures: str


@dataclass(frozen=True)
class Scale:
    """From values to percent of the width."""

    low: Real
    high: Real

    def at(self, value: Real) -> Real:
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[Real]:
        """Round values inside, 0 among them where it lies inside."""
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [round(number * step, 12) for number in range(first, math.floor(self.high / step + 1e-9) + 1)]

    @classmethod
    def around(cls, values: Sequence[Real]) -> "Scale":
        """A scale that holds all finite values, with some room."""
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        room = 0.07 * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low - room, high + room)


def number(value: Real, sign: bool = False) -> str:
    """A figure of three digits; a dash where it is undefined."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    value += 0.0  # -0 is 0
    text = f"{value:{'+' if sign else ''}.3g}" if abs(value) < 1000 else f"{value:{'+' if sign else ''},.0f}"
    return text.replace("-", "−")


def spread(mean: Real, deviation: Real) -> str:
    """`0.842 ± 0.011`: two digits of the deviation, and the mean to the same place."""
    if not math.isfinite(mean) or not math.isfinite(deviation) or deviation <= 0:
        return number(mean) if abs(mean) < 1 or abs(mean) >= 1000 else f"{mean:.4g}".replace("-", "−")
    digits = min(6, max(0, 1 - math.floor(math.log10(deviation))))
    return f"{mean:,.{digits}f} ± {deviation:,.{digits}f}".replace("-", "−")


def forest(rows: Sequence[Row], margin: Real, zero: bool, right: bool, axis: str) -> str:
    """Intervals over each other on one axis. zero: draw a line at 0. right: the claimed side of the margin is the right one."""
    values = [value for row in rows for value in (row.mean, row.low, row.high, *row.dots)]
    scale = Scale.around([*values, margin, *([0.0] if zero else [])])
    place = scale.at(margin)
    anchor, shift = ("end", -5) if place > 55 else ("start", 5)
    words = f"claimed: {'above' if right else 'below'} {number(margin)}"
    head = _strip(18, f"{_nested(place, f'<text x={shift!a} y=12 text-anchor={anchor!a}>{words}</text>')}", "head")
    parts = [f'<div class="row"><span></span>{head}<span></span></div>']
    for row in rows:
        body = _claimed(place, right) + (_line(scale.at(0.0), "zero") if zero else "") + _line(place, "margin")
        body += _interval(row, scale)
        parts.append(_row(row, _strip(34, body, "plot", f"{row.label}: {row.figures}; {words}")))
    parts.append(f'<div class="row foot"><span></span>{axis_of(scale)}<span></span></div>')
    return f'<div class="forest">{"".join(parts)}<p class="axis">{escape(axis)}</p></div>'


def aligned(row: Row, margin: Real, zero: bool) -> str:
    """An interval on a scale of its own whose middle is the margin; the claimed side is the right one."""
    ends = [abs(value - margin) for value in (row.mean, row.low, row.high, *([0.0] if zero else [])) if math.isfinite(value)]
    reach = 1.08 * max(ends, default=0.0) or 1.0
    scale = Scale(margin - reach, margin + reach)
    body = _claimed(50, True) + (_line(scale.at(0.0), "zero") if zero and margin else "") + _line(50, "margin")
    return _strip(26, body + _interval(row, scale, 13), "plot", f"{row.label}: {row.figures}")


def against_zero(row: Row, scale: Scale) -> str:
    """An interval on a scale that others share, with a line at 0."""
    body = _claimed(scale.at(0.0), True) + _line(scale.at(0.0), "zero") + _interval(replace(row, dots=()), scale, 11)
    return _strip(22, body, "plot", f"{row.label}: {row.figures}")


def axis_of(scale: Scale, most: int = 5) -> str:
    """The ticks of a scale."""
    ticks = "".join(tick(scale.at(value), number(value)) for value in scale.ticks(most) if 0 <= scale.at(value) <= 100)
    return _strip(20, ticks, "ticks")


def marks(above: str, below: str, neither: str) -> str:
    """The items of a list: what the three markers mean."""
    words = {"reproduced": above, "not reproduced": below, "undecided": neither}
    svg = '<svg class="key" width="16" height="16" aria-hidden="true">'
    return "".join(f"<li>{svg}{_mark(shape, '50%', 8)}</svg>{text}</li>" for shape, text in words.items())


def _interval(row: Row, scale: Scale, y: int = 11) -> str:
    kind = row.shape.replace(" ", "-")
    parts = [f"<title>{escape(f'{row.label}: {row.figures}')}</title>"]
    if math.isfinite(row.low) and math.isfinite(row.high):
        low, high = scale.at(row.low), scale.at(row.high)
        parts.append(f'<line class="hit" x1="{low:.2f}%" x2="{high:.2f}%" y1="{y}" y2="{y}"/>')
        parts.append(f'<line class="bar" x1="{low:.2f}%" x2="{high:.2f}%" y1="{y}" y2="{y}"/>')
        parts += [f'<line class="bar" x1="{x:.2f}%" x2="{x:.2f}%" y1="{y - 4}" y2="{y + 4}"/>' for x in (low, high)]
    if math.isfinite(row.mean):
        parts.append(_mark(row.shape, f"{scale.at(row.mean):.2f}%", y))
    dots = "".join(
        f'<circle class="dot" cx="{scale.at(value):.2f}%" cy="{y + 14 + 3 * (index % 2)}" r="2.6">'
        f"<title>{escape(row.label)}, seed {index}: {number(value, True)}</title></circle>"
        for index, value in enumerate(row.dots)
        if math.isfinite(value)
    )
    return f'<g class="s-{kind}">{"".join(parts)}{dots}</g>'


def _mark(shape: str, x: str, y: int) -> str:
    kind = shape.replace(" ", "-")
    return f'<svg class="mark s-{kind}" x="{x}" y="{y}" overflow="visible"><path d="{SHAPES[shape]}"/></svg>'


def _row(row: Row, strip: str) -> str:
    return f'<div class="row"><span class="label">{escape(row.label)}</span>{strip}<span class="figures">{row.figures}</span></div>'


def _strip(height: int, body: str, kind: str, label: str = "") -> str:
    about = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return f'<svg class="strip {kind}" height="{height}" {about}>{body}</svg>'


def _nested(x: Real, body: str) -> str:
    return f'<svg x="{x:.2f}%" overflow="visible">{body}</svg>'


def _line(x: Real, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>'


def _claimed(place: Real, right: bool) -> str:
    start, width = (place, 100 - place) if right else (0.0, place)
    return f'<rect class="claimed" x="{start:.2f}%" width="{max(0.0, width):.2f}%" y="0" height="100%"/>'


def tick(x: Real, text: str, y: int = 0) -> str:
    """A mark on an axis at `x` percent, with its value below."""
    anchor = "start" if x < 5 else "end" if x > 95 else "middle"
    return (
        f'<line class="tick" x1="{x:.2f}%" x2="{x:.2f}%" y1="{y}" y2="{y + 4}"/>'
        f'<text x="{x:.2f}%" y="{y + 16}" text-anchor="{anchor}">{text}</text>'
    )


def curves(name: str, arms: Mapping[str, Sequence[Sequence[Real]]], order: Sequence[str]) -> str:
    """The mean over seeds of each arm's curve, with a band of a standard deviation. order: gives each arm its colour and dashes."""
    found = {arm: _statistics(runs) for arm, runs in arms.items()}
    found = {arm: points for arm, points in found.items() if points}
    if not found:
        return ""
    values = [v for points in found.values() for _, mean, sd in points for v in (mean - sd, mean + sd, mean)]
    positive = [mean for points in found.values() for _, mean, _ in points]
    log = min(positive) > 0 and max(positive) / min(positive) > 100
    floor = min(positive) / 2 if log else -math.inf
    y = Scale.around([_y(max(floor, value), log) for value in values])
    last = max(points[-1][0] for points in found.values())
    x = Scale(1, max(2, last))
    label = f"Learning curves, {name}: " + "; ".join(f"{arm} ends at {number(points[-1][1])}" for arm, points in found.items())
    grid = "".join(_grid(y, tick, log) for tick in y.ticks(4))
    grid += "".join(f'<text x="{_px(x, t):.1f}" y="198" text-anchor="middle">{t:g}</text>' for t in _epochs(x))
    drawn = "".join(_curve(arm, points, order.index(arm), x, y, log, floor) for arm, points in found.items())
    return (
        f'<figure class="curve"><figcaption>{escape(name)}{" (log scale)" if log else ""}</figcaption>'
        f'<svg viewBox="0 0 360 214" role="img" aria-label="{escape(label)}" data-scale="{x.low:g} {x.high:g} {y.low:.6g} {y.high:.6g} {log:d}">{grid}{drawn}'
        '<text x="203" y="212" text-anchor="middle">epoch</text></svg></figure>'
    )


def legend(arms: Sequence[str], order: Sequence[str], dashed: bool = True) -> str:
    """Names of arms with their lines."""
    keys = "".join(
        f'<li data-arm="{escape(arm)}"><svg class="key" width="34" height="12" aria-hidden="true"><line class="{_arm(order.index(arm))}" x1="1" x2="33" y1="6" '
        f'y2="6" {_dashes(order.index(arm)) if dashed else ""}/></svg>{escape(arm)}</li>'
        for arm in arms
    )
    return f'<ul class="legend">{keys}</ul>'


def _statistics(runs: Sequence[Sequence[Real]]) -> list[tuple[int, Real, Real]]:
    """(epoch, mean, deviation) over the seeds that got so far, thinned."""
    found = []
    for epoch, values in enumerate(zip_longest(*runs, fillvalue=math.nan), 1):
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            mean = sum(finite) / len(finite)
            deviation = math.sqrt(sum((value - mean) ** 2 for value in finite) / max(1, len(finite) - 1))
            found.append((epoch, mean, deviation))
    step = max(1, math.ceil(len(found) / POINTS))
    return [*found[:-1:step], found[-1]] if found else []


def _curve(arm: str, points: Sequence[tuple[int, Real, Real]], index: int, x: Scale, y: Scale, log: bool, floor: Real) -> str:
    def at(epoch: int, value: Real) -> str:
        return f"{_px(x, epoch):.1f} {_py(y, _y(max(floor, value), log)):.1f}"

    title = f"<title>{escape(arm)}: {number(points[-1][1])} after {points[-1][0]}</title>"
    if len(points) == 1:
        spot = at(points[0][0], points[0][1]).split()
        return f'<g data-arm="{escape(arm)}"><circle class="{_arm(index)} spot" cx="{spot[0]}" cy="{spot[1]}" r="4">{title}</circle></g>'
    upper = [at(epoch, mean + sd) for epoch, mean, sd in points]
    lower = [at(epoch, mean - sd) for epoch, mean, sd in reversed(points)]
    band = f'<path class="{_arm(index)} band" d="M{"L".join(upper + lower)}Z"/>' if any(sd for *_, sd in points) else ""
    line = "L".join(at(epoch, mean) for epoch, mean, _ in points)
    return f'<g data-arm="{escape(arm)}">{band}<path class="{_arm(index)}" d="M{line}" {_dashes(index)}>{title}</path></g>'


def _grid(y: Scale, tick: Real, log: bool) -> str:
    height = _py(y, tick)
    text = number(10**tick if log else tick)
    return f'<line class="grid" x1="48" x2="354" y1="{height:.1f}" y2="{height:.1f}"/><text x="43" y="{height + 4:.1f}" text-anchor="end">{text}</text>'


def _epochs(x: Scale) -> list[Real]:
    whole = [tick for tick in x.ticks(6) if tick == int(tick) and tick > x.low]
    return [x.low, *(tick for tick in whole if x.at(tick) > 6)]


def _px(x: Scale, epoch: Real) -> Real:
    return 54 + 2.94 * x.at(epoch)


def _py(y: Scale, value: Real) -> Real:
    return 180 - 1.72 * y.at(value)


def _y(value: Real, log: bool) -> Real:
    return math.log10(value) if log else value


def _arm(index: int) -> str:
    return f"arm a{index % 8}"


def _dashes(index: int) -> str:
    dashes = _DASHES[(index + index // 8) % len(_DASHES)]  # the ninth has the first one's colour, and another line
    return f'stroke-dasharray="{dashes}"' if dashes else ""
