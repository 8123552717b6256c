"""Demands on a quantum network: who wants how many pairs a second of which fidelity with whom.

Simulated: source and destination are drawn at random among the end nodes of a topology, rates from those that a slotted
schedule can keep exactly, as in the simulations of Skrzypczyk and Wehner 2021 (authors' code, `get_fixed_load_taskset`).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from polytask.data import topology

about = {
    "title": "Quantum demands: pairs wanted on a line of six nodes",
    "origin": "drawn by this package (polytask.data.worlds.quantum_demands)",
    "licence": "Apache-2.0 (this package)",
    "rows": 24,
    "sha256": None,
}
tasks: dict[str, str] = {}
ignore: list[str] = []
modalities: dict[str, list[str]] = {}
split = {"how": "random"}
inputs = {
    "src": {"kind": "category", "min_rows": 1},
    "dst": {"kind": "category", "min_rows": 1},
    "fidelity": {"kind": "number", "scale": "standard"},
    "rate": {"kind": "number", "scale": "standard"},
}

SLOT = 0.01
"""Seconds a slot."""
RATES = tuple(1 / (SLOT * 2**i) for i in range(10))
"""The rates that demands may ask for: periods are powers of two of a slot, which keeps hyperperiods at 512 slots."""
_ATTEMPTS = 100_000


@dataclass(frozen=True)
class Demand:
    """Pairs of at least `fidelity` between `src` and `dst`, `rate` of them a second."""

    src: str
    dst: str
    fidelity: float
    rate: float


def draw(
    graph: topology.Graph,
    seed: int,
    load: float,
    fidelity: float,
    fastest: Callable[[str, str], float],
) -> list[Demand]:
    """Demands that add up to `load` pairs a second.

    fastest: the rate that the best protocol between two nodes reaches alone, 0 where there is none; a demand's rate is one of
    those below it, within what is left of the load (or the lowest, where none is).
    """
    generator, ends = random.Random(seed), sorted(node for node, end in graph.nodes(data="end") if end)
    drawn: list[Demand] = []
    for _ in range(_ATTEMPTS):
        left = load - sum(demand.rate for demand in drawn)
        if left <= 0:
            return drawn
        src, dst = generator.sample(ends, 2)
        reached = fastest(src, dst)
        possible = [rate for rate in RATES if rate < reached]
        if possible:
            fitting = [rate for rate in possible if rate <= left] or [min(possible)]
            drawn.append(Demand(src, dst, fidelity, generator.choice(fitting)))
    raise ValueError(f"no demands of fidelity {fidelity:g} add up to {load:g} pairs a second")


def load() -> pa.Table:
    """24 demands on the topology `line`: `src`, `dst`, `fidelity` (0.55 to 0.85), `rate` (0.2 to 6.25 pairs a second)."""
    generator, ends = random.Random(0), sorted(topology.line())
    rows = []
    for _ in range(int(str(about["rows"]))):
        src, dst = generator.sample(ends, 2)
        rows.append({"src": src, "dst": dst, "fidelity": generator.choice((0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85))})
        rows[-1]["rate"] = generator.choice(RATES[4:])
    return pa.Table.from_pylist(rows)
