"""How training went: the scores on validation rows and the losses, epoch by epoch."""

from collections.abc import Mapping, Sequence

import pandas as pd

from . import _parts, _svg
from ._source import Told


def of_run(run: Told) -> str:
    """Each task's validation score, the losses of all tasks and the weights they were given."""
    history = run.history
    if history is None:
        return _parts.nothing(run.absent("metrics.csv"))
    if len(history) < 2:
        return _parts.nothing("this system is not trained in epochs, so there is no curve")
    tasks = list(run.schema.tasks)
    figures = [
        _svg.curves(f"{task}: {_metric(run, task)} on validation", {task: [_values(history, _score(run, task))]}, tasks)
        for task in tasks
    ]
    losses = {name.removeprefix("loss/"): [_values(history, name)] for name in map(str, history) if name.startswith("loss/")}
    order = list(dict.fromkeys([*tasks, *losses]))
    weights = {
        name.removeprefix("weight/"): [_values(history, name)] for name in map(str, history) if name.startswith("weight/")
    }
    more = [_svg.curves("Training loss of each task", losses, order)]
    if any(len({round(value, 6) for value in runs[0]}) > 1 for runs in weights.values()):
        more.append(_svg.curves("Weight that balancing gave each loss", weights, order))
    return f'<div class="curves">{"".join(figures)}</div>{_svg.legend(list(losses), order)}<div class="curves">{"".join(more)}</div>'


def of_all(cells: Mapping[str, Sequence[Told]], order: Sequence[str]) -> str:
    """Each task's validation score of all systems that train in epochs, the mean over seeds."""
    trained = {name: [run for run in runs if run.history is not None and len(run.history) > 1] for name, runs in cells.items()}
    trained = {name: runs for name, runs in trained.items() if runs}
    if not trained:
        return _parts.nothing("no system here is trained in epochs and left its metrics.csv")
    first = next(iter(trained.values()))[0]
    figures = [
        _svg.curves(
            f"{task}: {_metric(first, task)} on validation",
            {name: [_values(run.history, _score(run, task)) for run in runs] for name, runs in trained.items()},
            order,
        )
        for task in first.schema.tasks
    ]
    return (
        f'{_svg.legend(list(trained), order)}<div class="curves">{"".join(figures)}</div>'
        '<p class="axis">Mean over splits; the band is a standard deviation. A point is the mean of the runs that got so far: early '
        "stopping ends some sooner.</p>"
    )


def _metric(run: Told, task: str) -> str:
    return _parts.said(run.schema.tasks[task].primary)


def _score(run: Told, task: str) -> str:
    return f"validation/{task}/{run.schema.tasks[task].primary}"


def _values(history: pd.DataFrame | None, name: str) -> list[float]:
    """A value an epoch, of the epochs that have one: a stage that trains one task alone tells nothing of the others."""
    assert history is not None
    return [float(value) for value in history[name].dropna()] if name in history else []
