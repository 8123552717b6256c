"""How many of a few tasks any schedule could admit, by constraint programming (OR-Tools' CP-SAT)."""

from collections.abc import Sequence
from typing import Any

from polytask.core import MissingExtra

from .periodic import Resource, Task, hyperperiod


def most_admitted(tasks: Sequence[Task], seconds: float = 60.0) -> int:
    """The largest number of tasks that can run together without interruptions, each qubit kept only while it is busy.

    Starts within a period are free, so this bounds what `nonblock` can admit. Raises `RuntimeError` where the proof takes
    longer than `seconds`, `MissingExtra` without OR-Tools.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise MissingExtra.of("the optimum", "needs the package 'ortools'", "pip install 'polytask[quantum]'") from error
    model, horizon = cp_model.CpModel(), hyperperiod(tasks)
    uses: dict[Resource, list[Any]] = {}
    admitted = [model.new_bool_var(f"task {number}") for number in range(len(tasks))]
    for task, chosen in zip(tasks, admitted, strict=True):
        for release in range(0, horizon, task.period):
            start = model.new_int_var(release, release + task.period - task.length, "start")
            for qubit, spans in task.spans.items():
                for begin, end in spans:
                    use = model.new_optional_fixed_size_interval_var(start + begin, end - begin, chosen, "use")
                    uses.setdefault(qubit, []).append(use)
    for intervals in uses.values():
        model.add_no_overlap(intervals)
    model.maximize(sum(admitted))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = seconds
    if solver.solve(model) != cp_model.OPTIMAL:
        raise RuntimeError(f"CP-SAT found no proof within {seconds:g} seconds")
    return int(solver.objective_value + 0.5)
