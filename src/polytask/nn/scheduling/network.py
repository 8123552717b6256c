"""From demands to periodic tasks: the controller of the paper, on a graph of nodes with qubits and links with lengths."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import networkx as nx

from .periodic import Piece, Task, balanced, named, period_slots, verify
from .placing import Placed
from .protocol import Physics, Protocol, search
from .schedulers import Scheduler, admit


@dataclass(frozen=True)
class Plan:
    """What a demand becomes: a path, a protocol on it, and a task; or the reason why there is none."""

    reason: str = ""
    path: tuple[str, ...] = ()
    protocol: Protocol | None = None
    task: Task | None = None


@dataclass(frozen=True)
class Network:
    """A graph (edges have `km`; nodes may state `communication` and `storage`), and the qubits of nodes that state none.

    budget: slots for which a run may be interrupted. powers: whether periods are powers of two (see `period_slots`).
    longest: the longest period allowed, in slots (512: the slowest of the rates in the authors' simulations).
    """

    graph: Any
    communication: int = 1
    storage: int = 3
    physics: Physics = field(default_factory=Physics)
    budget: int = 100
    powers: bool = True
    longest: int = 512

    def qubits(self, node: str) -> tuple[int, int]:
        """The communication and storage qubits of a node."""
        stated = self.graph.nodes[node]
        return stated.get("communication", self.communication), stated.get("storage", self.storage)

    def protocol(self, src: str, dst: str, fidelity: float) -> tuple[tuple[str, ...], Protocol | None]:
        """The shortest path, and the fastest protocol found on it that reaches `fidelity` within the longest period.

        () where there is no path, None where there is no such protocol.
        """
        try:
            path = tuple(nx.shortest_path(self.graph, src, dst, weight="km"))
        except nx.NetworkXNoPath:
            return (), None
        lengths, slowest = [self.graph.edges[edge]["km"] for edge in pairwise(path)], 1 / (self.longest * self.physics.slot)
        return path, search(lengths, [self.qubits(node) for node in path], fidelity, slowest, self.physics)

    def fastest(self, src: str, dst: str, fidelity: float) -> float:
        """The rate that the protocol between two nodes reaches alone, 0 where there is none."""
        protocol = self.protocol(src, dst, fidelity)[1]
        return protocol.rate if protocol else 0.0

    def plan(self, src: str, dst: str, fidelity: float, rate: float) -> Plan:
        """The task of a demand of `rate` pairs a second of at least `fidelity`."""
        for node in (src, dst):
            if node not in self.graph:
                return Plan(f"no node '{node}' in the topology")
            if not self.graph.nodes[node].get("end", True):
                return Plan(f"node '{node}' is a repeater")
        if src == dst:
            return Plan("source and destination are the same")
        if not 0.25 < fidelity < 1 or not rate > 0:
            return Plan(f"fidelity must be between 0.25 and 1, rate above 0; got {fidelity:g} and {rate:g}")
        period = period_slots(rate, self.physics.slot, self.powers)
        if period > self.longest:
            return Plan(f"a period of {period} slots is longer than {self.longest}")
        path, protocol = self.protocol(src, dst, fidelity)
        if protocol is None:
            return Plan(f"no protocol reaches the fidelity within {self.longest} slots" if path else "no path", path)
        if protocol.placed.length > period:
            return Plan(f"the fastest protocol reaches {protocol.rate:.3g} pairs a second", path, protocol)
        return Plan("", path, protocol, self.task(f"{src} - {dst}", path, protocol.placed, period))

    def task(self, name: str, path: Sequence[str], placed: Placed, period: int) -> Task:
        """A placed protocol, run once in every `period` slots."""
        return Task(name, placed.length, period, named(placed, path), placed.points, self.budget)

    def balanced(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks, spread over equal qubits (see `periodic.balanced`)."""
        return balanced(tasks, {node: self.qubits(node) for node in self.graph})


def unlocked(task: Task, plan: Plan) -> Task:
    """The task with qubits busy only while an operation works at their node: what forgetting locked storage would give.

    Its schedules are not valid; it is there to be compared with.
    """
    assert plan.protocol is not None
    spans = {}
    for (node, qubit), kept in task.spans.items():
        place = plan.path.index(str(node))
        working = sorted((o.start, o.end) for o in plan.protocol.placed.operations if place in o.places)
        spans[node, qubit] = tuple((max(a, c), min(b, d)) for a, b in kept for c, d in working if a < d and c < b)
    return replace(task, spans=spans)


@dataclass(frozen=True)
class Outcome:
    """What a controller answers: a plan a demand (with a reason where it is refused), who is in, and their schedule.

    Tasks in the pieces of the schedule are numbers of plans.
    """

    plans: tuple[Plan, ...]
    accepted: tuple[int, ...]
    schedule: tuple[Piece, ...]

    def task(self, number: int) -> Task:
        """The task of an accepted demand."""
        task = self.plans[number].task
        assert task is not None
        return task


def control(network: Network, plans: Sequence[Plan], scheduler: Scheduler) -> Outcome:
    """Admit demands one at a time, in their order. Every schedule that is handed out has passed the verifier."""
    planned = [number for number, plan in enumerate(plans) if plan.task]
    tasks = network.balanced([task for plan in plans if (task := plan.task)])
    kept, schedule = admit(tasks, scheduler)
    problems = verify([tasks[n] for n in kept], [replace(piece, task=kept.index(piece.task)) for piece in schedule])
    if problems:
        raise AssertionError(f"the schedule is not valid: {problems[0]}")
    answered = list(plans)
    for number, task in enumerate(tasks):
        reason = "" if number in kept else "does not fit beside the demands before it"
        answered[planned[number]] = replace(plans[planned[number]], task=task, reason=reason)
    pieces = tuple(replace(piece, task=planned[piece.task]) for piece in schedule)
    return Outcome(tuple(answered), tuple(planned[n] for n in kept), pieces)
