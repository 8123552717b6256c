"""The system's answers are those of its schedule, and its schedule is one."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
import torch

from polytask.core import OptionError, Schema
from polytask.core.option import make
from polytask.data.worlds import quantum_demands
from polytask.inputs.category import Category
from polytask.inputs.number import Number
from polytask.nn.scheduling.periodic import verify
from polytask.systems.quantum_qos_schedule import SCHEDULERS, Options, QuantumQosSchedule, card
from polytask.tasks.regression import Regression

TASKS = Schema.parse({"inputs": {}, "tasks": card["example"]["tasks"]}).tasks


def schema_of(table: pa.Table, scale: str = "standard") -> Schema:
    names = {name: Category(name=name, min_rows=1).fit(table[name]) for name in ("src", "dst")}
    numbers = {name: Number(name=name, scale=scale).fit(table[name]) for name in ("fidelity", "rate")}  # type: ignore[arg-type]
    return Schema({**names, **numbers}, TASKS)


def built(table: pa.Table, options: dict[str, Any] | None = None, scale: str = "standard") -> tuple[QuantumQosSchedule, Any]:
    schema = schema_of(table, scale)
    system = QuantumQosSchedule.build(schema, make(Options, options or {}, "system"))
    return system, schema.only(tasks=()).encode(table)


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_answers_agree_with_the_schedule(scheduler: str) -> None:
    table = quantum_demands.load()
    system, batch = built(table, {"scheduler": scheduler})
    answers = {name: system.tasks[name].decode(system.tasks[name].predict(output)) for name, output in system(batch).items()}
    more = system.tables(batch)
    accepted = [bool(value) for value in answers["accepted"]["accepted"].to_pylist()]
    assert accepted == more["demands"]["accepted"].to_pylist()
    assert 3 < sum(accepted) < len(accepted)
    runs = Counter(row for row, _ in {(r["row"], r["instance"]) for r in more["schedule"].to_pylist()})
    horizon = max(answers["period"]["period"][row].as_py() for row in runs)
    for row, demand in enumerate(table.to_pylist()):
        period = answers["period"]["period"][row].as_py()
        about = more["demands"].slice(row, 1).to_pylist()[0]
        assert (about["reason"] is None) == accepted[row]
        if accepted[row]:
            assert runs[row] == round(horizon / period)
            assert about["rate"] >= demand["rate"] * (1 - 1e-5)
            assert about["fidelity"] >= demand["fidelity"] - 1e-6
            assert 0 < about["expected_rate"] < about["rate"]
            assert answers["latency"]["latency"][row].as_py() <= about["response"] + 1e-6 <= period + 2e-6
        else:
            assert row not in runs


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_no_qubit_is_used_twice(scheduler: str) -> None:
    system, batch = built(quantum_demands.load(), {"scheduler": scheduler})
    qubits = system.tables(batch)["qubits"].to_pylist()
    used = Counter((r["node"], r["qubit"], slot) for r in qubits for slot in range(r["start_slot"], r["end_slot"]))
    assert used
    assert max(used.values()) == 1
    outcome = system.control(batch)
    tasks = [outcome.plans[row].task for row in outcome.accepted]
    assert verify([t for t in tasks if t], []) != [], "an empty schedule is not valid"


def test_demands_compete_in_their_order() -> None:
    row = {"src": "0", "dst": "2", "fidelity": 0.6, "rate": 6.25}
    table = pa.Table.from_pylist([row, row | {"src": "1"}, row])
    system, batch = built(table)
    accepted = system(batch)["accepted"].squeeze(1) > 0
    alone = system(batch.index(torch.tensor([2])))["accepted"].squeeze(1) > 0
    assert accepted.tolist() == [True, False, False] or accepted.tolist() == [True, True, False]
    assert alone.tolist() == [True]


@pytest.mark.parametrize("scale", ["standard", "quantile"])
def test_numbers_come_back_in_the_users_units(scale: str) -> None:
    table = quantum_demands.load().slice(0, 9)
    system, batch = built(table, scale=scale)
    for plan, row in zip(system.plans(batch), table.to_pylist(), strict=True):
        alone = system.network.plan(row["src"], row["dst"], row["fidelity"], row["rate"])
        assert plan.path == alone.path
        if scale == "standard":
            assert (plan.task and plan.task.period) == (alone.task and alone.task.period)


def test_absent_and_unknown_cells_are_refused_with_a_reason() -> None:
    rows = [
        {"src": "0", "dst": "1", "fidelity": 0.6, "rate": 1.0},
        {"src": "0", "dst": "9", "fidelity": 0.6, "rate": 1.0},
        {"src": None, "dst": "1", "fidelity": 0.6, "rate": None},
    ]
    system, batch = built(pa.Table.from_pylist(rows))
    demands = system.tables(batch)["demands"]
    assert demands["accepted"].to_pylist() == [True, False, False]
    assert demands["reason"].to_pylist() == [None, "no node '9' in the topology", "src and rate missing"]


def test_answers_are_on_the_scale_of_a_fitted_task() -> None:
    table = quantum_demands.load()
    fitted = Regression(name="period", columns=("period",), scale="log").fit([pa.chunked_array([[0.1, 0.2, 5.0]])])
    plain, batch = built(table)
    system = QuantumQosSchedule.build(Schema(schema_of(table).inputs, {"period": fitted}), Options())
    theirs = fitted.in_units(system(batch)["period"])
    torch.testing.assert_close(theirs.float(), plain(batch)["period"], rtol=1e-4, atol=1e-4)


def test_a_schema_of_other_columns_is_refused() -> None:
    schema = schema_of(quantum_demands.load())
    lacking = {name: item for name, item in schema.inputs.items() if name != "rate"}
    with pytest.raises(OptionError, match="input 'rate': is missing"):
        QuantumQosSchedule.build(Schema(lacking, TASKS), Options())
    with pytest.raises(OptionError, match=r"task 'perod'.*Did you mean 'period'"):
        QuantumQosSchedule.build(Schema(schema.inputs, {"perod": TASKS["period"]}), Options())


def test_it_has_nothing_to_learn() -> None:
    system, _ = built(quantum_demands.load())
    assert list(system.stages()) == []
    assert list(system.parameters()) == []
