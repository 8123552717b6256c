"""A protocol on qubits: ASAP, then ALAP, then swaps and distillations early. Qubits are locked while they hold a pair.

The paper, section on mapping protocols to tasks; authors' code, `schedule_dag_for_resources`. All times are slots.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from . import werner

Kind: TypeAlias = Literal["link", "swap", "distil"]
Qubit: TypeAlias = tuple[int, int]
"""A node's place on the path, and the number of its qubit: communication qubits come first, then storage."""
Span: TypeAlias = tuple[int, int]
"""Slots from the first up to, not including, the second."""


@dataclass(frozen=True)
class Pair:
    """An operation that yields a pair between two places of a path, and the pairs that it uses up.

    rate: of a link, the pairs a second of the setting in use; 0 otherwise.
    """

    kind: Kind
    ends: tuple[int, int]
    fidelity: float
    rate: float = 0.0
    parts: tuple["Pair", ...] = ()

    def moved(self, by: int) -> "Pair":
        """The same operations `by` places further on."""
        ends = (self.ends[0] + by, self.ends[1] + by)
        return Pair(self.kind, ends, self.fidelity, self.rate, tuple(part.moved(by) for part in self.parts))

    def operations(self) -> "list[Pair]":
        """Every operation, each behind those whose pairs it uses (of two parts, the one with more operations first)."""
        parts = [part.operations() for part in self.parts]
        parts.sort(key=len, reverse=True)
        return [operation for part in parts for operation in part] + [self]


@dataclass(frozen=True)
class Operation:
    """An operation in its slots."""

    kind: Kind
    start: int
    end: int
    places: tuple[int, ...]
    """The places whose qubits it works on."""


@dataclass(frozen=True)
class Placed:
    """A protocol in slots and on qubits, from slot 0 to `length`.

    spans: when each qubit is busy: generating, operated on, or holding a pair.
    waiting: slots that pairs spend in qubits with nothing done to them, summed over qubits.
    """

    length: int
    spans: Mapping[Qubit, tuple[Span, ...]]
    operations: tuple[Operation, ...]
    waiting: int

    @property
    def points(self) -> tuple[int, ...]:
        """The slots between operations, where nothing is under way and the protocol may be interrupted."""
        return tuple(t for t in range(1, self.length) if not any(o.start < t < o.end for o in self.operations))


@dataclass
class _Booking:
    """A qubit's use, from the start of operation `first` to the end of operation `last` (None: not known yet)."""

    qubit: Qubit
    first: int
    last: int | None


