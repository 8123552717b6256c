"""How far the answers can be trusted, task by task, on the test rows: reliability, confusion, predicted against true."""

import math
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polytask.core import PolytaskError, Task

from . import _measures, _parts, _plot, _svg
from ._measures import Bin, Flags, Floats
from ._parts import Cell, Line
from ._source import Told

_CLASSES = 12
"""Classes that a confusion matrix shows, at most."""
_POINTS = 400
_GROUPS = 4
"""Groups of risk whose survival is drawn."""
_UNIT = _plot.Axes(_svg.Scale(0, 1), _svg.Scale(0, 1))


def of_run(run: Told) -> str:
    """A part a task."""
    if run.predictions is None:
        return _parts.nothing(run.absent("predictions.parquet"))
    return "".join(_task(run, name, task) for name, task in run.schema.tasks.items())


def _task(run: Told, name: str, task: Task) -> str:
    scores = run.scores.get("test", {}).get(name, {})
    metrics = "".join(
        f"<div><dt>{escape(_parts.said(metric))}</dt><dd>{_parts.score(value)}</dd></div>" for metric, value in scores.items()
    )
    try:
        figures = _figures(name, task, run.predictions)
    except (KeyError, IndexError, PolytaskError, pa.ArrowException):
        figures = _parts.nothing(f"predictions.parquet lacks the predictions or the labels of {name}")
    return (
        f'<article class="task"><h3>{escape(name)} <span class="tag">{escape(task.kind)}</span></h3>'
        f'<dl class="scores">{metrics}</dl>{figures}</article>'
    )


def _figures(name: str, task: Task, table: pa.Table) -> str:
    if task.kind in ("binary", "multiclass", "ordinal", "multilabel"):
        return _classification(name, task, table)
    if task.kind in ("survival", "cox"):
        return _survival(name, task, table)
    if task.kind in ("regression", "count"):
        return _numbers(name, task, table)
    if task.kind == "quantile":
        return _quantiles(name, task, table)
    return _parts.nothing(f"there is no figure for a task of kind {task.kind}")


