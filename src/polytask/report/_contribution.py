"""What the model looks at: inputs and modalities by how much worse it answers without them, and what each modality adds."""

import math
from collections.abc import Mapping
from html import escape

import numpy as np
import pyarrow as pa

from polytask.core import Schema

from . import _parts, _svg
from ._importance import SEED, Contribution, Loss
from ._parts import Cell, Line

_SHOWN = 15
"""Inputs shown before a reader asks for all."""


def body(found: Contribution, schema: Schema) -> str:
    """Tables with bars: modalities, inputs, modalities one after another, and what else the system tells."""
    return f"{_modalities(found, schema)}{_inputs(found, schema)}{_steps(found, schema)}{_tables(found)}"


def lead(found: Contribution) -> str:
    """How it was measured."""
    times = "once" if found.repeats == 1 else f"{found.repeats} times"
    return (
        f"By how much the primary metric of each task falls when an input's values are shuffled between {found.rows:,} test rows ({times}, seed "
        f"{SEED}). Nothing is trained anew: it says what this model uses, not what causes what; of two inputs that tell the same, each seems to "
        "matter less."
    )


def _modalities(found: Contribution, schema: Schema) -> str:
    if not found.modalities:
        return ""
    return _losses("Whole modalities, all their inputs shuffled together", "modality", found.modalities, schema)


def _inputs(found: Contribution, schema: Schema) -> str:
    return _losses("Single inputs", "input", found.inputs, schema)


def _losses(title: str, what: str, losses: Mapping[str, Mapping[str, Loss]], schema: Schema) -> str:
    tasks = [task for task in schema.tasks if any(task in each for each in losses.values())]
    most = {
        task: max((each[task].mean for each in losses.values() if math.isfinite(each[task].mean)), default=0.0)
        for task in tasks
    }

    def weight(name: str) -> float:
        """The mean over tasks of its share of the largest loss."""
        return sum(max(0.0, _finite(losses[name][task].mean)) / most[task] for task in tasks if most[task] > 0) / max(
            1, len(tasks)
        )

    names = sorted(losses, key=lambda name: -weight(name))
    lines = []
    for place, name in enumerate(names):
        cells = [
            Cell(escape(name), name, head=True),
            Cell(_parts.meter(weight(name), 1.0, f"{weight(name):.0%}"), weight(name), "bars"),
        ]
        for task in tasks:
            one = losses[name][task]
            tip = "" if math.isnan(one.deviation) else f" ± {_svg.number(one.deviation)}"
            text = f'<span data-tip="{escape(f"{name}, {task}: {_svg.number(one.mean, True)}{tip}")}">{_parts.score(one.mean, True, 4)}</span>'
            cells.append(Cell(_parts.meter(one.mean, most[task], text), one.mean, "bars"))
        lines.append(Line(cells, 'class="more"' if place >= _SHOWN else ""))
    heads = [what, _parts.head("all tasks", "mean share of the largest")]
    heads += [_parts.head(task, f"fall of {_parts.said(schema.tasks[task].primary)}") for task in tasks]
    more = (
        f'<button type="button" class="all" aria-expanded="false">Show all {len(names)}</button>' if len(names) > _SHOWN else ""
    )
    return f"<h3>{title}</h3>{_parts.table('How much worse the answers become; a click on a head sorts.', heads, lines, 'contribution')}{more}"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _steps(found: Contribution, schema: Schema) -> str:
    if len(found.steps) < 2:
        return ""
    tasks = list(found.steps[-1][1])
    lines = []
    for place, (label, scores) in enumerate(found.steps):
        head = "no input at all" if not place else f"{'+ ' if place > 1 else ''}{label}"
        cells = [Cell(escape(head), float(place), head=True)]
        for task in tasks:
            values = [step[task] for _, step in found.steps if math.isfinite(step[task])]
            low, high = (min(values), max(values)) if values else (0.0, 1.0)
            better = scores[task] - low if schema.tasks[task].direction > 0 else high - scores[task]
            cells.append(Cell(_parts.meter(better, high - low, _parts.score(scores[task])), scores[task], "bars"))
        lines.append(Line(cells))
    caption = "Scores on the test rows when the modalities come one after another; those to come count as missing. Bars: from the worst step to the best."
    heads = ["known so far", *(_parts.head(task, _parts.said(schema.tasks[task].primary)) for task in tasks)]
    return (
        "<h3>Modality after modality</h3><p>What the model can say before everything is known. For a system that reads modalities in turn, such as "
        f"MultiModN, this is its read-out after each step.</p>{_parts.table(caption, heads, lines, 'contribution', sortable=False)}"
    )


def _tables(found: Contribution) -> str:
    parts = []
    for name, table in found.tables.items():
        numeric = [c for c in table.column_names if pa.types.is_floating(table[c].type) or pa.types.is_integer(table[c].type)]
        if not numeric or not table.num_rows:
            continue
        lines = []
        for column in numeric:
            values = table[column].to_numpy().astype(float)
            values = values[np.isfinite(values)]
            if len(values):
                figures = [float(values.mean()), *(float(value) for value in np.quantile(values, [0.05, 0.5, 0.95]))]
                lines.append(
                    Line([Cell(escape(column), column, head=True), *(Cell(_svg.number(value), value) for value in figures)])
                )
        caption = f"{name}: {table.num_rows:,} rows on these test rows; polytask predict writes it in full."
        parts.append(
            f"<details><summary>Read-out of the system: {escape(name)}</summary>{_parts.table(caption, ['column', 'mean', '5 %', 'median', '95 %'], lines)}</details>"
        )
    return "".join(parts)
