"""What holds for every kind of task."""

import json

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from polytask.core import DataError, Schema, Task, registry

LITERALS = {
    "binary": "binary",
    "multiclass": "multiclass 3",
    "multilabel": "multilabel 4",
    "ordinal": "ordinal 5",
    "regression": "regression 1",
    "quantile": "quantile 3",
    "count": "count",
    "survival": "survival 10",
    "cox": "cox",
}
FILLED = {
    "binary": [["yes", None, "no", "yes", "no"]],
    "multiclass": [["a", "b", None, "c", "a", "b", "c"]],
    "multilabel": [[True, False, None, True, False], [1, 0, 1, 0, None]],
    "ordinal": [[3.0, 1.0, None, 2.0, 1.0, 2.0, 3.0]],
    "regression": [[0.5, None, 7.25, 3.0]],
    "quantile": [[0.5, None, 7.25, 3.0]],
    "count": [[0, 3, None, 12, 1]],
    "survival": [[1.0, 2.5, None, 4.0], [1, 0, None, 1]],
    "cox": [[1.0, 2.5, None, 4.0], [1, 0, None, 1]],
}


@pytest.fixture(params=LITERALS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def task(kind: str) -> Task:
    return Schema.parse({"inputs": {}, "tasks": {"y": LITERALS[kind]}}).tasks["y"]


def sample(task: Task, rows: int = 24, members: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (members, rows) if members else (rows,)
    return torch.randn(*shape, *task.output_shape, generator=generator), task.example_target(rows, generator)


def columns_of(kind: str) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([pa.array(cells)]) for cells in FILLED[kind]]


def fitted_task(kind: str) -> Task:
    names = tuple(f"c{i}" for i in range(len(FILLED[kind])))
    return registry.kind("tasks", kind)(name="y", columns=names).fit(columns_of(kind))


def test_every_kind_is_tested() -> None:
    assert set(LITERALS) == set(registry.kinds("tasks"))


def test_schema_survives_json(kind: str, task: Task) -> None:
    schema = Schema({}, {"example": task, "y": fitted_task(kind)})
    back = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert back.tasks["y"] == schema.tasks["y"]
    assert back.to_json() == schema.to_json()


def test_unlabelled_rows_change_nothing(task: Task) -> None:
    output, target = sample(task, members=2)
    labelled = torch.arange(24) % 3 > 0
    other_output, other_target = output.clone(), target.clone()
    other_output[:, ~labelled] = 37.0
    other_target[~labelled] = torch.zeros_like(target[~labelled])
    gradients = []
    for o, t in ((output, target), (other_output, other_target)):
        o.requires_grad_()
        loss = task.loss(o, t, labelled)
        loss.backward()
        assert torch.isfinite(o.grad).all()
        assert (o.grad[:, ~labelled] == 0).all()
        gradients.append((loss.detach(), o.grad[:, labelled]))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_no_label_gives_zero(task: Task) -> None:
    output, target = sample(task)
    output.requires_grad_()
    loss = task.loss(output, target, torch.zeros(24, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert (output.grad == 0).all()


def test_members_average(task: Task) -> None:
    output, target = sample(task, members=3)
    labelled = torch.arange(24) % 4 > 0
    single = torch.stack([task.loss(member, target, labelled) for member in output])
    torch.testing.assert_close(task.loss(output, target, labelled), single.mean())
    torch.testing.assert_close(task.predict(output), torch.stack([task.predict(member) for member in output]).mean(0))


def test_half_precision_and_extremes_are_finite(task: Task) -> None:
    output, target = sample(task)
    labelled = torch.ones(24, dtype=torch.bool)
    loss = task.loss(output.half(), target, labelled)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, task.loss(output.half().float(), target, labelled))
    extreme = (1e3 * output).requires_grad_()
    task.loss(extreme, target, labelled).backward()
    assert torch.isfinite(extreme.grad).all()


def test_an_ignorant_model_pays_about_one(task: Task) -> None:
    _, target = sample(task, rows=512)
    loss = task.loss(torch.zeros(512, *task.output_shape), target, torch.ones(512, dtype=torch.bool))
    assert 0.3 < loss < 2.5


def test_metrics_include_the_primary_one_and_are_nan_without_rows(task: Task) -> None:
    output, target = sample(task)
    scores = task.evaluate(task.predict(output), target)
    assert task.primary in scores
    assert all(value == value for value in scores.values())
    empty = task.evaluate(task.predict(output)[:0], target[:0])
    assert all(value != value for value in empty.values())


def test_decoded_columns_have_one_cell_a_row(task: Task) -> None:
    output, _ = sample(task)
    decoded = task.decode(task.predict(output))
    assert decoded
    assert all(name.startswith("y") and len(column) == 24 for name, column in decoded.items())


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
