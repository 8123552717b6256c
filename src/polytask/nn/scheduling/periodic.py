"""Periodic tasks on qubits, their schedules over one hyperperiod, and a verifier that shares no code with the schedulers."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .placing import Placed, Span

Resource = tuple[Hashable, int]
"""A node and the number of its qubit: communication qubits come first, then storage."""


@dataclass(frozen=True)
class Task:
    """A protocol that is run once in every period, from slot 0 on; its deadline is its next release. All times are slots.

    spans: when a run keeps each qubit busy, from its start; they end by `length`.
    points: the slots at which a run may be interrupted. budget: slots that it may be interrupted for, in total.
    """

    name: str
    length: int
    period: int
    spans: Mapping[Resource, tuple[Span, ...]]
    points: tuple[int, ...] = ()
    budget: int = 0

    def held(self, point: int) -> frozenset[Resource]:
        """The qubits that are busy across `point`: they stay locked while the task is interrupted there."""
        return frozenset(q for q, spans in self.spans.items() if any(begin < point < end for begin, end in spans))


@dataclass(frozen=True, order=True)
class Piece:
    """Slots `first` to `last` of a run, executed from slot `start` on. A run without interruption is one piece."""

    start: int
    task: int
    """Its number in the list of tasks."""
    instance: int
    first: int
    last: int

    @property
    def end(self) -> int:
        return self.start + self.last - self.first


def hyperperiod(tasks: Sequence[Task]) -> int:
    """The least common multiple of the periods (1 without tasks): schedules repeat after it."""
    return math.lcm(*(task.period for task in tasks))


def period_slots(rate: float, slot: float, powers: bool = True) -> int:
    """Slots between runs for `rate` pairs a second: the largest power of two that is fast enough, or `ceil(1 / (rate slot))`.

    Periods that are powers of two keep the hyperperiod at the longest of them. `ceil` is the paper's; it may fall short of the
    rate by less than a slot. 0 where even one slot is too long.
    """
    slots = 1 / (rate * slot)
    if powers:
        return 2 ** math.floor(math.log2(slots) + 1e-5) if slots > 1 - 1e-5 else 0
    return math.ceil(slots * (1 - 1e-5))


def named(placed: Placed, path: Sequence[Hashable]) -> dict[Resource, tuple[Span, ...]]:
    """The spans of a placed protocol on the nodes of `path`."""
    return {(path[place], qubit): spans for (place, qubit), spans in placed.spans.items()}


def utilisation(tasks: Sequence[Task]) -> dict[Resource, float]:
    """The share of time for which each qubit is busy."""
    busy: dict[Resource, float] = {}
    for task in tasks:
        for qubit, spans in task.spans.items():
            busy[qubit] = busy.get(qubit, 0.0) + sum(end - begin for begin, end in spans) / task.period
    return busy


def balanced(tasks: Sequence[Task], qubits: Mapping[Hashable, tuple[int, int]]) -> list[Task]:
    """Tasks on equal qubits (same node, same type) such that these are about equally busy.

    In order of tasks, a task's busiest qubit of a type becomes the least busy one so far (authors' code,
    `balance_taskset_resource_utilization`). qubits: communication and storage qubits by node.
    """
    busy = {(node, q): 0.0 for node, counts in qubits.items() for q in range(sum(counts))}
    moved = []
    for task in tasks:
        load, places = utilisation([task]), dict[Resource, Resource]()
        for node in sorted({node for node, _ in task.spans}, key=str):
            communication, storage = qubits[node]
            for kind in (range(communication), range(communication, communication + storage)):
                used = sorted((q for q in kind if (node, q) in load), key=lambda q: -load[node, q])
                free = sorted(kind, key=lambda q: busy[node, q])
                places |= {(node, old): (node, new) for old, new in zip(used, free, strict=False)}
        for old, new in places.items():
            busy[new] += load[old]
        moved.append(replace(task, spans={places[q]: spans for q, spans in task.spans.items()}))
    return moved


def verify(tasks: Sequence[Task], schedule: Sequence[Piece]) -> list[str]:
    """What is wrong with a schedule of one hyperperiod; an empty list where nothing is.

    Every instance runs once, in full and in order, between its release and its deadline; it is interrupted only at its points,
    for no longer than its budget; no qubit is used twice in a slot, those locked during an interruption included.
    """
    horizon = hyperperiod(tasks)
    wrong, runs = list[str](), dict[tuple[int, int], list[Piece]]()
    for piece in sorted(schedule):
        runs.setdefault((piece.task, piece.instance), []).append(piece)
    expected = {(number, i) for number, task in enumerate(tasks) for i in range(horizon // task.period)}
    wrong += [f"{tasks[t].name}, instance {i}: is missing" for t, i in sorted(expected - runs.keys())]
    wrong += [f"task {t}, instance {i}: there is no such instance" for t, i in sorted(runs.keys() - expected)]
    counts = {qubit: np.zeros(horizon, dtype=np.int64) for task in tasks for qubit in task.spans}
    for (number, instance), pieces in sorted(runs.items()):
        if (number, instance) in expected:
            faults = _faults(tasks[number], instance, pieces)
            wrong += [f"{tasks[number].name}, instance {instance}: {fault}" for fault in faults]
            for qubit, begin, end in [] if faults else occupied(tasks[number], pieces):
                counts[qubit][begin:end] += 1
    for qubit, used in counts.items():
        twice = np.flatnonzero(used > 1)
        if len(twice):
            wrong.append(f"qubit {qubit[1]} of {qubit[0]}: is used twice in {len(twice)} slots, first in slot {twice[0]}")
    return wrong


def _faults(task: Task, instance: int, pieces: Sequence[Piece]) -> list[str]:
    """Whether one run's pieces are in order, in time and interrupted as allowed."""
    cuts = [piece.last for piece in pieces[:-1]]
    whole = [0, *cuts] == [piece.first for piece in pieces] and pieces[-1].last == task.length
    if not whole or any(piece.last <= piece.first for piece in pieces):
        return ["does not run once in full and in order"]
    pauses = [after.start - before.end for before, after in pairwise(pieces)]
    release = instance * task.period
    found = {
        "runs on while it is interrupted": any(pause < 0 for pause in pauses),
        f"starts before its release in slot {release}": pieces[0].start < release,
        f"misses its deadline in slot {release + task.period}": pieces[-1].end > release + task.period,
        "is interrupted during an operation": not set(cuts) <= set(task.points),
        f"is interrupted for more than {task.budget} slots": sum(pauses) > task.budget,
    }
    return [problem for problem, holds in found.items() if holds]


def occupied(task: Task, pieces: Sequence[Piece]) -> list[tuple[Resource, int, int]]:
    """When one run keeps its qubits busy: its spans, stretched by the pauses that they lie across."""
    clock = np.concatenate([np.arange(piece.start, piece.end) for piece in sorted(pieces)]).tolist()
    return [(q, clock[begin], clock[end - 1] + 1) for q, spans in task.spans.items() for begin, end in spans]


def moments(task: Task, number: int, schedule: Sequence[Piece]) -> tuple[int, float]:
    """A task's worst-case response time in slots, and its jitter: the variance of (start difference - period), in slots^2.

    The response time runs from release to end. The difference from the last instance to the first of the next hyperperiod
    counts too.
    """
    runs: dict[int, tuple[int, int]] = {}
    for piece in sorted(schedule):
        if piece.task == number:
            first = runs.get(piece.instance, (piece.start, 0))[0]
            runs[piece.instance] = (first, piece.end)
    starts = np.array([runs[i][0] for i in sorted(runs)])
    response = max(end - instance * task.period for instance, (_, end) in runs.items())
    differences = np.diff(np.append(starts, starts[0] + len(starts) * task.period))
    return response, float(np.var(differences - task.period))
