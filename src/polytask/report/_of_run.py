"""What the report tells of one model: its scores, how it was trained, its answers, what it looks at, its data."""

from html import escape

from polytask.engine.run import Run

from . import _calibration, _conflict, _contribution, _curves, _data_card, _importance, _parts
from ._parts import Cell, Line, Part, part
from ._source import Told


def title(run: Told) -> str:
    """What stands at the top of the page of a run."""
    count = len(run.schema.tasks)
    return f"{count} task{'s' * (count != 1)} answered by one model: {', '.join(run.schema.tasks)}"


def label(run: Told) -> str:
    """The system with its balancer, if it has one."""
    return f"{run.system} + {run.balancer}" if run.cost.get("parameters") else run.system


def lead(run: Told) -> str:
    """The model in a sentence, and the figure of each task."""
    tiles = []
    for name, task in run.schema.tasks.items():
        value = run.scores.get("test", {}).get(name, {}).get(task.primary, float("nan"))
        tiles.append((name, _parts.score(value), f"{_parts.said(task.primary)} on the test rows"))
    return f"<p><b>{escape(label(run))}</b>, trained on {data(run)}.</p>{_parts.tiles(tiles)}"


def data(run: Told) -> str:
    """The files of a run and how many rows they have."""
    names = " and ".join(f"<code>{escape(_data_card.file_name(source['file']))}</code>" for source in run.values["data"])
    rows = (run.card or {}).get("rows")
    return (names or "data in memory") + (f" ({rows:,} rows)" if rows else "")


def parts(run: Told, importance: bool) -> list[Part]:
    """The sections of the page of a run."""
    return [
        part(
            "scores",
            "Scores",
            "Scores",
            lambda: _scores(run),
            "★ is what training watches; ↑ more is better, ↓ less is better.",
        ),
        part("learning", "Learning", "How training went", lambda: _curves.of_run(run)),
        part("conflict", "Conflict", "Which tasks pull together, which apart", lambda: _conflict.of_run(run), _conflict.LEAD),
        *of_model(run, "", importance),
        part("made", "Settings", "How it was made", lambda: _made(run)),
    ]


def of_model(run: Told, prefix: str, importance: bool) -> list[Part]:
    """What is told of a model whether it stands alone or won a comparison."""

    def contributes() -> str:
        if not importance:
            return _parts.nothing("this page was made without it; polytask report FOLDER makes it whole")
        found = _importance.contribution(Run.load(run.folder))
        return f'<p class="lead">{escape(_contribution.lead(found))}</p>{_contribution.body(found, run.schema)}'

    trusted = "On the test rows, by which nothing was chosen."
    return [
        part("answers", "Answers", f"{prefix}can its answers be trusted?", lambda: _calibration.of_run(run), trusted),
        part("contribution", "Inputs", f"{prefix}what it looks at", contributes),
        part("data", "Data", "Data card", lambda: _data_card.card(run)),
    ]


def _scores(run: Told) -> str:
    lines = []
    for name, task in run.schema.tasks.items():
        found = [run.scores.get(place, {}).get(name, {}) for place in ("validation", "test")]
        for metric in dict.fromkeys(metric for each in found for metric in each):
            watched = metric == task.primary
            kind = "best" if watched else ""
            text = escape(_parts.said(metric)) + (f" ★ {'↑' if task.direction > 0 else '↓'}" if watched else "")
            cells = [Cell(escape(name), name, head=True), Cell(escape(task.kind), task.kind), Cell(text, metric, kind)]
            values = [each.get(metric, float("nan")) for each in found]
            lines.append(Line([*cells, *(Cell(_parts.score(value), value, kind) for value in values)]))
    return _parts.table("Every metric of every task.", ["task", "kind", "metric", "validation", "test"], lines)


def _made(run: Told) -> str:
    told, fallback = _data_card.command_of(run)
    settings = _data_card.settings({label(run): run})
    return f"{_data_card.costs(run)}<h3>Settings</h3>{settings}<h3>Make it again</h3>{_data_card.again(told, fallback)}"
