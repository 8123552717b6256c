"""Protocols deliver what they promise, and their qubits are really there."""

from collections import Counter
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytask.nn.scheduling import werner
from polytask.nn.scheduling.network import Network, control, unlocked
from polytask.nn.scheduling.periodic import period_slots
from polytask.nn.scheduling.placing import Pair, Placed, place
from polytask.nn.scheduling.protocol import Physics, Protocol, search
from polytask.nn.scheduling.schedulers import nonblock

SLOT = 0.01


def link(end: int, fidelity: float = 0.8, rate: float = 25.0) -> Pair:
    return Pair("link", (end, end + 1), fidelity, rate)


def swapped(one: Pair, other: Pair) -> Pair:
    return Pair("swap", (one.ends[0], other.ends[1]), werner.swap(one.fidelity, other.fidelity), 0.0, (one, other))


def distilled(one: Pair, other: Pair) -> Pair:
    return Pair("distil", one.ends, werner.distil(one.fidelity, other.fidelity), 0.0, (one, other))


@st.composite
def trees(draw: st.DrawFn, first: int = 0, last: int = 3, depth: int = 2) -> Pair:
    """A random protocol between two places: swaps where they are not neighbours, some pumping."""
    if last - first == 1:
        pair = link(first, 0.8, draw(st.sampled_from([20.0, 50.0, 100.0])))
    else:
        pivot = draw(st.integers(first + 1, last - 1))
        pair = swapped(draw(trees(first, pivot, depth)), draw(trees(pivot, last, depth)))
    for _ in range(draw(st.integers(0, 1 if depth else 0))):
        pair = distilled(pair, draw(trees(first, last, depth - 1)))
    return pair


def check(pair: Pair, placed: Placed, qubits: list[tuple[int, int]]) -> None:
    """Every pair is in a qubit at both ends from its link to its use; nothing is in two places at once."""
    operations, timed = pair.operations(), placed.operations
    number = {id(operation): n for n, operation in enumerate(operations)}
    assert min(t.start for t in timed) == 0
    assert timed[-1].end == placed.length == max(t.end for t in timed)
    for (at, qubit), spans in placed.spans.items():
        assert qubit < sum(qubits[at])
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        assert all(0 <= begin < end <= placed.length for begin, end in spans)
    ends = Counter[tuple[int, int]]()
    generating = Counter[tuple[int, int]]()
    for n, (operation, t) in enumerate(zip(operations, timed, strict=True)):
        used_by = next((m for m, o in enumerate(operations) if any(id(p) == id(operation) for p in o.parts)), None)
        until = placed.length if used_by is None else timed[used_by].start
        assert all(timed[number[id(part)]].end <= t.start for part in operation.parts)
        for at in operation.ends:
            ends.update((at, slot) for slot in range(t.end, until))
        for at in t.places:
            halves = {"link": 1, "swap": 2, "distil": 2}[t.kind]
            ends.update({(at, slot): halves for slot in range(t.start, t.end)})
        for at in set(operation.ends) - set(t.places):  # the outer ends of a swap hold on
            ends.update((at, slot) for slot in range(t.start, t.end))
        if operation.kind == "link":
            generating.update((at, slot) for at in operation.ends for slot in range(t.start, t.end))
        assert n == len(operations) - 1 or used_by is not None
    for at, (communication, _) in enumerate(qubits):
        for slot in range(placed.length):
            busy = [q for (node, q), spans in placed.spans.items() if node == at and any(b <= slot < e for b, e in spans)]
            assert len(busy) >= ends[at, slot], "a pair is in no qubit"
            assert generating[at, slot] <= sum(q < communication for q in busy), "links need communication qubits"


@settings(max_examples=40, deadline=None)
@given(trees(), st.integers(1, 2), st.integers(0, 4), st.integers(1, 3))
def test_placed_protocols_hold_their_pairs(pair: Pair, communication: int, storage: int, stages: int) -> None:
    qubits = [(communication, storage)] * 4
    placed = place(pair, qubits, SLOT, stages=stages)
    if placed is not None:
        check(pair, placed, qubits)
    else:
        assert storage < 4, "four storage qubits are enough for these"


