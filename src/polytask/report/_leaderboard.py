"""The comparison itself: the leaderboard, each task's gains with intervals, and quality against cost."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from polytask.core import registry
from polytask.engine.comparison import Comparison, Key, Result, Row
from polytask.engine.statistics import Interval, interval, relative_gain

from . import _parts, _plot, _svg
from ._parts import Cell, Line

_COSTS = {
    "seconds": ("Training time", "training, seconds (log scale; less is to the left)"),
    "bytes": ("Size", "size on disk, bytes (log scale; less is to the left)"),
    "parameters": ("Parameters", "parameters (log scale; less is to the left)"),
    "answer": ("Time to answer", "microseconds a row answered (log scale; less is to the left)"),
}


def gains(found: Comparison, key: Key) -> dict[str, Interval]:
    """The gain of each task over the reference on the test rows, in percent, paired by seed."""
    base = {r.seed: r for r in found.results if r.system == found.reference}
    own = [r for r in found.results if (r.system, r.balancer) == key]
    return {
        task: interval([_gain(r, base[r.seed], place) for r in own if r.seed in base], found.results[0].test_share)
        for place, task in enumerate(found.primary)
    }


def _gain(result: Result, base: Result, place: int) -> float:
    task = list(result.directions)[place]
    return relative_gain([result.values("test")[place]], [base.values("test")[place]], [result.directions[task]])


def figures(one: Interval, sign: bool = True) -> str:
    """`+1.2 [0.4, 2.1]`; one value has no interval."""
    mean = _parts.score(one.mean, sign, 2)
    return mean if math.isnan(one.low) else f"{mean} [{_parts.score(one.low, digits=2)}, {_parts.score(one.high, digits=2)}]"


def shape(one: Interval) -> str:
    """The marker of a gain: beyond zero, below zero, or not told apart from it."""
    return "reproduced" if one.low > 0 else "not reproduced" if one.high < 0 else "undecided"


def filters(found: Comparison) -> str:
    """Search and chips that hide systems on the whole page."""
    balancers = list(dict.fromkeys(row.balancer for row in found.rows if not _rival(row)))
    kinds = list(dict.fromkeys(map(_kind, found.rows)))
    groups = {"kind": kinds, "balancer": balancers}
    chips = {kind: "".join(_parts.chip(kind, name) for name in names) for kind, names in groups.items() if len(names) > 1}
    return _parts.filters("systems", "system or balancer", chips)


def _rival(row: Row) -> bool:
    return registry.is_baseline(row.system)


def _kind(row: Row) -> str:
    return "baseline" if _rival(row) else "shared network"


def _attributes(row: Row) -> str:
    balancer = "" if _rival(row) else row.balancer
    return f'data-arm="{escape(row.name)}" data-kind="{_kind(row)}" data-balancer="{escape(balancer)}"'


def board(found: Comparison) -> str:
    """The leaderboard: sortable, the best figure of each column in bold."""
    directions = found.results[0].directions
    best = {
        task: max(
            (directions[task] * row.tasks[task].mean for row in found.rows if math.isfinite(row.tasks[task].mean)),
            default=math.nan,
        )
        for task in found.primary
    }
    heads = ["system", _parts.head("gain, %", "on validation"), _parts.head("gain, %", "on test")]
    heads += [
        _parts.head(f"{task} {'↑' if directions[task] > 0 else '↓'}", _parts.said(metric))
        for task, metric in found.primary.items()
    ]
    heads += [_parts.head("training", "seconds"), _parts.head("answers", "rows a second"), _parts.head("size", "bytes")]
    lines = []
    for place, row in enumerate(found.rows):
        tag = '<span class="tag win">to ship</span>' if not place else ""
        tag += '<span class="tag">baseline</span>' if _rival(row) else ""
        cells = [Cell(f'<span class="arm-name">{escape(row.name)}</span>{tag}', row.name, head=True)]
        cells.append(Cell(_parts.score(row.validation_gain, True, 2), row.validation_gain))
        cells.append(Cell(_with_half(row.gain, True, 2), row.gain.mean))
        for task, one in row.tasks.items():
            strongest = "best" if directions[task] * one.mean == best[task] else ""
            cells.append(Cell(_with_half(one), one.mean, strongest))
        lines.append(Line([*cells, *_costs(row.cost, brief=True)], _attributes(row)))
    seeds = len({result.seed for result in found.results})
    how = f"Mean of {seeds} splits ± half of the 95 % interval" if seeds > 1 else "One split, so no intervals"
    caption = f"{how}. Gains are over {found.reference}. ↑ more is better, ↓ less is better; bold: the best of a column. A click on a head sorts."
    return (
        _parts.table(caption, heads, lines, "board") + '<p class="empty" id="nothing" hidden>No system fits these filters.</p>'
    )


def _with_half(one: Interval, sign: bool = False, digits: int = 3) -> str:
    mean = _parts.score(one.mean, sign, digits)
    return mean if math.isnan(one.half) else f'{mean} <small class="half">± {_parts.score(one.half, digits=digits)}</small>'


def _costs(cost: Mapping[str, float], brief: bool = False) -> list[Cell]:
    step, rate = cost["seconds_a_step"], cost.get("rows_a_second", math.nan)
    found = [
        Cell(_svg.number(cost["seconds"]), cost["seconds"]),
        Cell(_parts.count(rate), rate),
        Cell(_parts.count(cost["bytes"]), cost["bytes"]),
    ]
    if brief:
        return found
    parameters = Cell(_parts.count(cost["parameters"]), cost["parameters"]) if cost["parameters"] else Cell("–")
    return [parameters, Cell(_parts.score(1000 * step, digits=1) if step else "–", step or None), *found]


def forest(found: Comparison) -> str:
    """Each task's gain over the reference: a column a task, a row a system."""
    rows = [row for row in found.rows if row.system != found.reference]
    if not rows:
        return ""
    each = {row.name: {"all tasks, mean": row.gain, **gains(found, row.key)} for row in rows}
    columns = ["all tasks, mean", *found.primary]
    scales = {
        column: _svg.Scale.around(
            [v for one in each.values() for v in (one[column].mean, one[column].low, one[column].high)] + [0.0]
        )
        for column in columns
    }
    lines = []
    for row in rows:
        cells = [Cell(f'<span class="arm-name">{escape(row.name)}</span>', row.name, head=True)]
        for column in columns:
            one = each[row.name][column]
            text = figures(one)
            drawn = _svg.Row(f"{row.name}, {column}", shape(one), one.mean, one.low, one.high, (), f"{text} %")
            strip = _svg.against_zero(drawn, scales[column]) if math.isfinite(one.mean) else ""
            cells.append(Cell(f"{strip}<small>{text}</small>", one.mean, "plotted"))
        lines.append(Line(cells, f'data-arm="{escape(row.name)}"'))
    feet = "".join(f"<td>{_svg.axis_of(scales[column], 3)}</td>" for column in columns)
    caption = f"Gain over {found.reference} in percent of its primary metric, test rows, paired by split, with 95 % intervals."
    heads = ["system", *(_parts.head(column, _parts.said(found.primary.get(column, ""))) for column in columns)]
    table = _parts.table(caption, heads, lines, "gains")
    table = table.replace("</tbody></table>", f'</tbody><tfoot aria-hidden="true"><tr><td></td>{feet}</tr></tfoot></table>')
    keys = _svg.marks("better", "worse", "not told apart from one model a task")
    return f'<ul class="legend">{keys}</ul>{table}'


