"""Fidelities of Werner pairs against density matrices."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytask.nn.scheduling import werner

FIDELITY = st.floats(0.26, 0.999)
BELL = np.array([1, 0, 0, 1]) / math.sqrt(2)
ONE, X, Z = np.eye(2), np.array([[0, 1], [1, 0]]), np.diag([1, -1])
NOT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])


def state(fidelity: float) -> np.ndarray:
    """The Werner state: the Bell state with this weight, its three siblings with a third of the rest each."""
    pure = np.outer(BELL, BELL)
    return fidelity * pure + (1 - fidelity) / 3 * (np.eye(4) - pure)


def on(matrix: np.ndarray, qubits: tuple[int, ...], total: int) -> np.ndarray:
    """A gate on some of `total` qubits as a matrix on all of them."""
    gate = matrix.reshape((2,) * (2 * len(qubits)))
    full = np.eye(2**total).reshape((2,) * (2 * total))
    full = np.tensordot(gate, full, axes=(range(len(qubits), 2 * len(qubits)), qubits))
    return np.moveaxis(full, range(len(qubits)), qubits).reshape(2**total, 2**total)


def fidelity_of(rho: np.ndarray) -> float:
    return float(BELL @ rho @ BELL)


def reduced(rho: np.ndarray, first: int, second: int, total: int) -> np.ndarray:
    """The state of two of `total` qubits."""
    tensor = rho.reshape((2,) * (2 * total))
    for qubit in sorted(set(range(total)) - {first, second}, reverse=True):
        tensor = np.trace(tensor, axis1=qubit, axis2=qubit + tensor.ndim // 2)
    return tensor.reshape(4, 4)


@given(FIDELITY, FIDELITY)
def test_swap_is_a_bell_measurement_with_correction(one: float, other: float) -> None:
    # qubits 0-1 and 2-3 are pairs; 1 and 2 are measured in the Bell basis, 3 is corrected
    rho, after = np.kron(state(one), state(other)), np.zeros((16, 16))
    for correction in (ONE, X, Z, X @ Z):
        outcome = np.kron(ONE, correction) @ BELL
        step = on(correction.T, (3,), 4) @ on(np.outer(outcome, outcome), (1, 2), 4)
        after = after + step @ rho @ step.T
    assert np.trace(after) == pytest.approx(1)
    assert fidelity_of(reduced(after, 0, 3, 4)) == pytest.approx(werner.swap(one, other), abs=1e-9)


@given(FIDELITY, FIDELITY)
def test_distillation_is_two_nots_and_equal_outcomes(one: float, other: float) -> None:
    # pairs 0-1 (kept) and 2-3 (measured): both ends apply a controlled not, and keep where their outcomes agree
    rho = np.kron(state(one), state(other))
    gates = on(NOT, (1, 3), 4) @ on(NOT, (0, 2), 4)
    rho = gates @ rho @ gates.T
    agree = reduce(np.add, (on(np.diag(row), (2, 3), 4) for row in ([1, 0, 0, 0], [0, 0, 0, 1])))
    kept = agree @ rho @ agree
    chance = float(np.trace(kept))
    assert chance == pytest.approx(werner.success(one, other), abs=1e-9)
    assert fidelity_of(reduced(kept, 0, 1, 4)) / chance == pytest.approx(werner.distil(one, other), abs=1e-9)


def test_the_kept_pair_is_no_werner_state_so_it_is_twirled() -> None:
    rho = np.kron(state(0.8), state(0.8))
    gates = on(NOT, (1, 3), 4) @ on(NOT, (0, 2), 4)
    kept = reduced(gates @ rho @ gates.T, 0, 1, 4)
    assert not np.allclose(kept, state(fidelity_of(kept)), atol=1e-3)


@given(st.floats(0.25, 1.0))
def test_unswap_undoes_swap(fidelity: float) -> None:
    assert werner.swap(werner.unswap(fidelity), werner.unswap(fidelity)) == pytest.approx(fidelity)


@given(FIDELITY, FIDELITY)
def test_swapping_loses_and_distilling_gains_above_one_half(one: float, other: float) -> None:
    assert werner.swap(one, other) <= max(one, other) + 1e-12
    if one > 0.5:
        assert werner.distil(one, one) >= one


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_before_pumping_is_the_lowest_fidelity_that_reaches_the_target(times: int) -> None:
    needed = werner.before_pumping(0.8, times)
    assert werner.pump(needed, times) >= 0.8 - 1e-9
    assert werner.pump(needed - 1e-6, times) < 0.8


# the authors' simulated rates of the best and of the worst setting
@pytest.mark.parametrize(("km", "best", "worst"), [(5.0, 14.158, 75.653), (10.0, 7.787, 37.789), (50.0, 1.662, 8.625)])
def test_link_rates_are_near_the_simulated_ones(km: float, best: float, worst: float) -> None:
    settings = werner.capabilities(km)
    assert len(settings) == 10
    assert settings[0] == (pytest.approx(0.877, abs=1e-3), pytest.approx(best, rel=0.1))
    assert settings[-1] == (pytest.approx(0.488, abs=1e-3), pytest.approx(worst, rel=0.1))


def test_link_success_is_that_of_many_rare_attempts() -> None:
    rate, attempts_a_second = 20.0, 10_000
    seconds = werner.link_seconds(rate, 0.9)
    chance = 1 - (1 - rate / attempts_a_second) ** (attempts_a_second * seconds)
    assert chance == pytest.approx(0.9, abs=1e-3)
    assert werner.link_success(rate, seconds) == pytest.approx(0.9)
    assert werner.link_success(rate, werner.link_seconds(rate)) == pytest.approx(1 - math.exp(-1))