@settings(max_examples=25, deadline=None)
@given(trees())
def test_later_passes_keep_the_length_and_never_wait_more(pair: Pair) -> None:
    asap, alap, shifted = (place(pair, [(1, 5)] * 4, SLOT, stages=stages) for stages in (1, 2, 3))
    assert asap
    assert alap
    assert shifted
    assert shifted.length <= alap.length <= asap.length
    assert shifted.waiting <= alap.waiting


def test_links_at_one_communication_qubit_follow_each_other() -> None:
    placed = place(swapped(link(0), link(1)), [(1, 3)] * 3, SLOT)
    assert placed is not None
    assert placed.length == 4 + 4 + 1
    assert placed.spans[1, 0] == ((0, 4), (4, 8))  # generation only; pairs are in storage
    assert sorted(spans for (at, q), spans in placed.spans.items() if at == 1 and q) == [((0, 9),), ((4, 9),)]
    together = place(swapped(link(0), link(1)), [(2, 3)] * 3, SLOT)
    assert together is not None
    assert together.length == 4 + 1


def test_without_storage_a_pair_locks_the_communication_qubit() -> None:
    assert place(swapped(link(0), link(1)), [(1, 0)] * 3, SLOT) is None
    assert place(swapped(link(0), link(1)), [(1, 0), (2, 0), (1, 0)], SLOT) is not None
    assert place(distilled(link(0), link(0)), [(1, 0)] * 2, SLOT) is None


def test_points_are_where_nothing_is_under_way() -> None:
    placed = place(swapped(link(0), link(1)), [(1, 3)] * 3, SLOT)
    assert placed is not None
    assert placed.points == (4, 8)


def arithmetic(pair: Pair) -> float:
    parts = [arithmetic(part) for part in pair.parts]
    if not parts:
        return pair.fidelity
    return werner.swap(*parts) if pair.kind == "swap" else werner.distil(*parts)


@pytest.mark.parametrize("fidelity", [0.55, 0.75, 0.85])
@pytest.mark.parametrize("kms", [(5.0,), (5.0, 5.0), (5.0, 20.0, 5.0), (10.0, 5.0, 5.0, 5.0, 5.0)])
def test_search_reaches_what_is_asked(kms: tuple[float, ...], fidelity: float) -> None:
    protocol = search(kms, [(1, 3)] * (len(kms) + 1), fidelity)
    if protocol is None:
        assert len(kms) == 5
        assert fidelity > 0.7
        return
    assert arithmetic(protocol.pair) == pytest.approx(protocol.fidelity)
    assert protocol.fidelity >= fidelity - 1e-9
    assert (protocol.pair.ends, protocol.rate) == ((0, len(kms)), pytest.approx(1 / (protocol.placed.length * SLOT)))
    for operation in protocol.pair.operations():
        if operation.kind == "link":
            assert (operation.fidelity, operation.rate) in werner.capabilities(kms[operation.ends[0]])
    check(protocol.pair, protocol.placed, [(1, 3)] * (len(kms) + 1))


def test_a_link_takes_the_fastest_setting_that_is_good_enough() -> None:
    protocol = search([5.0], [(1, 3)] * 2, 0.7)
    assert protocol is not None
    assert protocol.pair.rate == max(rate for f, rate in werner.capabilities(5.0) if f >= 0.7)


def test_more_rate_than_there_is_finds_nothing() -> None:
    protocol = search([5.0, 5.0], [(1, 3)] * 3, 0.6)
    assert protocol is not None
    assert search([5.0, 5.0], [(1, 3)] * 3, 0.6, protocol.rate) is not None
    assert search([5.0, 5.0], [(1, 3)] * 3, 0.6, protocol.rate * 1.01) is None


def test_the_best_setting_alone_is_not_enough_for_more_than_its_fidelity() -> None:
    protocol = search([5.0], [(1, 3)] * 2, 0.9)
    assert protocol is not None
    assert protocol.pair.kind == "distil"
    assert search([5.0], [(1, 3)] * 2, 0.99) is None


def test_success_is_that_of_simulated_runs() -> None:
    protocol = search([5.0, 5.0], [(1, 3)] * 3, 0.8)
    assert protocol is not None
    generator, runs = np.random.default_rng(0), 100_000
    good = np.ones(runs, dtype=bool)
    for operation, timed in zip(protocol.pair.operations(), protocol.placed.operations, strict=True):
        if operation.kind == "link":  # attempts of 0.1 ms
            attempts = round((timed.end - timed.start) * SLOT / 1e-4)
            good &= generator.geometric(operation.rate * 1e-4, runs) <= attempts
        elif operation.kind == "distil":
            good &= generator.random(runs) < werner.success(*(part.fidelity for part in operation.parts))
    assert 0 < protocol.success < 0.3
    assert good.mean() == pytest.approx(protocol.success, abs=4 * (protocol.success / runs) ** 0.5 + 1e-3)


