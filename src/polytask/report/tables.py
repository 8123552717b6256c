"""Tables for a terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from polytask.core import Card
from polytask.core.option import Option
from polytask.data.shipped import DataSet
from polytask.engine.comparison import Comparison, Row
from polytask.engine.run import Run
from polytask.engine.statistics import Interval
from polytask.engine.tune import Tuning
from polytask.ledger.verdict import Verdict

_TEXT = 30
"""Columns at which a text may be folded."""


@dataclass(frozen=True)
class Sheet:
    """A table of texts, columns of numbers right-aligned. What is too wide continues below, with the first column again."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for number, block in enumerate(self._blocks(options.max_width)):
            if number:
                yield Text()
            yield self._table(block, "" if number else self.title)

    def _numeric(self, column: int) -> bool:
        return bool(self.rows) and all(_numeric(row[column]) for row in self.rows)

    def _width(self, column: int) -> int:
        lines = [*self.columns[column].split("\n"), *(row[column] for row in self.rows)]
        widest = max(map(cell_len, lines))
        return widest if self._numeric(column) else min(widest, _TEXT)

    def _blocks(self, width: int) -> list[list[int]]:
        first, blocks = self._width(0), [[0]]
        used = first
        for column in range(1, len(self.columns)):
            needed = 2 + self._width(column)
            if used + needed > width and len(blocks[-1]) > 1:
                blocks.append([0])
                used = first
            blocks[-1].append(column)
            used += needed
        return blocks

    def _table(self, columns: Sequence[int], title: str) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", title_justify="left")
        table.title = Text(title, style="bold") if title else None
        for column in columns:
            justify: JustifyMethod = "right" if self._numeric(column) else "left"
            table.add_column(Text(self.columns[column]), justify=justify, overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(row[column]) for column in columns))
        return table