def labels(task: Task, table: pa.Table) -> tuple[NDArray[Any], Flags]:
    """The targets of the test rows, and which rows have one. Raises `KeyError` where the table lacks a column."""
    columns = [table[f"true_{column}"] for column in task.columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # told when the run was trained
        target, labelled = task.encode(columns)
    return target.numpy(), labelled.numpy()


def floats(table: pa.Table, name: str) -> Floats:
    """A column of predictions."""
    found: Floats = table[name].to_numpy().astype(float)
    return found


def chances(name: str, task: Any, table: pa.Table) -> tuple[Floats, Flags]:
    """Predicted chances and whether they came true: of the positive value, of the likeliest class, of every label."""
    target, labelled = labels(task, table)
    if task.kind == "binary":
        return floats(table, f"{name}_probability")[labelled], target[labelled] > 0.5
    if task.kind == "multilabel":
        chance = np.stack([floats(table, f"{name}_{label}_probability") for label in task.labels], axis=1)
        known = target >= 0
        return chance[known], target[known] > 0.5
    chance = _classes(name, task, table)[labelled]
    return chance.max(1), chance.argmax(1) == target[labelled]


def _classes(name: str, task: Any, table: pa.Table) -> Floats:
    before = f"{name}_probability_"
    names = [column for column in table.column_names if column.startswith(before)][: len(task.classes)]
    return np.stack([floats(table, column) for column in names], axis=1)


def _classification(name: str, task: Any, table: pa.Table) -> str:
    chance, happened = chances(name, task, table)
    if not len(chance):
        return _parts.nothing("no test row has a label")
    what = {"binary": f"of {task.classes[1]}" if task.kind == "binary" else "", "multilabel": "of each label"}.get(
        task.kind, "of the likeliest class"
    )
    figures = _reliability(_measures.reliability(chance, happened), chance, what)
    if task.kind == "multilabel":
        return f'<div class="curves">{figures}</div>'
    target, labelled = labels(task, table)
    true = target[labelled].astype(np.int64)
    guessed = (chance >= 0.5).astype(np.int64) if task.kind == "binary" else _classes(name, task, table)[labelled].argmax(1)
    return f'<div class="curves">{figures}{_confusion(true, guessed, [str(value) for value in task.classes])}</div>'


def _reliability(found: Sequence[Bin], chance: Floats, what: str) -> str:
    drawn = _UNIT.frame(f"predicted chance {what}", "share that came true") + _UNIT.diagonal()
    edges = np.linspace(0, 1, 21)
    drawn += _UNIT.bars(edges.tolist(), np.histogram(chance, edges)[0].tolist())
    drawn += _UNIT.line([(one.predicted, one.observed) for one in found])
    drawn += "".join(_UNIT.point(one.predicted, one.observed, one.low, one.high, _tip(one)) for one in found)
    error = _measures.calibration_error(found)
    about = f"Reliability, expected calibration error {_svg.number(error)}: " + "; ".join(_tip(one) for one in found)
    return _plot.panel(f"Reliability (calibration error {_svg.number(error)})", drawn, about)


def _tip(one: Bin) -> str:
    interval = "" if math.isnan(one.low) else f" [{_svg.number(one.low)}, {_svg.number(one.high)}]"
    return f"predicted {_svg.number(one.predicted)}, observed {_svg.number(one.observed)}{interval}, {one.rows} rows"


def _confusion(true: NDArray[np.int64], guessed: NDArray[np.int64], names: Sequence[str]) -> str:
    names = list(names)
    if len(names) > _CLASSES:  # the most frequent ones, the rest as one
        often = np.argsort(-np.bincount(true, minlength=len(names)), kind="stable")[: _CLASSES - 1]
        place = np.full(len(names), _CLASSES - 1)
        place[often] = np.arange(len(often))
        true, guessed = place[true], place[guessed]
        names = [*(names[i] for i in often), f"{len(names) - len(often)} others"]
    counts = _measures.confusion(true, guessed, len(names))
    rows = []
    for i, name in enumerate(names):
        all_ = int(counts[i].sum())
        cells = "".join(
            f'<td class="{"right" if i == j else "wrong"}" style="--t:{counts[i, j] / max(1, all_):.2f}" '
            f'data-tip="{escape(f"true {name}, predicted {names[j]}: {counts[i, j]} of {all_} rows")}">{counts[i, j]:,}'
            f"<small>{counts[i, j] / max(1, all_):.0%}</small></td>"
            for j in range(len(names))
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    return (
        '<figure class="curve"><figcaption>Confusion: true classes down, predicted ones across</figcaption>'
        '<div class="scroll" role="region" tabindex="0" aria-label="Confusion matrix">'
        f'<table class="matrix"><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></figure>"
    )


def _truth(task: Task, table: pa.Table) -> Floats:
    column = table[f"true_{task.columns[0]}"]
    target, labelled = labels(task, table)  # also tells which texts are numbers
    cells = (
        column.cast(pa.float64()).to_numpy().astype(float)
        if not pa.types.is_string(column.type)
        else np.full(len(target), np.nan)
    )
    return np.where(labelled, cells, np.nan)


def _numbers(name: str, task: Task, table: pa.Table) -> str:
    predicted, true = floats(table, name), _truth(task, table)
    known = np.isfinite(predicted) & np.isfinite(true)
    predicted, true = predicted[known], true[known]
    if not len(true):
        return _parts.nothing("no test row has a label")
    shown = np.sort(np.random.default_rng(0).permutation(len(true))[:_POINTS])
    axes = _plot.square([*predicted[shown].tolist(), *true[shown].tolist()])
    found = _measures.mean_by_prediction(predicted, true)
    drawn = axes.frame("predicted", "true") + axes.diagonal()
    drawn += axes.cloud(list(zip(predicted[shown].tolist(), true[shown].tolist(), strict=True)))
    inside = [one for one in found if not axes.log or (one.predicted > 0 and one.observed > 0)]
    drawn += axes.line([(one.predicted, one.observed) for one in inside], colour=1)
    drawn += "".join(
        axes.point(one.predicted, one.observed, max(one.low, 1e-9) if axes.log else one.low, one.high, _tip(one), colour=1)
        for one in inside
    )
    some = f", {len(shown)} of {len(true):,} rows" if len(shown) < len(true) else ""
    about = "Predicted against true numbers, in groups: " + "; ".join(_tip(one) for one in found)
    key = '<p class="axis">Large points: means of groups of as many rows, by prediction, with 95 % intervals.</p>'
    left = _plot.panel(f"Predicted against true{some}{' (log scales)' if axes.log else ''}", drawn, about, key)
    return f'<div class="curves">{left}{_errors(true - predicted)}</div>'


def _errors(error: Floats) -> str:
    """How errors are spread, the outermost hundredth at either end left out."""
    low, high = np.quantile(error, [0.01, 0.99])
    reach = max(abs(float(low)), abs(float(high))) or 1.0
    edges = np.linspace(-reach, reach, 32)
    counts = np.histogram(error, edges)[0]
    axes = _plot.Axes(_svg.Scale(-reach, reach), _svg.Scale(0, 1.1 * max(1, int(counts.max()))))
    drawn = axes.frame("true minus predicted", "rows") + axes.bars(edges.tolist(), counts.tolist(), 178)
    (x, y1), (_, y2) = axes.at(0, 0), axes.at(0, axes.y.high)
    drawn += f'<line class="ideal" x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'
    quarter = np.quantile(error, [0.05, 0.5, 0.95])
    words = ", ".join(
        f"{share} at {_svg.number(float(value), True)}" for share, value in zip(("5 %", "median", "95 %"), quarter, strict=True)
    )
    return _plot.panel("Errors", drawn, f"Histogram of true minus predicted: {words}", f'<p class="axis">{words}</p>')


def _quantiles(name: str, task: Any, table: pa.Table) -> str:
    true = _truth(task, table)
    if not np.isfinite(true).any():
        return _parts.nothing("no test row has a label")
    found = []
    for share in task.quantiles:
        predicted = floats(table, f"{name}_q{100 * share:g}")
        known = np.isfinite(true) & np.isfinite(predicted)
        (one,) = _measures.reliability(np.full(int(known.sum()), share), true[known] <= predicted[known], 1)
        found.append(one)
    drawn = _UNIT.frame("quantile", "share of true values below it") + _UNIT.diagonal()
    drawn += _UNIT.line([(one.predicted, one.observed) for one in found])
    drawn += "".join(_UNIT.point(one.predicted, one.observed, one.low, one.high, _tip(one)) for one in found)
    about = "Share of true values below each predicted quantile: " + "; ".join(map(_tip, found))
    return f'<div class="curves">{_plot.panel("Quantiles", drawn, about)}</div>'


def _survival(name: str, task: Task, table: pa.Table) -> str:
    target, labelled = labels(task, table)
    times, events = target[labelled, 0].astype(float), target[labelled, 1] > 0
    risk = floats(table, f"{name}_risk")[labelled]
    before = f"{name}_survival_"
    marks = {
        float(column[len(before) :]): floats(table, column)[labelled]
        for column in table.column_names
        if column.startswith(before)
    }
    if not len(times) or not events.any():
        return _parts.nothing("no test row has an event")
    end = min(float(times.max()), 1.35 * max(marks)) if marks else float(np.quantile(times, 0.9))
    axes = _plot.Axes(_svg.Scale(0, end), _svg.Scale(0, 1))
    drawn, told = axes.frame("time", "share without the event"), []
    groups = _measures.bins(risk, _GROUPS)
    for colour, rows in enumerate(groups):
        curve = _measures.kaplan_meier(times[rows], events[rows])
        inside = curve.times <= end
        steps = [(0.0, 1.0), *zip(curve.times[inside].tolist(), curve.survival[inside].tolist(), strict=True)]
        drawn += axes.line([*steps, (end, steps[-1][1])], colour, step=True)
        for time, chance in sorted(marks.items()):
            at, low, high = curve.at(time)
            mean = float(chance[rows].mean())
            tip = f"risk group {colour + 1} of {len(groups)} ({len(rows)} rows), at {time:g}: predicted {_svg.number(mean)}, observed {_svg.number(at)} [{_svg.number(low)}, {_svg.number(high)}]"
            told.append(tip)
            drawn += axes.point(time, mean, math.nan, math.nan, tip, colour, hollow=True)
    title = "Survival by risk: lines observed" + (", rings predicted" if marks else "")
    names = [
        f"{'lowest' if not g else 'highest' if g == len(groups) - 1 else f'{g + 1}.'} quarter of risk"
        if len(groups) == _GROUPS
        else f"risk group {g + 1}"
        for g in range(len(groups))
    ]
    keys = _svg.legend(names, names, dashed=False)
    figures = _plot.panel(title, drawn, "Kaplan-Meier curves of groups of risk, lowest first. " + "; ".join(told), keys)
    return f'<div class="curves">{figures}{_at_times(risk, times, events, marks)}</div>'


def _at_times(risk: Floats, times: Floats, events: Flags, marks: Mapping[float, Floats]) -> str:
    """Predicted against Kaplan-Meier survival of groups of risk, at each time that is decoded."""
    drawn, told = _UNIT.frame("predicted survival", "observed (Kaplan-Meier)") + _UNIT.diagonal(), []
    for colour, (time, chance) in enumerate(sorted(marks.items())):
        for rows in _measures.bins(risk, 10, 40):
            at, low, high = _measures.kaplan_meier(times[rows], events[rows]).at(time)
            mean = float(chance[rows].mean())
            tip = f"at {time:g}: predicted {_svg.number(mean)}, observed {_svg.number(at)} [{_svg.number(low)}, {_svg.number(high)}], {len(rows)} rows"
            told.append(tip)
            drawn += _UNIT.point(mean, at, low, high, tip, colour)
    if not told:
        return ""
    title = "Calibration of survival at " + ", ".join(f"{time:g}" for time in sorted(marks))
    keys = [f"at {time:g}" for time in sorted(marks)]
    return _plot.panel(
        title, drawn, "Predicted against observed survival. " + "; ".join(told), _svg.legend(keys, keys, dashed=False)
    )


def of_all(cells: Mapping[str, Sequence[Told]]) -> str:
    """The calibration error of every system and classification task, the mean over seeds."""
    first = next((runs[0] for runs in cells.values() if runs), None)
    tasks = (
        {}
        if first is None
        else {n: t for n, t in first.schema.tasks.items() if t.kind in ("binary", "multiclass", "ordinal", "multilabel")}
    )
    lines = []
    for name, runs in cells.items():
        line = [Cell(f'<span class="arm-name">{escape(name)}</span>', name, head=True)]
        for task in tasks:
            errors = [error for run in runs if not math.isnan(error := _error(run, task))]
            mean = sum(errors) / len(errors) if errors else math.nan
            line.append(Cell(_parts.score(mean), mean))
        lines.append(Line(line, f'data-arm="{escape(name)}"'))
    if not tasks or not lines:
        return ""
    caption = "Expected calibration error on the test rows, mean over splits: how far predicted chances are from shares. Less is better."
    return _parts.table(caption, ["system", *map(escape, tasks)], lines, "narrow")


def _error(run: Told, task: str) -> float:
    if run.predictions is None or task not in run.schema.tasks:
        return math.nan
    try:
        return _measures.calibration_error(_measures.reliability(*chances(task, run.schema.tasks[task], run.predictions)))
    except (KeyError, PolytaskError, ValueError):
        return math.nan
