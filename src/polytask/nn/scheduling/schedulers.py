"""Schedulers of periodic protocols: each returns the pieces of one hyperperiod, or None where a run would miss its deadline.

The paper, section on scheduling; authors' code, `jobscheduling/schedulers`. None of them retries after a miss: a set that a
scheduler cannot place is refused.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ._instances import Instances, Pattern, Schedule
from ._slots import Slots
from .periodic import Piece, Resource, Task, hyperperiod, utilisation

Scheduler: TypeAlias = Callable[[Sequence[Task]], Schedule | None]
LONGEST = 1 << 16
"""The longest hyperperiod, in slots: periods that are no powers of two have huge common multiples."""
_NETWORK: Resource = ("the network", 0)


def one_resource(tasks: Sequence[Task]) -> Schedule | None:
    """Block NP-EDF on one resource: the whole network runs one protocol at a time, that of the earliest deadline first."""
    return _listed(tasks, [{_NETWORK: ((0, task.length),)} for task in tasks])


def block(tasks: Sequence[Task]) -> Schedule | None:
    """RCPSP block NP-EDF: a run keeps all of its qubits from its start to its end; runs without a common qubit overlap."""
    return _listed(tasks, [_whole(task) for task in tasks])


def nonblock(tasks: Sequence[Task]) -> Schedule | None:
    """RCPSP NP-EDF: a run keeps each qubit only while it generates, operates or holds a pair."""
    return _listed(tasks, [task.spans for task in tasks])


def cedf(tasks: Sequence[Task]) -> Schedule | None:
    """Critical EDF on blocks: where the EDF choice would make another task miss its latest start, that one goes first.

    Among the tasks that share a qubit with the choice, each task's next instance is looked at, released or not, the smallest
    latest start (deadline - length) first. Whether it would miss is found by placing, which on one resource is the paper's
    comparison of times.
    """
    return _listed(tasks, [_whole(task) for task in tasks], critical=True)


def _whole(task: Task) -> Pattern:
    return dict.fromkeys(task.spans, ((0, task.length),))


def _listed(tasks: Sequence[Task], patterns: Sequence[Pattern], critical: bool = False) -> Schedule | None:
    """Place released instances by earliest deadline, each at the earliest slot without a conflict."""
    instances, slots, schedule = Instances(tasks, patterns), Slots(), Schedule()
    while instances.refill():
        deadline, number, instance = instances.ready[0]
        if instance < instances.next[number]:  # it went first, as the critical one
            heapq.heappop(instances.ready)
            continue
        task = tasks[number]
        start = slots.earliest(patterns[number], deadline - task.period, deadline - task.length)
        if start is None:
            return None
        if critical and (other := _critical(instances, slots, patterns, number, start)) is not None:
            number, instance, start = other
        else:
            heapq.heappop(instances.ready)
        slots.take(patterns[number], start)
        schedule.append(Piece(start, number, instance, 0, tasks[number].length))
        instances.next[number] = instance + 1
        instances.released[number] = max(instances.released[number], instance + 1)
        instances.release_until(number, start, patterns[number])
    return sorted(schedule)


def _critical(
    instances: Instances, slots: Slots, patterns: Sequence[Pattern], number: int, start: int
) -> tuple[int, int, int] | None:
    """The most critical run that placing task `number` at `start` would make miss, with the start that it can have now."""
    after = slots.copy()
    after.take(patterns[number], start)
    rivals = []
    for other, shared in instances.sharing[number]:
        task, instance = instances.tasks[other], instances.next[other]
        if shared and other != number and instance * task.period < instances.horizon:
            rivals.append(((instance + 1) * task.period - task.length, other, instance))
    for latest, other, instance in sorted(rivals):
        release = instance * instances.tasks[other].period
        if after.earliest(patterns[other], release, latest) is None:
            now = slots.earliest(patterns[other], release, latest)
            return None if now is None else (other, instance, now)
    return None


def admit(tasks: Sequence[Task], scheduler: Scheduler) -> tuple[list[int], Schedule]:
    """Add tasks one at a time; each stays if all that are in can still be scheduled.

    The numbers of those that stay, and their schedule (the numbers in its pieces are those in `tasks`). A task that would make
    a qubit busy for more than all of the time, or the hyperperiod longer than `LONGEST` slots, is refused without trying.
    """
    kept, schedule = list[int](), Schedule()
    for number in range(len(tasks)):
        trial = [tasks[n] for n in (*kept, number)]
        if hyperperiod(trial) > LONGEST or any(share > 1 + 1e-9 for share in utilisation(trial).values()):
            continue
        found = scheduler(trial)
        if found is not None:
            kept.append(number)
            schedule = found
    return kept, [Piece(p.start, kept[p.task], p.instance, p.first, p.last) for p in schedule]