def plain(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Sheet:
    """A table of texts."""
    return Sheet(title, columns, rows)


def _numeric(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in "+-." or text in ("", "-")


def number(value: float, digits: int = 3, sign: str = "") -> str:
    """A figure as people read it; `-` where it is undefined."""
    if math.isnan(value):
        return "-"
    if 0 < abs(value) < 0.5 * 10**-digits:
        return f"{value:{sign}.1e}"
    return f"{value:{sign}.{digits}f}" if abs(value) < 1000 else f"{value:{sign},.0f}"


def count(value: float) -> str:
    """1234567 -> 1.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def with_half(interval: Interval, digits: int = 3, sign: str = "") -> str:
    """`0.842 ± 0.011`."""
    mean = number(interval.mean, digits, sign)
    return mean if math.isnan(interval.half) else f"{mean} ± {number(interval.half, digits)}"


def run(run: Run, parts: Sequence[str] = ("validation", "test")) -> Sheet:
    """Every metric of every task of a run."""
    rows = []
    for name, task in run.schema.tasks.items():
        metrics = next((run.scores[part][name] for part in parts if name in run.scores.get(part, {})), {})
        for metric in metrics:
            values = [run.scores.get(part, {}).get(name, {}).get(metric, math.nan) for part in parts]
            mark = "*" if metric == task.primary else ""
            rows.append([name, task.kind, metric + mark, *map(number, values)])
    return plain("Scores (* what training watches)", ["task", "kind", "metric", *parts], rows)


def training(run: Run) -> str:
    """What training took, in a line."""
    cost = run.cost
    steps = f": {cost['steps']:,.0f} steps of {1000 * cost['seconds_a_step']:.1f} ms" if cost["steps"] else ""
    threads = f"{cost['threads']:.0f}" if "threads" in cost else ""
    on = f" on {threads} processor thread{'' if threads == '1' else 's'} (--threads sets how many)" if threads else ""
    return f"Trained in {cost['seconds']:.1f} s{steps}{on}"


def scores(run: Run, found: Mapping[str, Mapping[str, float]]) -> Sheet:
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
        ["system", "gain on\nvalidation, %", f"gain over\n{found.reference}, %", *heads],
        [
            [row.name, number(row.validation_gain, 2, "+"), with_half(row.gain, 2, "+"), *map(with_half, row.tasks.values())]
            for row in found.rows
        ],
    )
    costs = plain(
        "Cost",
        ["system", "parameters", "training\nseconds", "ms a step", "rows\na second", "size"],
        [_cost(row) for row in found.rows],
    )
    verdict = Text("\n".join(found.verdict()))
    return Group(board, Text(), costs, Text(), Text("Verdict", style="bold"), verdict)


def tuning(found: Tuning) -> RenderableType:
    """Every system's best trial, and what was searched."""
    rows = []
    for one in found.found:
        best = " ".join(f"{name}={_short(value)}" for name, value in one.options.items())
        figures = [number(one.score, 4), number(one.untuned, 4), *map(str, (one.trials, one.pruned, len(one.failed)))]
        rows.append([one.name, *figures, best or "nothing to search"])
    board = plain(
        "Scores on the validation rows: the best trial of each",
        ["system", "best", "untuned", "trials", "stopped\nearly", "failed", "best options"],
        rows,
    )
    options = [
        [one.name, name, domain, _short(one.options[name]), number(one.importance.get(name, math.nan), 2)]
        for one in found.found
        for name, domain in one.searched.items()
    ]
    title = "Searched (importance: share of the scores' variance)"
    searched = plain(title, ["system", "option", "in", "best", "importance"], options)
    return Group(board, Text(), searched, Text(), Text("Verdict", style="bold"), Text("\n".join(found.verdict())))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cost(row: Row) -> list[str]:
    cost = row.cost
    step = f"{1000 * cost['seconds_a_step']:.1f}" if cost["seconds_a_step"] else "-"
    figures = [
        count(cost["parameters"]) if cost["parameters"] else "-",
        f"{cost['seconds']:.1f}",
        step,
        count(cost["rows_a_second"]),
    ]
    return [row.name, *figures, count(cost["bytes"]) + "B"]


def cards(found: Mapping[str, Card], title: str, baselines: Sequence[str] = ()) -> Sheet:
    """Systems or balancers, a line each."""
    rows = [
        [id, "baseline" if id in baselines else card.kind, str(card.year or ""), card.title] for id, card in found.items()
    ]  # fmt: skip
    return plain(title, ["id", "kind", "year", "title"], rows)


def card(found: Card, options: Mapping[str, Option]) -> RenderableType:
    """One system or balancer with its options."""
    rows = [[name, str(o.default), o.allowed, o.help, o.provenance] for name, o in options.items()]
    trained = f"Trained with {defaults(found)}" if found.defaults else ""
    about = "\n".join(filter(None, [found.title, found.paper, trained]))
    return Group(
        Text(found.id, style="bold"),
        Text(about),
        Text(),
        plain("Options", ["option", "default", "allowed", "what", "from"], rows),
    )


def defaults(found: Card) -> str:
    """What a card trains with unless the user says otherwise, as `--set` takes it."""

    def flat(values: Mapping[str, object], path: str) -> Iterator[str]:
        for key, value in values.items():
            if isinstance(value, Mapping):
                yield from flat(value, f"{path}{key}.")
            else:
                yield f"{path}{key}={value}"

    return ", ".join(flat(found.defaults, ""))


def data_set(name: str, found: DataSet) -> RenderableType:
    """One shipped data set with its tasks."""
    about = [f"{about}: {found.about[about]}" for about in ("origin", "licence", "rows")]
    rows = []
    for task, declared in found.tasks.items():
        settings = declared if isinstance(declared, Mapping) else {"kind": declared}
        rows.append([task, str(settings["kind"]), ", ".join(settings.get("columns", (task,)))])
    return Group(
        Text(f"{name}: {found.about['title']}", style="bold"),
        Text("\n".join(about)),
        Text(),
        plain("Tasks", ["task", "kind", "columns"], rows),
    )


def show(*items: RenderableType) -> None:
    """Print to the terminal, or 160 columns wide where the output is none. Texts are shown as they are: no markup."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 160
    for item in items:
        console.print(item, soft_wrap=isinstance(item, str))


def notes(found: Sequence[str], leaks: Sequence[object]) -> list[Text]:
    """What was inferred and left out, and possible leaks."""
    lines = [Text(f"note: {note}", style="dim") for note in found]
    return lines + [Text(f"possible leak: {leak}", style="bold yellow") for leak in leaks]


def verdicts(found: Sequence[Verdict]) -> Sheet:
    """A line a claim: its verdict, and the effect of each check that decides."""
    rows = []
    for verdict in found:
        effects = [
            f"{judged.check.name}: {number(one.effect.mean)} [{number(one.effect.low)}, {number(one.effect.high)}]"
            for judged in verdict.checks
            if judged.check.decides
            for one in judged.compared
        ]
        remark = (
            "a trivial control does as well" if verdict.matched else f"{verdict.missing} cells missing" * bool(verdict.missing)
        )
        rows.append([verdict.claim.id, verdict.claim.card.field, verdict.outcome, "\n".join(effects), remark])
    return plain("Claims", ["claim", "field", "verdict", "effects, with 95 % intervals", ""], rows)


def verdict(found: Verdict) -> list[RenderableType]:
    """A claim's verdict, its sentences, and every arm's numbers."""
    seeds = sorted({record.seed for record in found.records})
    metrics = list(dict.fromkeys(name for record in found.records for name in record.metrics))
    rows = []
    for arm in found.claim.everything:
        own = [record for record in found.records if record.arm == arm]
        if own:
            means = [_mean([r.metrics[m] for r in own if m in r.metrics]) for m in metrics]
            rows.append([arm, *means, f"{own[0].parameters:,}", f"{own[0].steps:,}", _mean([r.seconds for r in own])])
    title = f"{found.claim.id} ({found.size}, {len(seeds)} seeds): {found.outcome}"
    lines = [judged.sentence if judged.check.decides else f"(beside) {judged.sentence}" for judged in found.checks]
    lines += [f"unequal budget: {problem}" for problem in found.unfair]
    lines += [f"{found.missing} cells are missing"] * bool(found.missing)
    return [plain(title, ["arm", *metrics, "parameters", "steps", "seconds"], rows), *lines]


def _mean(values: Sequence[float]) -> str:
    return number(sum(values) / len(values)) if values else ""
