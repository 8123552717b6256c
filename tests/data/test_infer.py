"""Schemas from columns and declarations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import DataError, registry
from polytask.data import infer

ROWS = 200
TRAIN = torch.arange(0, ROWS, 2)


def table() -> pa.Table:
    random = np.random.default_rng(0)
    even = np.arange(ROWS) % 2 == 0
    return pa.table(
        {
            "patient": [f"p{i}" for i in range(ROWS)],
            "age": random.normal(60, 10, ROWS),
            "ward": random.choice(["icu", "er", "surgery"], ROWS),
            "site": ["basel"] * ROWS,
            "tested later": pa.array(random.normal(size=ROWS), mask=even),
            "same in training": np.where(even, 1.0, random.normal(size=ROWS)),
            "seldom": pa.array(["yes"] * ROWS, mask=random.random(ROWS) < 0.7),
            "died": random.integers(0, 2, ROWS),
            "cost": random.exponential(size=ROWS),
            "time": random.exponential(size=ROWS),
            "event": random.random(ROWS) < 0.5,
            "blob": [{"x": i} for i in range(ROWS)],
        }
    )


def schema(tasks: Mapping[str, Any], inputs: Mapping[str, Any] | None = None, ignore: tuple[str, ...] = ()) -> Any:
    return infer.schema(table(), infer.tasks(table(), tasks), inputs, ignore, TRAIN)


def faults(tasks: Mapping[str, Any], inputs: Mapping[str, Any] | None = None, ignore: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(DataError) as error:
        schema(tasks, inputs, ignore)
    return [str(fault) for fault in error.value.faults]


def test_columns_of_tasks() -> None:
    declared = {
        "died": None,
        "time:event": "cox",
        "death": {"columns": ["time", "event"]},
        "x": {"kind": "binary", "columns": "y"},
    }
    expected = {"died": ("died",), "time:event": ("time", "event"), "death": ("time", "event"), "x": ("y",)}
    assert infer.task_columns(declared) == expected


def test_kinds_of_tasks() -> None:
    declared = {
        "died": None,
        "cost": {"kind": "regression", "scale": "log"},
        "time:event": None,
        "death": {"kind": "cox", "columns": ["time", "event"]},
        "w": {"columns": ["ward"]},
    }
    found = infer.tasks(table(), declared)
    kinds = {name: task.kind for name, task in found.items()}
    assert kinds == {"died": "binary", "cost": "regression", "time:event": "survival", "death": "cox", "w": "multiclass"}
    assert found["cost"].scale == "log"  # type: ignore[attr-defined]
    assert found["death"].columns == ("time", "event")


def test_inputs_are_inferred_and_what_is_left_out_is_said() -> None:
    found, notes = schema({"died": None, "time:event": None}, ignore=("cost",))
    assert {name: item.kind for name, item in found.inputs.items()} == {
        "age": "number",
        "ward": "category",
        "seldom": "boolean",
    }
    assert notes == [
        "ignored column 'patient': it looks like an identifier",
        "ignored column 'site': every training row has the value 'basel'",
        "ignored column 'tested later': no training row has a value",
        "ignored column 'same in training': every training row has the value 1.0",
        "ignored column 'blob': no kind fits its type (struct<x: int64>)",
    ]
    assert list(found.tasks) == ["died", "time:event"]


def test_declared_inputs() -> None:
    declared = {
        "age": {"kind": "number", "modality": "vitals", "bins": "7"},
        "ward": {"modality": "stay"},
        "patient": "category",
        "site": "category",
    }
    found, _ = schema({"died": None}, declared)
    assert found.inputs["age"].bins == 7
    assert (found.inputs["age"].modality, found.inputs["ward"].modality, found.inputs["ward"].kind) == (
        "vitals",
        "stay",
        "category",
    )
    assert {"patient", "site", "cost"} <= found.inputs.keys()


def test_statistics_are_of_training_rows_alone() -> None:
    found, _ = schema({"cost": None})
    train = table()["age"].to_numpy()[TRAIN.numpy()]
    assert found.inputs["age"].mean == pytest.approx(train.mean())
    batch = found.encode(table())
    assert len(batch) == ROWS


def test_faults_of_tasks_come_all_at_once() -> None:
    declared = {
        "dide": None,
        "cost": "regresion",
        "time:evnt": None,
        "died": {"kind": "binary", "postive": 1},
        "age": 3,
        "blob": None,
    }
    assert faults(declared) == [
        "task 'dide': no column 'dide'. Did you mean 'died'?",
        "task 'cost': unknown kind 'regresion'. Did you mean 'regression'?",
        "task 'time:evnt': no column 'evnt'. Did you mean 'event'?",
        "tasks.died.postive: unknown option. Did you mean 'positive'?",
        "task 'age': cannot be declared by 3. Write a kind, or {kind: KIND, OPTION: VALUE}",
        "task 'blob': no kind fits its columns (struct<x: int64>). Declare one: " + ", ".join(registry.kinds("tasks")),
    ]
    assert faults({})[0].startswith("tasks: none is named. Known: age, blob, cost")


def test_faults_of_inputs_come_all_at_once() -> None:
    declared = {"agee": "number", "died": "number", "age": {"kind": "number", "bins": 0}, "ward": "catgory"}
    assert faults({"died": None}, declared, ignore=("sit",)) == [
        "inputs: no column 'agee'. Did you mean 'age'?",
        "ignore: no column 'sit'. Did you mean 'site'?",
        "input 'died': is a column of a task. Remove it from the inputs, or give the task another column",
        "inputs.age.bins: must be int >= 1; got 0",
        "input 'ward': unknown kind 'catgory'. Did you mean 'category'?",
    ]


def test_unusable_columns_are_named_with_the_others() -> None:
    found = faults({"tested later": "regression", "site": "binary"}, {"ward": "number"})
    assert len(found) == 3
    assert found[0].startswith("column 'tested later': all of its 100 cells are missing")
    assert found[1].startswith("column 'site': is constant")
    assert found[2].startswith("column 'ward': 200 of 200 cells are not numbers (row 0: ")


def test_faulty_cells_are_called_by_their_rows_in_the_table() -> None:
    cells = [1.5, *["2.5"] * 2, "many", 3.5, "more"]
    faulty = pa.table({"x": [str(cell) for cell in cells], "y": [0, 1, 0, 1, 0, 1]})
    kinds = infer.tasks(faulty, {"y": None, "x": "regression"})
    with pytest.raises(DataError, match=r"2 of 6 cells are not numbers \(row 3: 'many', row 5: 'more'\)"):
        infer.schema(faulty, kinds, None, (), torch.tensor([0, 2, 3, 5]))


def test_nothing_left_to_predict_from() -> None:
    ignored = tuple(name for name in table().column_names if name not in ("died", "site"))
    assert faults({"died": None}, ignore=ignored) == [
        "inputs: no column is left to predict from. ignored column 'site': every training row has the value 'basel'"
    ]