def test_certain_links_take_longer_and_succeed() -> None:
    hasty, sure = (search([5.0], [(1, 3)] * 2, 0.6, physics=Physics(SLOT, certainty)) for certainty in (None, 0.99))
    assert isinstance(hasty, Protocol)
    assert isinstance(sure, Protocol)
    assert hasty.success < 0.7
    assert sure.success >= 0.99
    assert sure.placed.length > hasty.placed.length


@pytest.mark.parametrize(
    ("rate", "powers", "ceil"), [(3.125, 32, 32), (3.125000191, 32, 32), (3.0, 32, 34), (100.0, 1, 1), (101.0, 0, 1)]
)
def test_periods(rate: float, powers: int, ceil: int) -> None:
    assert period_slots(rate, SLOT) == powers
    assert period_slots(rate, SLOT, powers=False) == ceil


def graph() -> nx.Graph:
    found = nx.Graph()
    found.add_edge("a", "b", km=5.0)
    found.add_edge("b", "c", km=5.0)
    found.add_edge("a", "c", km=20.0)
    found.add_node("alone")
    nx.set_node_attributes(found, {"a": True, "b": False, "c": True, "alone": True}, "end")
    return found


def test_plans_take_the_shortest_path_and_say_why_not() -> None:
    network = Network(graph())
    plan = network.plan("a", "c", 0.6, 3.0)
    assert plan.path == ("a", "b", "c")
    assert plan.task is not None
    assert (plan.task.period, plan.task.length) == (32, 9)
    assert {node for node, _ in plan.task.spans} == {"a", "b", "c"}
    for demand, reason in [
        (("a", "x", 0.6, 1.0), "no node 'x'"),
        (("a", "b", 0.6, 1.0), "is a repeater"),
        (("a", "a", 0.6, 1.0), "the same"),
        (("a", "alone", 0.6, 1.0), "no path"),
        (("a", "c", 0.6, 0.001), "longer than 512"),
        (("a", "c", 0.6, 50.0), "the fastest protocol reaches 11.1"),
        (("a", "c", 0.6, 12.5), "the fastest protocol reaches 11.1"),  # 9 slots do not fit into 8
        (("a", "c", 0.97, 1.0), "no protocol reaches the fidelity"),
        (("a", "c", 1.0, 1.0), "fidelity must be"),
        (("a", "c", 0.6, float("nan")), "rate above 0"),
    ]:
        refused = network.plan(*demand)
        assert refused.task is None
        assert reason in refused.reason


def test_nodes_may_state_their_own_qubits() -> None:
    stated = graph()
    stated.nodes["b"].update(communication=2, storage=2)
    assert Network(stated).qubits("b") == (2, 2)
    plan = Network(stated).plan("a", "c", 0.6, 3.0)
    assert plan.task is not None
    assert plan.task.length == 4 + 1


def test_forgetting_locks_frees_slots() -> None:
    network = Network(graph())
    plan = network.plan("a", "c", 0.6, 3.0)
    assert plan.task is not None
    free = unlocked(plan.task, plan)

    def busy(spans: tuple[tuple[int, int], ...]) -> int:
        return sum(end - begin for begin, end in spans)

    assert all(busy(free.spans[qubit]) <= busy(spans) for qubit, spans in plan.task.spans.items())
    assert sum(map(busy, free.spans.values())) < sum(map(busy, plan.task.spans.values()))


def test_the_controller_answers_every_demand() -> None:
    network = Network(graph())
    plans = [network.plan("a", "c", 0.6, rate) for rate in (3.0, 50.0, 3.0, 3.0, 3.0, 3.0)]
    outcome = control(network, plans, nonblock)
    assert 1 not in outcome.accepted
    assert 1 < len(outcome.accepted) < 5
    assert {piece.task for piece in outcome.schedule} == set(outcome.accepted)
    for row, plan in enumerate(outcome.plans):
        assert (plan.reason == "") == (row in outcome.accepted)
