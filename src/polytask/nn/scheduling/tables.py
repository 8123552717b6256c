"""A controller's answer as tables: the runs of one hyperperiod, when each qubit is busy, and what became of each demand.

`row` is the number of the demand, `instance` that of the run. Slots run from the first up to, not including, the last.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from .network import Network, Outcome
from .periodic import Piece, moments, occupied

_RUN = {"row": pa.int64(), "instance": pa.int64()}
_SLOTS = {"start_slot": pa.int64(), "end_slot": pa.int64()}


def schedule(outcome: Outcome) -> pa.Table:
    """`start_slot`, `end_slot`, `task` (source - destination), `row`, `instance`; an interrupted run has several rows."""
    rows = [(p.start, p.end, outcome.task(p.task).name, p.task, p.instance) for p in outcome.schedule]
    return _table({**_SLOTS, "task": pa.string(), **_RUN}, rows)


def qubits(network: Network, outcome: Outcome) -> pa.Table:
    """`start_slot`, `end_slot`, `node`, `qubit` (its number there), `kind` (communication or storage), `row`, `instance`."""
    runs: dict[tuple[int, int], list[Piece]] = {}
    for piece in outcome.schedule:
        runs.setdefault((piece.task, piece.instance), []).append(piece)
    rows = []
    for (row, instance), pieces in runs.items():
        for (node, qubit), begin, end in occupied(outcome.task(row), pieces):
            kind = "communication" if qubit < network.qubits(str(node))[0] else "storage"
            rows.append((begin, end, str(node), qubit, kind, row, instance))
    return _table({**_SLOTS, "node": pa.string(), "qubit": pa.int64(), "kind": pa.string(), **_RUN}, sorted(rows))


def demands(network: Network, outcome: Outcome) -> pa.Table:
    """What each demand gets, or why it is refused; null where there is nothing to tell.

    `path`; `fidelity` delivered; `latency`, the seconds that a run takes; `period`, those between releases; `response`, the
    longest from a release to the end of its run; `jitter`, the variance of (start difference - period) in seconds^2; `rate`,
    runs a second; `expected_rate`, what that comes to when links and distillations fail as often as they do.
    """
    kinds = {"row": pa.int64(), "accepted": pa.bool_(), "reason": pa.string(), "path": pa.string()}
    figures = ("fidelity", "latency", "period", "response", "jitter", "rate", "expected_rate")
    rows = [_demand(network, outcome, row) for row in range(len(outcome.plans))]
    return _table({**kinds, **dict.fromkeys(figures, pa.float64())}, rows)


def _demand(network: Network, outcome: Outcome, row: int) -> tuple[Any, ...]:
    plan, slot, accepted = outcome.plans[row], network.physics.slot, row in outcome.accepted
    fidelity = latency = period = response = jitter = rate = expected = None
    if plan.protocol:
        fidelity, latency = plan.protocol.fidelity, plan.protocol.placed.length * slot
    if plan.protocol and plan.task:
        period = plan.task.period * slot
        rate, expected = 1 / period, plan.protocol.success / period
    if accepted:
        slots, variance = moments(outcome.task(row), row, outcome.schedule)
        response, jitter = slots * slot, variance * slot**2
    path = " - ".join(plan.path) or None
    return row, accepted, plan.reason or None, path, fidelity, latency, period, response, jitter, rate, expected


def _table(columns: Mapping[str, pa.DataType], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    return pa.table({n: pa.array([row[i] for row in rows], kind) for i, (n, kind) in enumerate(columns.items())})
