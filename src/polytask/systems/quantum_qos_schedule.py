"""Schedules for quantum networks that keep fidelity and rate (Skrzypczyk and Wehner 2021). Nothing is learnt."""

card = {
    "title": "An Architecture for Meeting Quality-of-Service Requirements in Multi-User Quantum Networks",
    "paper": "Skrzypczyk and Wehner 2021, https://arxiv.org/abs/2111.13124",
    "year": 2021,
    "field": "networks",
    "kind": "scheduling",
    "example": {
        "inputs": {"src": "category 6", "dst": "category 6", "fidelity": "number", "rate": "number"},
        "tasks": {"accepted": "binary", "period": "regression", "latency": "regression", "jitter": "regression"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from polytask.core import Batch, OptionError, Schema, Stage, System, Task, nearest, opt
from polytask.data.topology import topology
from polytask.inputs.category import Category
from polytask.inputs.number import Number
from polytask.nn.scheduling import preemption, schedulers, tables
from polytask.nn.scheduling.network import Network, Outcome, Plan, control
from polytask.nn.scheduling.periodic import moments
from polytask.nn.scheduling.protocol import Physics

SCHEDULERS: Mapping[str, schedulers.Scheduler] = {
    "one": schedulers.one_resource,
    "block": schedulers.block,
    "nonblock": schedulers.nonblock,
    "cedf": schedulers.cedf,
    "edf_lbf": preemption.edf_lbf,
    "segments": preemption.segments,
}
_INPUTS = {"src": "category", "dst": "category", "fidelity": "number", "rate": "number"}
_TASKS = ("accepted", "period", "latency", "jitter")
_CERTAIN = 10.0


@dataclass(frozen=True)
class Options:
    """The network, and how it is scheduled."""

    topology: str = opt(
        "line", "star, h, symmetric, line, surfnet, or a .graphml, .gml or .json file", ours="six end nodes in a row"
    )
    scheduler: str = opt(
        "nonblock", "one: block NP-EDF on one resource; block, nonblock: RCPSP NP-EDF; cedf: critical EDF on blocks; "
        "edf_lbf: preemption on one resource; segments: preemption by segments",
        ours="the fastest without interruptions", choices=("one", "block", "nonblock", "cedf", "edf_lbf", "segments"),
    )  # fmt: skip
    communication: int = opt(1, "communication qubits of nodes that state none", paper="simulations", ge=1, le=32)
    storage: int = opt(3, "storage qubits of nodes that state none", paper="simulations", ge=0, le=32)
    slot: float = opt(0.01, "seconds a slot", paper="simulations", gt=0)
    budget: int = opt(100, "slots for which a run may be interrupted, in total", paper="authors' code", ge=0)
    periods: str = opt(
        "powers", "powers: the largest power of two of slots that keeps the rate; ceil: ceil(1 / (rate slot))",
        ours="short hyperperiods; rates are kept, not missed by part of a slot", choices=("powers", "ceil"),
    )  # fmt: skip
    longest: int = opt(512, "the longest period, in slots", paper="the slowest rate of the simulations", ge=1, le=65536)
    certainty: float | None = opt(
        None, "the probability with which a link delivers in its slots (None: its mean time is reserved, which is 0.63)",
        paper="simulations: mean times", gt=0, lt=1,
    )  # fmt: skip


class QuantumQosSchedule(System):
    """Rows are demands: at least `rate` pairs a second of at least `fidelity` between `src` and `dst`. They compete: each row
    is admitted if it fits beside those before it, so a row's answer depends on the rows before.

    `accepted`; `period`, the seconds between runs; `latency`, the seconds that a run takes; `jitter`, the variance of (start
    difference - period) in seconds^2. Of a refused demand, period and latency are those that it would have had (0 without a
    protocol), jitter is 0. `tables` has the schedule itself, the use of every qubit, and why demands were refused.
    """

    options_type = Options
    xfail = {"overfits": "nothing is learnt: there are no parameters"}

    def __init__(
        self,
        network: Network,
        scheduler: schedulers.Scheduler,
        inputs: Mapping[str, Category | Number],
        tasks: Mapping[str, Task],
    ) -> None:
        super().__init__(tasks)
        self.network, self.scheduler, self.inputs = network, scheduler, dict(inputs)

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "QuantumQosSchedule":
        inputs: dict[str, Category | Number] = {}
        for name, kind in _INPUTS.items():
            item = schema.inputs.get(name)
            if not isinstance(item, (Category, Number)) or item.kind != kind:
                raise OptionError.of(f"input '{name}'", f"is a {item.kind}" if item else "is missing", f"It must be a {kind}")
            inputs[name] = item
        for name in schema.tasks:
            if name not in _TASKS:
                raise OptionError.of(f"task '{name}'", "is no answer of this system", nearest(name, _TASKS))
        physics, powers = Physics(options.slot, options.certainty), options.periods == "powers"
        graph = topology(options.topology)
        network = Network(graph, options.communication, options.storage, physics, options.budget, powers, options.longest)
        return cls(network, SCHEDULERS[options.scheduler], inputs, schema.tasks)

    def stages(self) -> Sequence[Stage]:
        return []

    def plans(self, batch: Batch) -> list[Plan]:
        """What each demand would become if it were alone."""
        columns = {name: list(item.decode(batch.inputs.tensor(name))) for name, item in self.inputs.items()}
        present = {name: batch.present.tensor(name).tolist() for name in self.inputs}
        plans = []
        for row in range(len(batch)):
            missing = [name for name in self.inputs if not present[name][row]]
            src, dst, fidelity, rate = (columns[name][row] for name in _INPUTS)
            reason = f"{' and '.join(missing)} missing" if missing else ""
            plans.append(Plan(reason) if missing else self.network.plan(src or "?", dst or "?", float(fidelity), float(rate)))
        return plans

    def control(self, batch: Batch) -> Outcome:
        """The controller's answer to all demands of the batch."""
        return control(self.network, self.plans(batch), self.scheduler)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Float[Tensor, "rows 1"]]:
        if torch.compiler.is_compiling():
            raise RuntimeError("a schedule is no program of tensors")
        outcome, slot = self.control(batch), self.network.physics.slot
        answers = {name: np.zeros(len(batch)) for name in _TASKS}
        for row, plan in enumerate(outcome.plans):
            if plan.task:
                answers["period"][row], answers["latency"][row] = plan.task.period * slot, plan.task.length * slot
        for row in outcome.accepted:
            answers["accepted"][row] = 1
            answers["jitter"][row] = moments(outcome.task(row), row, outcome.schedule)[1] * slot**2
        device, names = batch.inputs.tensor("rate").device, self.tasks if tasks is None else tasks
        return {name: _output(self.tasks[name], answers[name]).to(device) for name in names}

    def tables(self, batch: Batch) -> dict[str, pa.Table]:
        """`schedule`: the runs of one hyperperiod; `qubits`: when each qubit is busy; `demands`: what became of each row.

        Rows are counted from 0; columns are told in `nn/scheduling/tables.py`.
        """
        outcome = self.control(batch)
        return {
            "schedule": tables.schedule(outcome),
            "qubits": tables.qubits(self.network, outcome),
            "demands": tables.demands(self.network, outcome),
        }


def _output(task: Task, answers: Float64[np.ndarray, "rows"]) -> Float[Tensor, "rows 1"]:
    """What a system would have to give for these answers: a logit that is certain, or the value on the task's fitted scale."""
    if task.kind == "binary":
        return torch.from_numpy((2 * answers - 1) * _CERTAIN).float()[:, None]
    return task.encode([pa.chunked_array([answers])])[0].float()[:, None]
