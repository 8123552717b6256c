"""Schedulers with a preemption budget: a run may be interrupted between its operations, for at most `budget` slots in total.

A pause is time in which stored pairs decay, hence the budget. Qubits that hold a pair stay locked meanwhile. The paper's own
family of heuristics is taken to be this one.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ._instances import Instances, Pattern, Schedule
from ._slots import Slots
from .periodic import Piece, Task


def segments(tasks: Sequence[Task]) -> Schedule | None:
    """RCPSP with preemption budgets, by segments: a run flows around what is placed, within its budget.

    By earliest deadline, as NP-EDF. Each segment between two points takes the earliest slot that its own qubits allow; where
    the budget is used up, or a locked qubit is needed by another run, the first segment moves on.
    """
    instances, slots, schedule = Instances(tasks, [task.spans for task in tasks]), Slots(), Schedule()
    cuts = [_segments(task) for task in tasks]
    while instances.refill():
        deadline, number, instance = heapq.heappop(instances.ready)
        task = tasks[number]
        pieces = _flow(task, cuts[number], slots, deadline - task.period, deadline)
        if pieces is None:
            return None
        for (first, last, pattern, _), at in zip(cuts[number], pieces, strict=True):
            slots.take(pattern, at)
            schedule.append(Piece(at, number, instance, first, last))
        for (_, _, _, held), (begin, end) in zip(cuts[number][1:], _pauses(cuts[number], pieces), strict=True):
            if end > begin:
                slots.take(dict.fromkeys(held, ((0, end - begin),)), begin)
        instances.release_until(number, pieces[-1] - cuts[number][-1][0], task.spans)
    return _joined(schedule)


_Segment = tuple[int, int, Pattern, frozenset[tuple[object, int]]]


def _segments(task: Task) -> list[_Segment]:
    """First and last slot, the spans in between (counted from the first), and the qubits locked in the pause before it."""
    edges = (0, *(task.points if task.budget else ()), task.length)
    parts: list[_Segment] = []
    for first, last in pairwise(edges):
        inside = {
            qubit: tuple((max(b, first) - first, min(e, last) - first) for b, e in spans if b < last and e > first)
            for qubit, spans in task.spans.items()
        }
        parts.append((first, last, {q: s for q, s in inside.items() if s}, task.held(first)))
    return parts


def _flow(task: Task, parts: Sequence[_Segment], slots: Slots, release: int, deadline: int) -> list[int] | None:
    """The starts of the segments, for the earliest start of the first that works; None where none does."""
    first, latest = release, deadline - task.length
    while (start := slots.earliest(parts[0][2], first, latest)) is not None:
        starts, end, budget = [start], start + parts[0][1], min(task.budget, latest - start)
        for begin, last, pattern, held in parts[1:]:
            at = slots.earliest(pattern, end, end + budget)
            if at is None or (at > end and slots.earliest(dict.fromkeys(held, ((0, at - end),)), end, end) is None):
                break
            budget -= at - end
            starts.append(at)
            end = at + last - begin
        else:
            return starts
        first = start + 1
    return None


def _pauses(parts: Sequence[_Segment], starts: Sequence[int]) -> list[tuple[int, int]]:
    ends = [at + last - first for (first, last, _, _), at in zip(parts, starts, strict=True)]
    return list(zip(ends[:-1], starts[1:], strict=True))


def _joined(schedule: Schedule) -> Schedule:
    """Pieces that follow each other without a pause become one."""
    joined = Schedule()
    for piece in sorted(schedule, key=lambda p: (p.task, p.instance, p.start)):
        last = joined[-1] if joined else None
        if last and (last.task, last.instance, last.end) == (piece.task, piece.instance, piece.start):
            joined[-1] = Piece(last.start, piece.task, piece.instance, last.first, piece.last)
        else:
            joined.append(piece)
    return sorted(joined)


@dataclass
class _Active:
    """A run that has started: `done` of its slots have been executed, `budget` slots of pause are left."""

    task: Task
    number: int
    instance: int
    done: int
    budget: int

    @property
    def left(self) -> int:
        return self.task.length - self.done

    @property
    def deadline(self) -> int:
        return (self.instance + 1) * self.task.period


def edf_lbf(tasks: Sequence[Task]) -> Schedule | None:
    """EDF, least budget first, on one resource: a released run may interrupt those under way.

    At each point between operations, the released run of the earliest deadline starts if every run under way has budget and
    time enough to wait for all of it, behind those that go before (least budget first); else the run of the least budget goes
    on. Unlike in the authors' code, locked qubits are respected: a run that needs one that an interrupted run holds does not
    start, and an interrupted run waits for the end of those that started later and share a qubit with it.
    """
    instances, schedule, active, now = (
        Instances(tasks, [{("", 0): ((0, t.length),)} for t in tasks]),
        Schedule(),
        list[_Active](),
        0,
    )
    while True:
        for number in range(len(tasks)):
            while (at := instances.release(number)) is not None and at <= now:
                instances.push(number)
        if instances.ready:
            deadline, number, instance = instances.ready[0]
            task = tasks[number]
            if now > deadline - task.length:
                return None
            if _may_start(task, active, now):
                heapq.heappop(instances.ready)
                active.append(_Active(task, number, instance, 0, task.budget))
                now = _execute(active[-1], active, now, schedule)
                continue
        if active:
            run = min(_free(active), key=lambda a: (a.budget, a.deadline))
            if min(a.budget for a in active) < 0 or now > run.deadline - run.left:
                return None
            now = _execute(run, active, now, schedule)
        elif not instances.ready:
            coming = [at for number in range(len(tasks)) if (at := instances.release(number)) is not None]
            if not coming:
                return _joined(schedule)
            now = min(coming)


def _may_start(task: Task, active: Sequence[_Active], now: int) -> bool:
    before = 0
    for run in sorted(active, key=lambda a: (a.budget, a.deadline)):
        slack = min(run.budget, run.deadline - now - run.left) - before
        if slack < task.length or run.task.held(run.done) & task.spans.keys():
            return False
        before += run.left
    return True


def _free(active: Sequence[_Active]) -> list[_Active]:
    """The runs that share no qubit with one that started later; the last one is always among them."""
    return [
        run for n, run in enumerate(active) if not any(run.task.spans.keys() & later.task.spans for later in active[n + 1 :])
    ]


def _execute(run: _Active, active: list[_Active], now: int, schedule: Schedule) -> int:
    """Run up to the next point, or to the end; the others pause meanwhile. The slot after it."""
    last = next((point for point in run.task.points if point > run.done), run.task.length)
    schedule.append(Piece(now, run.number, run.instance, run.done, last))
    length, run.done = last - run.done, last
    for other in active:
        if other is not run:
            other.budget -= length
    if run.done == run.task.length:
        active.remove(run)
    return now + length
