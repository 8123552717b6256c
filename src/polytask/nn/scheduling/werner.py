"""Werner states: what swapping and distilling do to a pair's fidelity, and what a link of a given length can deliver.

Skrzypczyk and Wehner, "An Architecture for Meeting Quality-of-Service Requirements in Multi-User Quantum Networks" (2021). A
pair's state is taken to be a Werner state of fidelity F between 1/4 and 1; operations are perfect and nothing decays while
it is stored, as in the authors' code.
"""

import math
from functools import cache

SECONDS = 0.01
"""How long a swap or a distillation lasts (authors' code)."""
FIDELITIES = tuple(0.8770831 - 0.0432693 * step for step in range(10))
"""What a link can be set to, best first (authors' NV simulation; the ten values fall by equal steps)."""
_PAIRS_KM = 39.2
_BASE_KM = 1.0


def swap(one: float, other: float) -> float:
    """The fidelity after swapping: `4/3 F1 F2 - (F1 + F2)/3 + 1/3`."""
    return (4 * one * other - one - other + 1) / 3


def unswap(target: float) -> float:
    """The fidelity that two equal pairs need for `target` after swapping them; the inverse of `swap(f, f)`."""
    return 0.25 + 0.75 * math.sqrt(max(4 * target - 1, 0) / 3)


def success(one: float, other: float) -> float:
    """The probability that distilling two pairs succeeds (BBPSSW, Bennett et al. 1996)."""
    b, c = (1 - one) / 3, (1 - other) / 3
    return one * other + one * c + other * b + 5 * b * c


def distil(one: float, other: float) -> float:
    """The fidelity of the kept pair where distillation succeeds (BBPSSW with a twirl back to a Werner state)."""
    return (one * other + (1 - one) * (1 - other) / 9) / success(one, other)


def pump(fidelity: float, times: int) -> float:
    """The fidelity after distilling a pair `times` times with fresh ones of its first fidelity."""
    current = fidelity
    for _ in range(times):
        current = distil(current, fidelity)
    return current


@cache
def before_pumping(target: float, times: int) -> float:
    """The lowest fidelity from which `times` pumpings reach `target` (above 1/2; bisection)."""
    low, high = 0.5, target
    for _ in range(40 if times else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if pump(middle, times) >= target else (middle, high)
    return high


def capabilities(km: float) -> tuple[tuple[float, float], ...]:
    """What a link of this length can be set to: (fidelity, pairs a second), best fidelity first.

    Setting `i` delivers `39.2 (i + 2) / (km + 1)` pairs a second: a formula fitted to the authors' simulated figures for 5 to
    50 km, which it meets within 10 % (4 % on average). Like theirs, it has waiting for news from the far end but no loss
    in the fibre, also beyond 50 km.
    """
    return tuple((fidelity, _PAIRS_KM * (step + 2) / (km + _BASE_KM)) for step, fidelity in enumerate(FIDELITIES))


def link_seconds(rate: float, certainty: float | None = None) -> float:
    """How long a link is tried for: its mean time, as in the paper, or as long as `certainty` of success asks.

    Attempts are many and each rarely succeeds, so `n` of them with probability `p` succeed with `1 - (1 - p)^n`, which is
    `1 - exp(-rate * seconds)`.
    """
    return (1.0 if certainty is None else -math.log1p(-certainty)) / rate


def link_success(rate: float, seconds: float) -> float:
    """The probability that a link tried for so long delivers a pair (see `link_seconds`): 0.632 at its mean time."""
    return -math.expm1(-rate * seconds)
