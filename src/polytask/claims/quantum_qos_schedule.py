"""Schedules that know which qubits are busy deliver more pairs; fidelity costs throughput (Skrzypczyk and Wehner 2021)."""

claim = {
    "statement": "RCPSP NP-EDF on qubits delivers more pairs than on blocks of qubits, that more than the network as one "
    "resource; more fidelity costs pairs; the heuristic admits nearly what an optimal schedule does.",
    "source": "section on simulations", "reported": "trade-off curves on four small networks and SURFnet; no headline number",
    "data": ["surfnet", "quantum_demands"], "systems": ["quantum_qos_schedule"],
    "simulated": "Demands are drawn at random (load 20 pairs/s); link rates follow a formula fitted to the authors' simulated "
    "NV links. Lengths of SURFnet's links are real.",
    "arms": {
        "nonblock": "RCPSP NP-EDF: a qubit is kept only while it is busy or holds a pair",
        "block": "RCPSP block NP-EDF: a run keeps all of its qubits",
        "one": "NP-EDF on one resource: one run at a time in the whole network",
        "segments": "RCPSP with preemption budgets: as nonblock, but runs may pause between operations (100 slots in total)",
        "no_locks": "nonblock that forgets that a stored pair locks its qubit: what such an error would promise (not valid)",
    },
    "checks": {
        "gain_over_one": {
            "says": "on a line and on SURFnet, 1.2 times what one run at a time delivers, or more", "unit": "log pairs/s",
            "arm": "nonblock", "against": "one", "metric": "log_rate_fibre", "direction": "max", "margin": 0.1823},
        "nonblock_over_block": {
            "says": "freeing qubits within a run costs nothing", "unit": "log pairs/s",
            "arm": "nonblock", "against": "block", "metric": "log_rate", "direction": "max", "margin": -0.01},
        "block_over_one": {
            "says": "running disjoint protocols at the same time costs nothing", "unit": "log pairs/s",
            "arm": "block", "against": "one", "metric": "log_rate", "direction": "max", "margin": -0.01},
        "valid": {
            "says": "every schedule passes an independent verifier", "unit": "share of schedules with a fault",
            "arm": "nonblock", "against": None, "metric": "invalid", "direction": "min", "margin": -0.001},
        "fidelity_costs": {
            "says": "asking the same demands for more fidelity delivers fewer pairs", "unit": "Spearman correlation with F",
            "arm": "nonblock", "against": None, "metric": "fidelity_trend", "direction": "min", "margin": 0.8},
        "near_optimum": {
            "says": "of four demands it admits over 80 % of what any schedule without interruptions could", "unit": "share",
            "arm": "nonblock", "against": None, "metric": "of_optimum", "direction": "max", "margin": 0.8},
        "locks_matter": {
            "says": "forgetting locked storage promises too many pairs", "decides": False, "unit": "log pairs/s",
            "arm": "no_locks", "against": "nonblock", "metric": "log_rate", "direction": "max", "margin": 0.0},
        "pauses_help": {
            "says": "runs that may pause fit more demands", "decides": False, "unit": "log pairs/s",
            "arm": "segments", "against": "nonblock", "metric": "log_rate", "direction": "max", "margin": 0.0},
    },
    "seeds": {"smoke": 1, "quick": 5, "full": 20}, "test_share": 0.0, "unfair": {},
    "differs": "SURFnet's places ask for pairs themselves, over links like those elsewhere (the paper: one more node a city, "
    "futuristic links); protocols come from our own search; links follow a fitted formula.",
}  # fmt: skip

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from polytask.data.topology import topology
from polytask.data.worlds import quantum_demands
from polytask.ledger import Measured
from polytask.nn.scheduling import optimum, preemption, schedulers
from polytask.nn.scheduling.network import Network, Plan, unlocked
from polytask.nn.scheduling.periodic import verify

