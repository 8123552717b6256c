"""The search for a repeater protocol that reaches a fidelity and a rate over a chain of links.

The paper's entanglement swap scheme search (authors' code, `protocolgen.create_protocol`): pick a pivot, search both halves for
what they must deliver, swap there, pump the outcome 0, 1, ... times, and move the pivot towards the slower half. Differences:
the rate of every candidate is that of its mapping to qubits, so halves are asked for the demand's rate alone, and the number of
pumpings a level is bounded by `PUMPINGS` (a link: 8, or three levels of nested distillation).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from . import werner
from .placing import Pair, Placed, place

PUMPINGS = 2
"""Distillations of a swapped pair at one level, at most."""
_LINK_PUMPINGS = 8
_LEVELS = 3
_NEAR = 1e-9

Qubits = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Physics:
    """Seconds a slot, and how long links are tried for (None: their mean time; else with this probability of success)."""

    slot: float = 0.01
    certainty: float | None = None

    def seconds(self, rate: float) -> float:
        """How long a link of this rate is tried for."""
        return werner.link_seconds(rate, self.certainty)


@dataclass(frozen=True)
class Protocol:
    """A protocol in slots and on the qubits of its path."""

    pair: Pair
    placed: Placed
    physics: Physics

    @property
    def fidelity(self) -> float:
        return self.pair.fidelity

    @property
    def rate(self) -> float:
        """Runs a second, one straight after the other."""
        return 1 / (self.placed.length * self.physics.slot)

    @property
    def success(self) -> float:
        """The probability that every link and every distillation of a run succeeds; swaps always do.

        The paper's schedules reserve the mean time of each link and take each distillation to succeed.
        """
        slot, chance = self.physics.slot, 1.0
        for operation, timed in zip(self.pair.operations(), self.placed.operations, strict=True):
            if operation.kind == "link":
                chance *= werner.link_success(operation.rate, (timed.end - timed.start) * slot)
            elif operation.kind == "distil":
                chance *= werner.success(*(part.fidelity for part in operation.parts))
        return chance


def search(
    lengths: Sequence[float],
    qubits: Sequence[tuple[int, int]],
    fidelity: float,
    rate: float = 0.0,
    physics: Physics | None = None,
) -> Protocol | None:
    """The fastest protocol found that delivers `fidelity` at `rate` pairs a second; None where none is found.

    lengths: kilometres of the links of the path. qubits: communication and storage qubits of its nodes, one pair more.
    """
    if not lengths or len(qubits) != len(lengths) + 1:
        raise ValueError(f"{len(lengths)} links need {len(lengths) + 1} nodes; got {len(qubits)}")
    return _search(tuple(lengths), tuple(qubits), fidelity, rate, physics or Physics())


@lru_cache(maxsize=50_000)
def _search(lengths: tuple[float, ...], qubits: Qubits, fidelity: float, rate: float, physics: Physics) -> Protocol | None:
    if fidelity > _ceiling():
        return None
    if len(lengths) == 1:
        return _link(lengths[0], qubits, fidelity, rate, physics)
    lower, upper, found = 1, len(lengths), list[Protocol]()
    while lower < upper:
        pivot = (lower + upper + 1) // 2 - 1
        protocol, left, right = _split(lengths, qubits, fidelity, rate, physics, pivot)
        found += [protocol] if protocol else []
        if left == right:
            break
        lower, upper = (lower, upper - 1) if left < right else (lower + 1, upper)
    return _best(found, fidelity, rate)


def _split(
    lengths: tuple[float, ...], qubits: Qubits, fidelity: float, rate: float, physics: Physics, pivot: int
) -> tuple[Protocol | None, float, float]:
    """The fastest protocol found that swaps at place `pivot`, and the rates of its halves."""
    best, rates, bound = None, (0.0, 0.0), rate
    for times in range(PUMPINGS + 1):
        # The pivot holds one half's pair while the other is made; ends hold one more where pairs are distilled.
        fewer = [(c, max(s - (n == pivot) - (times > 0 and n in (0, len(lengths))), 0)) for n, (c, s) in enumerate(qubits)]
        needed = werner.unswap(werner.before_pumping(fidelity, times))
        left = _search(lengths[:pivot], tuple(fewer[: pivot + 1]), needed, rate, physics)
        right = _search(lengths[pivot:], tuple(fewer[pivot:]), needed, rate, physics) if left else None
        if left is None or right is None:
            continue
        halves = (left.pair, right.pair.moved(pivot))
        pair = _swapped(*halves)
        for _ in range(times):
            pair = _distilled(pair, _swapped(*halves))
        protocol = _on(pair, qubits, physics, bound)
        if protocol and (best is None or (protocol.rate, protocol.fidelity) > (best.rate, best.fidelity)):
            best, rates, bound = protocol, (left.rate, right.rate), max(rate, protocol.rate)
    return best, *rates


def _link(km: float, qubits: Qubits, fidelity: float, rate: float, physics: Physics) -> Protocol | None:
    """The fastest setting that is good enough; else the fastest of pumping and nested distillation."""
    settings = werner.capabilities(km)
    direct = [_generated(f, r) for f, r in settings if f >= fidelity - _NEAR]
    if direct:
        protocol = _on(direct[-1], qubits, physics, rate)
        return _best([protocol] if protocol else [], fidelity, rate)
    best, bound, communication = None, rate, max(min(qubits[0][0], qubits[1][0]), 1)
    for links, step, build in _recipes(fidelity):
        if physics.seconds(settings[step][1]) * links * bound > communication * (1 + _NEAR):
            break  # slower than what is found, as are all that follow
        protocol = _on(build(*settings[step], links), qubits, physics, bound)
        if protocol and protocol.rate >= bound and (best is None or protocol.rate > best.rate):
            best, bound = protocol, protocol.rate
    return best


@cache
def _recipes(target: float) -> tuple[tuple[int, int, Callable[[float, float, int], Pair]], ...]:
    """Ways to distil links to `target`: their number, their setting, and what builds the pair; the least generation first."""
    found: list[tuple[int, int, Callable[[float, float, int], Pair]]] = []
    for step, fidelity in enumerate(werner.FIDELITIES):
        if fidelity <= 0.5:
            continue
        pumped = next((n for n in range(1, _LINK_PUMPINGS + 1) if werner.pump(fidelity, n) >= target), None)
        nested, depth = fidelity, 0
        while nested < target and depth < _LEVELS:
            nested, depth = werner.distil(nested, nested), depth + 1
        found += [(pumped + 1, step, _pumped)] if pumped else []
        found += [(2**depth, step, _nested)] if nested >= target else []
    return tuple(sorted(found, key=lambda recipe: recipe[0] / werner.capabilities(1.0)[recipe[1]][1]))


def _generated(fidelity: float, rate: float) -> Pair:
    return Pair("link", (0, 1), fidelity, rate)


def _pumped(fidelity: float, rate: float, links: int) -> Pair:
    """One pair distilled again and again with fresh ones (entanglement pumping)."""
    pair = _generated(fidelity, rate)
    for _ in range(links - 1):
        pair = _distilled(pair, _generated(fidelity, rate))
    return pair


def _nested(fidelity: float, rate: float, links: int) -> Pair:
    """Pairs of equal fidelity distilled in a binary tree."""
    if links == 1:
        return _generated(fidelity, rate)
    return _distilled(_nested(fidelity, rate, links // 2), _nested(fidelity, rate, links // 2))


def _swapped(one: Pair, other: Pair) -> Pair:
    return Pair("swap", (one.ends[0], other.ends[1]), werner.swap(one.fidelity, other.fidelity), 0.0, (_new(one), _new(other)))


def _distilled(one: Pair, other: Pair) -> Pair:
    return Pair("distil", one.ends, werner.distil(one.fidelity, other.fidelity), 0.0, (one, other))


def _new(pair: Pair) -> Pair:
    """A copy: every operation of a protocol is an object of its own."""
    return pair.moved(0)


def _on(pair: Pair, qubits: Qubits, physics: Physics, rate: float) -> Protocol | None:
    """The pair on qubits; None where they are too few, or where generating its links alone takes longer than `rate` allows."""
    if rate:
        busy = [0.0] * len(qubits)
        for operation in pair.operations():
            if operation.kind == "link":
                for end in operation.ends:
                    busy[end] += physics.seconds(operation.rate) / max(qubits[end][0], 1)
        if max(busy) * rate > 1 + _NEAR:
            return None
    placed = place(pair, qubits, physics.slot, physics.seconds)
    return Protocol(pair, placed, physics) if placed else None


def _best(found: Sequence[Protocol], fidelity: float, rate: float) -> Protocol | None:
    good = [p for p in found if p.fidelity >= fidelity - _NEAR and p.rate >= rate * (1 - _NEAR)]
    key: Callable[[Protocol], tuple[float, float]] = lambda p: (p.rate, p.fidelity)  # noqa: E731
    return max(good, key=key, default=None)


@cache
def _ceiling() -> float:
    """The fidelity that no protocol on a link passes: that of the most distillations of its best setting."""
    best = werner.FIDELITIES[0]
    nested = best
    for _ in range(_LEVELS):
        nested = werner.distil(nested, nested)
    return max(nested, werner.pump(best, _LINK_PUMPINGS))
