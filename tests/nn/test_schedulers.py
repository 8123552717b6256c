"""Schedules hold their deadlines and their qubits; the verifier finds what is wrong with one that does not."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytask.nn.scheduling import preemption, schedulers
from polytask.nn.scheduling._slots import Slots
from polytask.nn.scheduling.optimum import most_admitted
from polytask.nn.scheduling.periodic import Piece, Task, balanced, hyperperiod, moments, occupied, utilisation, verify
from polytask.systems.quantum_qos_schedule import SCHEDULERS

QUBITS = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0)]


def task(name: str, length: int, period: int, qubits: str = "a", points: tuple[int, ...] = (), budget: int = 0) -> Task:
    """A task that keeps its qubits from its start to its end."""
    return Task(name, length, period, {(q, 0): ((0, length),) for q in qubits}, points, budget)


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Any, ...]:
    """The fields of a task of random spans on some of five qubits."""
    length, period = draw(st.integers(1, 8)), draw(st.sampled_from([8, 16, 32]))
    spans = {}
    for qubit in draw(st.lists(st.sampled_from(QUBITS), min_size=1, max_size=3, unique=True)):
        edges = sorted(draw(st.sets(st.integers(0, length), min_size=2, max_size=4)))
        spans[qubit] = tuple(zip(edges[0::2], edges[1::2], strict=False))
    points = tuple(sorted(draw(st.sets(st.integers(1, length - 1), max_size=3)))) if length > 1 else ()
    return f"task {draw(st.integers(0, 99))}", length, period, spans, points, draw(st.integers(0, 6))


def numbered(kept: list[int], schedule: list[Piece]) -> list[Piece]:
    return [replace(piece, task=kept.index(piece.task)) for piece in schedule]


@settings(max_examples=80, deadline=None)
@given(st.lists(tasks(), min_size=1, max_size=7), st.sampled_from(sorted(SCHEDULERS)))
def test_every_schedule_passes_the_verifier(drawn: list[Any], name: str) -> None:
    given_ = [Task(*fields) for fields in drawn]
    kept, schedule = schedulers.admit(given_, SCHEDULERS[name])
    assert 0 in kept, "a task alone can always run"
    chosen = [given_[n] for n in kept]
    assert verify(chosen, numbered(kept, schedule)) == []
    if name != "segments":
        assert name == "edf_lbf" or len(schedule) == sum(hyperperiod(chosen) // t.period for t in chosen)
    if name == "one":
        assert all(before.end <= after.start for before, after in pairwise(schedule))
    if name in ("block", "cedf"):
        whole = [replace(t, spans=dict.fromkeys(t.spans, ((0, t.length),))) for t in chosen]
        assert verify(whole, numbered(kept, schedule)) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(tasks(), min_size=1, max_size=5))
def test_no_budget_means_no_interruption(drawn: list[Any]) -> None:
    plain = [replace(Task(*fields), budget=0) for fields in drawn]
    assert schedulers.admit(plain, preemption.segments) == schedulers.admit(plain, schedulers.nonblock)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(tasks(), st.integers(0, 30)), max_size=6), tasks(), st.integers(0, 10), st.integers(0, 30))
def test_the_earliest_start_is_that_of_a_naive_search(before: list[Any], drawn: Any, first: int, width: int) -> None:
    new, slots, taken = Task(*drawn), Slots(), set[tuple[object, int]]()
    for fields, start in before:
        old = Task(*fields)
        slots.take(old.spans, start)
        taken |= {(q, t + start) for q, spans in old.spans.items() for b, e in spans for t in range(b, e)}
    wanted = [(q, t) for q, spans in new.spans.items() for b, e in spans for t in range(b, e)]
    naive = (s for s in range(first, first + width + 1) if not any((q, t + s) in taken for q, t in wanted))
    assert slots.earliest(new.spans, first, first + width) == next(naive, None)


def small(seed: int) -> list[Task]:
    """Four tasks that together are too much, or nearly."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(4):
        length, period = int(generator.integers(3, 8)), int(generator.choice([8, 16, 16]))
        qubits = generator.choice(len(QUBITS), 3, replace=False)
        spans = {
            QUBITS[q]: ((int(b), int(generator.integers(b + 1, length + 1))),)
            for q in qubits
            for b in [generator.integers(length)]
        }
        found.append(Task(str(number), length, period, spans))
    return found


def test_np_edf_is_near_the_optimum_and_never_above() -> None:
    pytest.importorskip("ortools")
    ours, best = [], []
    for seed in range(20):
        ours.append(len(schedulers.admit(small(seed), schedulers.nonblock)[0]))
        best.append(most_admitted(small(seed)))
    assert all(o <= b for o, b in zip(ours, best, strict=True))
    assert sum(best) < 4 * len(best), "some sets are too much for any schedule"
    assert sum(ours) >= 0.8 * sum(best)