_SCHEDULERS = {"block": schedulers.block, "one": schedulers.one_resource, "segments": preemption.segments}
_SLOT, _SMALL, _TREND = quantum_demands.SLOT, ("star", "h", "line"), (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)


def measure(arm: str, seed: int, size: str) -> Measured:
    """Admit the same demand sets with one scheduler."""
    logs, faults = dict[str, list[Any]](), list[bool]()
    for place in _SMALL[::2] if size == "smoke" else (*_SMALL, "surfnet"):
        network = Network(topology(place))
        for fidelity in (0.6, 0.75):
            rate, wrong = _delivered(arm, network, _plans(network, seed, 20.0, fidelity))
            logs.setdefault(place, []).append(np.log(rate))
            faults.append(wrong)
    fibre = [value for place in ("line", "surfnet") for value in logs.get(place, [])]
    every = [value for values in logs.values() for value in values]
    metrics: dict[str, Any] = {"log_rate": np.mean(every), "log_rate_fibre": np.mean(fibre), "invalid": np.mean(faults)}
    curves = {"pairs/s by fidelity, 0.55 to 0.85": _trend(arm, seed)} if arm == "nonblock" else {}
    for curve in curves.values():
        metrics |= {"fidelity_trend": spearmanr(_TREND, curve).statistic, "of_optimum": _of_optimum(seed)}
    return Measured({name: float(value) for name, value in metrics.items()}, parameters=0, steps=0, curves=curves)


def _plans(network: Network, seed: int, load: float, fidelity: float) -> list[Plan]:
    """The demands of one seed, which add up to `load`, as plans."""
    drawn = quantum_demands.draw(network.graph, seed, load, fidelity, lambda src, dst: network.fastest(src, dst, fidelity))
    return [network.plan(d.src, d.dst, d.fidelity, d.rate) for d in drawn]


def _delivered(arm: str, network: Network, plans: Sequence[Plan]) -> tuple[float, bool]:
    """The accepted pairs a second, and whether the verifier finds a fault in the schedule."""
    tasks = network.balanced([plan.task for plan in plans if plan.task])
    tried = [unlocked(task, plan) for task, plan in zip(tasks, plans, strict=True)] if arm == "no_locks" else tasks
    kept, schedule = schedulers.admit(tried, _SCHEDULERS.get(arm, schedulers.nonblock))
    pieces = [replace(piece, task=kept.index(piece.task)) for piece in schedule]
    return sum(1 / (tasks[n].period * _SLOT) for n in kept), bool(verify([tasks[n] for n in kept], pieces))


def _trend(arm: str, seed: int) -> list[float]:
    """Mean accepted pairs a second by fidelity: the same demands, drawn for the lowest, asked for more and more of it."""
    rates = np.zeros((len(_TREND), 4))
    for column, place in enumerate((*_SMALL, "symmetric")):
        network = Network(topology(place))
        drawn = [(p.path, 1 / (p.task.period * _SLOT)) for p in _plans(network, seed, 20.0, _TREND[0]) if p.task]
        for row, fidelity in enumerate(_TREND):
            plans = [network.plan(path[0], path[-1], fidelity, rate) for path, rate in drawn]
            rates[row, column] = _delivered(arm, network, [plan for plan in plans if plan.task])[0]
    return [float(rate) for rate in rates.mean(1)]


def _of_optimum(seed: int) -> float:
    """Admitted by NP-EDF, over admitted by an optimal schedule: six sets of four demands, periods of at most 64 slots."""
    ours = best = 0
    for number in range(6):
        network = Network(topology(_SMALL[number % 3]))
        plans = _plans(network, 100 * seed + number, 100.0, 0.6)
        tasks = network.balanced([plan.task for plan in plans if plan.task and plan.task.period <= 64][:4])
        ours += len(schedulers.admit(tasks, schedulers.nonblock)[0])
        best += optimum.most_admitted(tasks)
    return ours / best
