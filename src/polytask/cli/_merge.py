"""`merge`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor

from polytask.core import OptionError
from polytask.data import nested
from polytask.engine.merging import Adapting, unlabelled
from polytask.engine.merging import merge as merge_runs
from polytask.engine.predict import evaluate, predict
from polytask.engine.run import Run
from polytask.report import tables

FAR = 0.2
"""A share by which the commonest answer may grow before it is told."""


def merge(
    runs: Sequence[Path],
    method: str,
    base: Path | None,
    data: Sequence[str] | None,
    out: Path,
    scale: float | None,
    keep: float,
    trust: bool,
    granularity: str = "layer",
    plus: bool = False,
) -> None:
    """Write the merged run; where `data` have labels, show every task's scores of its own run and of the merged one."""
    loaded = [Run.load(folder, trust) for folder in runs]
    given = parse(data)
    if granularity not in ("layer", "task"):
        raise OptionError.of("granularity", f"unknown name '{granularity}'", "Known: layer, task")
    adapting = Adapting(granularity=cast(Any, granularity), plus=plus)
    merged = merge_runs(loaded, method, base, given, scale, keep, out, trust, adapting)
    if rows := compared(loaded, merged, given):
        tables.show(tables.plain("Scores (* what training watches)", ["task", "metric", "own run", "merged"], rows))
    if method == "adamerging":
        for note in collapsed(loaded, merged, given):
            tables.show(note)
    tables.show(f"{len(merged.schema.tasks)} tasks in one run: {out}")


def collapsed(runs: Sequence[Run], merged: Run, data: Any) -> list[str]:
    """A sentence for each classification task whose commonest prediction became far commoner by merging: no label is needed.

    Entropy is least where every row gets the same answer, so learning by it can end there.
    """
    notes = []
    for run in runs:
        for name, batch in unlabelled(run.schema, _of_tasks(data, run.schema.tasks)).items():
            before, after = (commonest(predict(one.system, batch, [name])[name]) for one in (run, merged))
            if after - before > FAR:
                problem = f"{after:.0%} of its rows get one and the same answer ({before:.0%} by its own run)"
                notes.append(f"Task '{name}': {problem}; compare with --method ties or --granularity task")
    return notes


def _of_tasks(data: Any, tasks: Mapping[str, Any]) -> Any:
    """Of several tables those of these tasks; one table stays as it is."""
    several = isinstance(data, Mapping) and "file" not in data
    return {name: file for name, file in data.items() if name in tasks} if several else data


def commonest(prediction: Float[Tensor, "rows ..."]) -> float:
    """The share of the class that is predicted most, from probabilities: one of several, or that of the second of two."""
    flat = prediction.reshape(len(prediction), -1)
    classes = flat.argmax(1) if flat.shape[1] > 1 else (flat[:, 0] > 0.5).long()
    return float(classes.bincount().max() / len(classes))


def parse(data: Sequence[str] | None) -> Any:
    """`FILE` for all tasks, or several `TASK=FILE`."""
    if not data:
        return None
    if len(data) == 1 and "=" not in data[0]:
        return data[0]
    pairs = [item.partition("=") for item in data]
    if bad := [item for item, (_, sign, _) in zip(data, pairs, strict=True) if not sign]:
        raise OptionError.of("data", f"'{bad[0]}' is for no task", "Give one FILE, or TASK=FILE for each")
    return {task: file for task, _, file in pairs}


def compared(runs: Sequence[Run], merged: Run, data: Any) -> list[list[str]]:
    """A line for each metric of each task that has labels in the data."""
    if data is None:
        return []
    rows = []
    for run in runs:
        for name, task in run.schema.tasks.items():
            source = data.get(name) if isinstance(data, Mapping) else data
            before, after = (_scores(one, source, name) for one in (run, merged))
            for metric, value in before.items():
                mark = "*" if metric == task.primary else ""
                rows.append([name, metric + mark, tables.number(value), tables.number(after.get(metric, math.nan))])
    return rows


def _scores(run: Run, source: Any, task: str) -> Mapping[str, float]:
    if source is None:
        return {}
    batch = run.schema.only(tasks=(task,)).encode(nested.of(source))
    return evaluate({task: run.schema.tasks[task]}, predict(run.system, batch, [task]), batch).get(task, {})