def test_the_optimum_of_blocks_bounds_blocks() -> None:
    pytest.importorskip("ortools")
    for seed in range(5):
        whole = [replace(t, spans=dict.fromkeys(t.spans, ((0, t.length),))) for t in small(seed)]
        assert len(schedulers.admit(whole, schedulers.cedf)[0]) <= most_admitted(whole)


def test_np_edf_takes_the_earliest_deadline_first() -> None:
    found = schedulers.one_resource([task("slow", 3, 16), task("fast", 2, 8)])
    assert found == [Piece(0, 1, 0, 0, 2), Piece(2, 0, 0, 0, 3), Piece(8, 1, 1, 0, 2)]


def test_disjoint_tasks_overlap_unless_the_network_is_one_resource() -> None:
    pair = [task("ab", 5, 8, "ab"), task("cd", 5, 8, "cd")]
    assert schedulers.one_resource(pair) is None
    assert [piece.start for piece in schedulers.block(pair) or []] == [0, 0]


def test_nonblock_frees_what_is_done() -> None:
    early = Task("early", 6, 8, {("a", 0): ((0, 2),), ("b", 0): ((0, 6),)})
    late = Task("late", 6, 8, {("a", 0): ((4, 6),), ("c", 0): ((0, 6),)})
    assert schedulers.block([early, late]) is None
    assert [piece.start for piece in schedulers.nonblock([early, late]) or []] == [0, 0]


def test_critical_edf_waits_for_a_task_that_would_miss() -> None:
    # at slot 7, EDF runs the long task and makes the third run of the short one (slots 8 to 12) miss
    critical = [task("short", 2, 4), task("middle", 3, 16), task("long", 4, 16)]
    assert schedulers.block(critical) is None
    found = schedulers.cedf(critical)
    assert found is not None
    assert verify(critical, found) == []
    assert Piece(8, 0, 2, 0, 2) in found
    assert Piece(10, 2, 0, 0, 4) in found


# the short task runs in every 4 slots, the long one takes 8, of which it may pause 4 in the middle
SHORT = task("short", 1, 4)
LONG = Task("long", 8, 16, {("a", 0): ((0, 4), (4, 8)), ("b", 0): ((0, 8),)}, points=(4,), budget=4)
# the first task needs qubit a in slots 3 to 5, the other one in 6 of 8 slots
LATE = Task("late", 5, 8, {("a", 0): ((3, 5),), ("c", 0): ((0, 5),)})
SPLIT = Task("split", 6, 8, {("a", 0): ((0, 3), (3, 6)), ("b", 0): ((0, 6),)}, points=(3,), budget=2)


@pytest.mark.parametrize(("name", "both"), [("edf_lbf", [SHORT, LONG]), ("segments", [LATE, SPLIT])])
def test_a_budget_lets_a_task_be_interrupted(name: str, both: list[Task]) -> None:
    assert SCHEDULERS[name]([both[0], replace(both[1], budget=0)]) is None
    found = SCHEDULERS[name](both)
    assert found is not None
    assert verify(both, found) == []
    assert len([piece for piece in found if piece.task == 1]) == 2


@pytest.mark.parametrize(("name", "both"), [("edf_lbf", [SHORT, LONG]), ("segments", [LATE, SPLIT])])
def test_a_locked_qubit_is_not_taken_in_a_pause(name: str, both: list[Task]) -> None:
    holding = replace(both[1], spans=dict.fromkeys(both[1].spans, ((0, both[1].length),)))
    assert SCHEDULERS[name]([both[0], holding]) is None


def test_a_pause_keeps_others_off_locked_qubits() -> None:
    # the split task holds qubit b throughout, also while it pauses in slots 3 to 5
    assert preemption.segments([LATE, SPLIT, task("in the pause", 2, 8, "d")]) is not None
    assert preemption.segments([LATE, SPLIT, task("in the pause", 2, 8, "b")]) is None


def test_pauses_add_up() -> None:
    twice = Task("twice", 8, 10, {("a", 0): ((2, 4), (6, 8)), ("c", 0): ((0, 8),)})
    split = Task("split", 6, 10, {("a", 0): ((0, 2), (2, 4), (4, 6)), ("b", 0): ((0, 6),)}, points=(2, 4), budget=4)
    assert preemption.segments([twice, split]) is not None
    assert preemption.segments([twice, replace(split, budget=3)]) is None


def test_an_interrupted_run_waits_for_what_it_shares_with_a_later_one() -> None:
    # the second short run starts in slot 17 and holds qubit a across its own point, when the long run's budget is the least
    short = Task("short", 4, 16, {("a", 0): ((0, 4),)}, points=(2,), budget=20)
    long = Task("long", 20, 32, {("b", 0): ((0, 20),), ("a", 0): ((13, 20),)}, points=(13,), budget=20)
    found = preemption.edf_lbf([short, long])
    assert found is not None
    assert verify([short, long], found) == []
    assert Piece(17, 0, 1, 0, 4) in found