class _Mapper:
    """The greedy pass in order of operations, and the difference constraints that it leaves behind."""

    def __init__(self, pair: Pair, qubits: Sequence[tuple[int, int]], seconds: Callable[[float], float], slot: float) -> None:
        self.pairs = pair.operations()
        self.qubits, self.free = qubits, {(p, q): 0 for p, n in enumerate(qubits) for q in range(sum(n))}
        self.index = {id(operation): number for number, operation in enumerate(self.pairs)}
        self.slots = [_slots(seconds(o.rate) if o.kind == "link" else werner.SECONDS, slot) for o in self.pairs]
        self.parents = [[self.index[id(part)] for part in o.parts] for o in self.pairs]
        self.held: list[dict[int, _Booking]] = []
        self.bookings: list[_Booking] = []
        self.latest: dict[Qubit, _Booking] = {}
        self.before: list[set[int]] = []
        self.start: list[int] = []

    def asap(self) -> bool:
        """Place every operation as early as the order allows; whether there were qubits enough."""
        for number, operation in enumerate(self.pairs):
            if operation.kind != "link":
                self.before.append(set(self.parents[number]))
                self.start.append(max(self._end(parent) for parent in self.parents[number]))
                self.held.append(self._use(number))
                continue
            chosen = [self._choose(place) for place in operation.ends]
            if not all(chosen):
                return False
            qubits = [qubit for choice in chosen for qubit in choice]
            self.start.append(max(self.free[qubit] for qubit in qubits))
            lasts = (self.latest[qubit].last for qubit in qubits if qubit in self.latest)
            self.before.append({last for last in lasts if last is not None})
            self.held.append({end: self._lock(number, choice) for end, choice in zip(operation.ends, chosen, strict=True)})
        for booking in self.held[-1].values():
            self._release(booking, len(self.pairs) - 1)
        return True

    def _end(self, number: int) -> int:
        return self.start[number] + self.slots[number]

    def _choose(self, place: int) -> list[Qubit]:
        """The communication qubit that is free first, and the storage qubit: the pair moves there if any is not locked.

        Empty where all communication qubits are locked.
        """
        communication = self.qubits[place][0]
        first = min(((self.free[place, q], q) for q in range(communication)), default=(_LOCKED, 0))
        store = min(((self.free[place, q], q) for q in range(communication, sum(self.qubits[place]))), default=(_LOCKED, 0))
        if first[0] == _LOCKED:
            return []
        return [(place, first[1])] + ([(place, store[1])] if store[0] < _LOCKED else [])

    def _book(self, qubit: Qubit, number: int) -> _Booking:
        booking = self.latest[qubit] = _Booking(qubit, number, None)
        self.bookings.append(booking)
        self.free[qubit] = _LOCKED
        return booking

    def _release(self, booking: _Booking, number: int) -> None:
        booking.last = number
        self.free[booking.qubit] = self._end(number)

    def _lock(self, number: int, chosen: list[Qubit]) -> _Booking:
        """Book a link's qubits; the last one stays locked with the pair."""
        for qubit in chosen[:-1]:
            self._release(self._book(qubit, number), number)
        return self._book(chosen[-1], number)

    def _use(self, number: int) -> dict[int, _Booking]:
        """Release what a swap or a distillation uses up; what still holds a pair, by place."""
        operation, (one, other) = self.pairs[number], (self.held[parent] for parent in self.parents[number])
        if operation.kind == "distil":  # of two pairs the first is kept
            for booking in other.values():
                self._release(booking, number)
            return one
        middle = next(iter(one.keys() & other.keys()))
        for held in (one, other):
            self._release(held[middle], number)
        return {place: booking for held in (one, other) for place, booking in held.items() if place != middle}

    def alap(self) -> None:
        """Move every operation as late as the last one allows."""
        latest = [self.start[-1] + self.slots[-1]] * len(self.pairs)
        for number in reversed(range(len(self.pairs))):
            self.start[number] = latest[number] - self.slots[number]
            for earlier in self.before[number]:
                latest[earlier] = min(latest[earlier], self.start[number])

    def shift(self) -> None:
        """Move swaps and distillations as early as their pairs allow; slot 0 is where the first link starts."""
        for number, operation in enumerate(self.pairs):
            if operation.kind != "link":
                self.start[number] = max(self._end(parent) for parent in self.parents[number])
        first = min(self.start)
        self.start = [start - first for start in self.start]

    def placed(self) -> Placed:
        spans: dict[Qubit, list[Span]] = {}
        for booking in self.bookings:
            assert booking.last is not None
            spans.setdefault(booking.qubit, []).append((self.start[booking.first], self._end(booking.last)))
        # a pair waits in both of its qubits from the end of its operation to the start of the next
        waiting = 2 * sum(self.start[n] - self._end(parent) for n, parents in enumerate(self.parents) for parent in parents)
        operations = tuple(
            Operation(o.kind, self.start[n], self._end(n), self._places(n)) for n, o in enumerate(self.pairs)
        )  # fmt: skip
        return Placed(self._end(-1), {q: tuple(sorted(s)) for q, s in spans.items()}, operations, waiting)

    def _places(self, number: int) -> tuple[int, ...]:
        operation = self.pairs[number]
        if operation.kind != "swap":
            return operation.ends
        one, other = operation.parts
        return tuple(set(one.ends) & set(other.ends))


_LOCKED = 1 << 60


def place(
    pair: Pair,
    qubits: Sequence[tuple[int, int]],
    slot: float,
    seconds: Callable[[float], float] = werner.link_seconds,
    stages: int = 3,
) -> Placed | None:
    """The protocol on `qubits`, the numbers of communication and storage qubits at each place of the path.

    slot: seconds a slot. seconds: how long a link of a given rate is tried for.
    stages: 1 (ASAP), 2 (then ALAP) or 3 (then swaps and distillations early).
    None where a link finds no qubit that is not locked.

    A link occupies a communication qubit and, from its start, the storage qubit that its pair moves to; without a storage qubit
    the pair stays where it is. As in the authors' code, the storage qubit counts as busy during generation. Unlike there, the
    order of uses that ASAP finds is kept by the later passes, so that no pass can make the mapping invalid.
    """
    mapper = _Mapper(pair, qubits, seconds, slot)
    if not mapper.asap():
        return None
    if stages > 1:
        mapper.alap()
    if stages > 2:
        mapper.shift()
    return mapper.placed()


def _slots(seconds: float, slot: float) -> int:
    return max(1, math.ceil(seconds / slot - 1e-9))
