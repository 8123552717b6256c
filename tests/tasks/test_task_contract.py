"""What holds for every kind of task on columns; what its example must hold is asked by the conformance suite."""

import json

import pyarrow as pa
import pytest
import torch

from polytask.core import DataError, Schema, Task, registry

FILLED = {
    "binary": [["yes", None, "no", "yes", "no"]],
    "multiclass": [["a", "b", None, "c", "a", "b", "c"]],
    "multilabel": [[True, False, None, True, False], [1, 0, 1, 0, None]],
    "ordinal": [[3.0, 1.0, None, 2.0, 1.0, 2.0, 3.0]],
    "regression": [[0.5, None, 7.25, 3.0]],
    "quantile": [[0.5, None, 7.25, 3.0]],
    "count": [[0, 3, None, 12, 1]],
    "survival": [[1.0, 2.5, None, 4.0], [1, 0, None, 1]],
    "control": [[0.5, None, -1.0, 0.25]],
    "cox": [[1.0, 2.5, None, 4.0], [1, 0, None, 1]],
}


@pytest.fixture(params=FILLED)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def columns_of(kind: str) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([pa.array(cells)]) for cells in FILLED[kind]]


def fitted_task(kind: str) -> Task:
    names = tuple(f"c{i}" for i in range(len(FILLED[kind])))
    return registry.kind("tasks", kind)(name="y", columns=names).fit(columns_of(kind))


def test_every_kind_is_tested() -> None:
    assert set(FILLED) == set(registry.kinds("tasks")) - {"map"}, "images are tested on their own"


def test_schema_survives_json(kind: str) -> None:
    schema = Schema({}, {"y": fitted_task(kind)})
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_encode_masks_missing_cells(kind: str) -> None:
    target, labelled = fitted_task(kind).encode(columns_of(kind))
    anything = [any(cells[row] is not None for cells in FILLED[kind]) for row in range(len(target))]
    assert labelled.tolist() == anything
    assert torch.isfinite(target.float()).all()


def test_columns_that_a_table_lacks_are_unlabelled(kind: str) -> None:
    task = fitted_task(kind)
    _, labelled = task.encode([pa.chunked_array([pa.nulls(3)])] * len(task.columns))
    assert labelled.tolist() == [False] * 3


def test_all_missing_is_an_error(kind: str) -> None:
    columns = [pa.chunked_array([pa.array([None] * 4, column.type)]) for column in columns_of(kind)]
    with pytest.raises(DataError, match="c0"):
        registry.kind("tasks", kind)(name="y", columns=tuple(f"c{i}" for i in range(len(columns)))).fit(columns)


@pytest.mark.parametrize("literal", ["binary 2", "multiclass", "multilabel", "ordinal 2 3", "quantile", "count 1", "cox 1"])
def test_wrong_sizes_are_named(literal: str) -> None:
    with pytest.raises(DataError, match=literal.split()[0]):
        Schema.parse({"inputs": {}, "tasks": {"y": literal}})


def kinds_that_recognise(*columns: list) -> list[str]:
    arrays = [pa.chunked_array([pa.array(cells)]) for cells in columns]
    kinds = [registry.kind("tasks", name) for name in registry.kinds("tasks")]
    return [kind.kind for kind in sorted(kinds, key=lambda kind: kind.rank) if kind.recognises(arrays)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (([1.5, 2.0, None, 3.0], [True, False, None, True]), "survival"),
        (([1, 2, 3, 4], [0, 1, 0, 1]), "survival"),
        (([1, 0, 1, 0], [0, 1, 0, 1]), "multilabel"),
        (([["a", "b"], [], None],), "multilabel"),
        ((["yes", "no", None],), "binary"),
        (([0.0, 1.0, float("nan")],), "binary"),
        ((["a", "b", "c"] * 3,), "multiclass"),
        (([1, 2, 3] * 9,), "multiclass"),
        (([0] * 30 + list(range(12)),), "count"),
        ((list(range(50)),), "regression"),
        (([0.1, 0.2, 0.7],), "regression"),
        ((["1.5", "2", "7.25"],), "regression"),
        ((["a", "b", "c", "d"],), None),
    ],
)
def test_kinds_are_told_from_columns(columns: tuple, expected: str | None) -> None:
    found = kinds_that_recognise(*columns)
    assert found[:1] == ([expected] if expected else [])
