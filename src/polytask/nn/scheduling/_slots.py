"""Occupied slots of qubits as the bits of integers: the earliest start without a conflict takes a few machine operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .periodic import Resource
from .placing import Span


@dataclass
class Slots:
    """Which slots of each qubit are taken: bit `t` stands for slot `t`."""

    taken: dict[Resource, int] = field(default_factory=dict)

    def earliest(self, pattern: Mapping[Resource, tuple[Span, ...]], first: int, last: int) -> int | None:
        """The earliest start in `first ... last` at which no span of `pattern` meets a taken slot; None where there is none."""
        if last < first:
            return None
        blocked = 0
        for qubit, spans in pattern.items():
            taken = self.taken.get(qubit, 0) >> first
            if taken:
                for begin, end in spans:
                    blocked |= _spread(taken >> begin, end - begin)
        free = ~blocked & ((1 << (last - first + 1)) - 1)
        return first + (free & -free).bit_length() - 1 if free else None

    def take(self, pattern: Mapping[Resource, tuple[Span, ...]], start: int) -> None:
        """Mark the spans of `pattern`, moved to `start`, as taken."""
        for qubit, spans in pattern.items():
            bits = 0
            for begin, end in spans:
                bits |= ((1 << (end - begin)) - 1) << (start + begin)
            self.taken[qubit] = self.taken.get(qubit, 0) | bits

    def copy(self) -> "Slots":
        """A copy that changes alone."""
        return Slots(dict(self.taken))


def _spread(taken: int, length: int) -> int:
    """The starts from which one of `length` slots is taken: the OR of `taken >> k` for all `k` below `length`."""
    spread, width = taken, 1
    while width < length:
        step = min(width, length - width)
        spread |= spread >> step
        width += step
    return spread