def test_a_set_that_misses_is_refused_not_retried() -> None:
    for name, scheduler in SCHEDULERS.items():
        assert scheduler([task("one", 5, 8), task("other", 5, 8)]) is None, name


def test_admission_keeps_what_fits_in_order() -> None:
    kept, schedule = schedulers.admit([task("one", 5, 8), task("other", 5, 8), task("little", 2, 8)], schedulers.nonblock)
    assert kept == [0, 2]
    assert {piece.task for piece in schedule} == {0, 2}


def test_admission_refuses_absurd_hyperperiods_and_overload() -> None:
    primes = [task(str(period), 1, period, "abcdef"[n]) for n, period in enumerate((89, 97, 101))]
    assert schedulers.admit(primes, schedulers.nonblock)[0] == [0, 1]
    assert schedulers.admit([task("one", 5, 8), task("other", 4, 8)], lambda _: [])[0] == [0], "not even tried"


VALID_TASKS = [task("ab", 3, 8, "ab", points=(1,), budget=2), task("bc", 2, 16, "bc")]
VALID = [Piece(0, 0, 0, 0, 3), Piece(3, 1, 0, 0, 2), Piece(8, 0, 1, 0, 3)]


def test_the_verifier_passes_a_valid_schedule() -> None:
    assert verify(VALID_TASKS, VALID) == []


@pytest.mark.parametrize(
    ("pieces", "fault"),
    [
        ([VALID[0], replace(VALID[1], start=2), VALID[2]], "qubit 0 of b: is used twice in 1 slots, first in slot 2"),
        ([VALID[0], VALID[1], replace(VALID[2], start=14)], "ab, instance 1: misses its deadline in slot 16"),
        ([VALID[0], VALID[1], replace(VALID[2], start=7)], "ab, instance 1: starts before its release in slot 8"),
        (VALID[:2], "ab, instance 1: is missing"),
        ([*VALID, VALID[2]], "ab, instance 1: does not run once"),
        ([*VALID, Piece(12, 0, 2, 0, 3)], "task 0, instance 2: there is no such instance"),
        ([*VALID[:2], replace(VALID[2], last=2)], "ab, instance 1: does not run once"),
        ([*VALID[:2], Piece(8, 0, 1, 0, 2), Piece(11, 0, 1, 2, 3)], "is interrupted during an operation"),
        ([*VALID[:2], Piece(8, 0, 1, 0, 1), Piece(12, 0, 1, 1, 3)], "is interrupted for more than 2 slots"),
        ([*VALID[:2], Piece(8, 0, 1, 0, 1), Piece(8, 0, 1, 1, 3)], "runs on while it is interrupted"),
        # within its budget, but qubit b is locked in the pause in which the other task runs
        ([Piece(0, 0, 0, 0, 1), Piece(3, 0, 0, 1, 3), replace(VALID[1], start=1), VALID[2]], "qubit 0 of b: is used twice"),
    ],
)
def test_the_verifier_finds_each_violation(pieces: list[Piece], fault: str) -> None:
    found = verify(VALID_TASKS, pieces)
    assert any(fault in problem for problem in found), found


def test_pauses_stretch_what_is_held() -> None:
    held = Task("t", 4, 16, {("a", 0): ((0, 4),), ("a", 1): ((0, 2),), ("a", 2): ((2, 4),)}, points=(2,), budget=9)
    assert held.held(2) == {("a", 0)}
    pieces = [Piece(1, 0, 0, 0, 2), Piece(6, 0, 0, 2, 4)]
    assert occupied(held, pieces) == [(("a", 0), 1, 8), (("a", 1), 1, 3), (("a", 2), 6, 8)]


def test_jitter_is_the_variance_of_start_differences_minus_the_period() -> None:
    two = [task("t", 1, 8), task("other", 1, 32)]
    starts = [0, 10, 16, 25]
    schedule = [Piece(start, 0, n, 0, 1) for n, start in enumerate(starts)]
    # differences 10, 6, 9, 7 (to slot 32, the next start): deviations 2, -2, 1, -1
    assert moments(two[0], 0, schedule) == (3, pytest.approx(2.5))
    regular = [Piece(8 * n + 3, 0, n, 0, 1) for n in range(4)]
    assert moments(two[0], 0, regular) == (4, 0.0)


def test_balancing_spreads_tasks_over_equal_qubits() -> None:
    first = Task("t", 4, 8, {("a", 0): ((0, 4),), ("a", 1): ((1, 4),)})
    spread = balanced([first, first], {"a": (2, 3)})
    assert utilisation(spread) == {("a", 0): 0.875, ("a", 1): 0.875}
    storage = Task("s", 4, 8, {("a", 2): ((0, 4),)})
    assert {q for t in balanced([storage] * 3, {"a": (2, 3)}) for _, q in t.spans} == {2, 3, 4}
    assert [sorted(t.spans.values()) for t in spread] == [sorted(first.spans.values())] * 2
