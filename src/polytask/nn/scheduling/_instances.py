"""The runs of a set of periodic tasks: which are released, which are ready, which come next."""

import heapq
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from .periodic import Piece, Resource, Task, hyperperiod
from .placing import Span

Schedule: TypeAlias = list[Piece]
Pattern: TypeAlias = Mapping[Resource, tuple[Span, ...]]
"""What a run takes of each qubit, counted from its start."""


class Instances:
    """The instances of a task set: which are released, which come next."""

    def __init__(self, tasks: Sequence[Task], patterns: Sequence[Pattern]) -> None:
        self.tasks, self.horizon = tasks, hyperperiod(tasks)
        self.next = [0] * len(tasks)
        """The number of each task's next instance that is not yet placed."""
        self.released = [0] * len(tasks)
        """How many instances of each task have been released."""
        self.ready: list[tuple[int, int, int]] = []
        self.sharing = [
            [(other, patterns[number].keys() & patterns[other].keys()) for other in range(len(tasks))]
            for number in range(len(tasks))
        ]

    def release(self, number: int) -> int | None:
        """The slot of a task's next release; None after its last."""
        at = self.released[number] * self.tasks[number].period
        return at if at < self.horizon else None

    def push(self, number: int) -> None:
        instance = self.released[number]
        self.released[number] += 1
        heapq.heappush(self.ready, ((instance + 1) * self.tasks[number].period, number, instance))

    def refill(self) -> bool:
        """Release what comes next, where nothing is ready; whether there is anything left."""
        if not self.ready:
            coming = [(at, n) for n in range(len(self.tasks)) if (at := self.release(n)) is not None]
            for at, number in coming:
                if at == min(coming)[0]:
                    self.push(number)
        return bool(self.ready)

    def release_until(self, number: int, start: int, pattern: Pattern) -> None:
        """Release the tasks that share a qubit with a run that was placed, up to the slot in which it lets go of it."""
        for other, shared in self.sharing[number]:
            until = start + max((pattern[qubit][-1][1] for qubit in shared), default=-1 - start)
            while (at := self.release(other)) is not None and at <= until:
                self.push(other)