def cost(found: Comparison, order: Sequence[str]) -> str:
    """Mean gain against what a system costs, one cost at a time."""
    options = []
    for name, (title, across) in _COSTS.items():
        spots = []
        for row in found.rows:
            value = 1e6 / row.cost.get("rows_a_second", math.nan) if name == "answer" else row.cost[name]
            tip = f"{row.name}\ngain {figures(row.gain)} %\n{title.lower()}: {_parts.count(value) if value >= 1000 else _svg.number(value)}"
            colour = order.index(row.name)
            spots.append(_plot.Spot(row.name, value, row.gain.mean, row.gain.low, row.gain.high, tip, colour, _rival(row)))
        up = f"↑ mean gain over {found.reference} on the test rows, %; whiskers: 95 % interval; rings: baselines"
        about = f"{title} against mean gain, the same figures as in the leaderboard: " + "; ".join(
            f"{s.name} {_svg.number(s.x)}, {_svg.number(s.y, True)} %" for s in spots if s.x > 0
        )
        options.append((title, _plot.scatter(spots, across, up, about)))
    keys = f'<div class="on-phone">{_svg.legend(order, order, dashed=False)}</div>'
    lines = [
        Line(
            [Cell(f'<span class="arm-name">{escape(row.name)}</span>', row.name, head=True), *_costs(row.cost)],
            f'data-arm="{escape(row.name)}"',
        )
        for row in found.rows
    ]
    heads = [
        "system",
        "parameters",
        _parts.head("ms", "a step"),
        _parts.head("training", "seconds"),
        _parts.head("answers", "rows a second"),
    ]
    table = _parts.table("Mean over splits, on the machine that trained them.", [*heads, _parts.head("size", "bytes")], lines)
    return f"{_parts.choice('cost', 'What to set quality against', options)}{keys}<details><summary>All costs</summary>{table}</details>"
