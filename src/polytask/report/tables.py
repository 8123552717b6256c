"""Tables for a terminal."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from polytask.core import Card
from polytask.core.option import Option
from polytask.engine.comparison import Comparison, Row
from polytask.engine.run import Run
from polytask.engine.statistics import Interval


def plain(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of texts; columns of numbers are right-aligned."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        numeric = all(_numeric(row[number]) for row in rows) and bool(rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _numeric(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in "+-." or text in ("", "-")


def number(value: float, digits: int = 3) -> str:
    """A figure as people read it; `-` where it is undefined."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:,.0f}"


def count(value: float) -> str:
    """1234567 -> 1.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def with_half(interval: Interval, digits: int = 3, sign: str = "") -> str:
    """`0.842 ± 0.011`."""
    mean = "-" if math.isnan(interval.mean) else f"{interval.mean:{sign}.{digits}f}"
    return mean if math.isnan(interval.half) else f"{mean} ± {interval.half:.{digits}f}"


def run(run: Run, parts: Sequence[str] = ("validation", "test")) -> Table:
    """Every metric of every task of a run."""
    rows = []
    for name, task in run.schema.tasks.items():
        metrics = next((run.scores[part][name] for part in parts if name in run.scores.get(part, {})), {})
        for metric in metrics:
            values = [run.scores.get(part, {}).get(name, {}).get(metric, math.nan) for part in parts]
            mark = "*" if metric == task.primary else ""
            rows.append([name, task.kind, metric + mark, *map(number, values)])
    return plain("Scores (* what training watches)", ["task", "kind", "metric", *parts], rows)


def scores(run: Run, found: Mapping[str, Mapping[str, float]]) -> Table:
    """Scores on new data."""
    rows = [
        [name, run.schema.tasks[name].kind, metric + ("*" if metric == run.schema.tasks[name].primary else ""), number(value)]
        for name, metrics in found.items()
        for metric, value in metrics.items()
    ]
    return plain("Scores", ["task", "kind", "metric", "value"], rows)


def comparison(found: Comparison) -> RenderableType:
    """The leaderboard, the costs and the verdict."""
    seeds = len({result.seed for result in found.results})
    heads = [f"{task}\n{metric}" for task, metric in found.primary.items()]
    board = plain(
        f"Test scores, mean{' ± half of the 95 % interval' if seeds > 1 else ''} of {seeds} seed{'s' if seeds > 1 else ''}",
        ["system", *heads, f"gain over\n{found.reference}, %"],
        [[row.name, *(with_half(task) for task in row.tasks.values()), with_half(row.gain, 2, "+")] for row in found.rows],
    )
    costs = plain(
        "Cost",
        ["system", "parameters", "training\nseconds", "ms a step", "rows\na second", "size"],
        [_cost(row) for row in found.rows],
    )
    verdict = Text("\n".join(found.verdict()))
    return Group(board, Text(), costs, Text(), Text("Verdict", style="bold"), verdict)


def _cost(row: Row) -> list[str]:
    cost = row.cost
    step = f"{1000 * cost['seconds_a_step']:.1f}" if cost["seconds_a_step"] else "-"
    figures = [count(cost["parameters"]), f"{cost['seconds']:.1f}", step, count(cost["rows_a_second"])]
    return [row.name, *figures, count(cost["bytes"]) + "B"]


def cards(found: Mapping[str, Card], title: str, baselines: Sequence[str] = ()) -> Table:
    """Systems or balancers, a line each."""
    rows = [
        [id, "baseline" if id in baselines else card.kind, str(card.year or ""), card.title] for id, card in found.items()
    ]  # fmt: skip
    return plain(title, ["id", "kind", "year", "title"], rows)


def card(found: Card, options: Mapping[str, Option]) -> RenderableType:
    """One system or balancer with its options."""
    rows = [[name, str(o.default), o.allowed, o.help, o.provenance] for name, o in options.items()]
    about = "\n".join(filter(None, [found.title, found.paper]))
    return Group(
        Text(found.id, style="bold"),
        Text(about),
        Text(),
        plain("Options", ["option", "default", "allowed", "what", "from"], rows),
    )


def show(*items: RenderableType) -> None:
    """Print to the terminal, or whole lines where the output is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    for item in items:
        console.print(item)


def notes(found: Sequence[str], leaks: Sequence[object]) -> Text:
    """What was inferred and left out, and possible leaks."""
    lines = [Text(f"note: {note}", style="dim") for note in found]
    lines += [Text(f"possible leak: {leak}", style="bold yellow") for leak in leaks]
    return Text("\n").join(lines)
