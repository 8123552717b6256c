"""Linear models and constants against scikit-learn and closed forms; one network a task."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from polytask.core import Batch, Columns, Fit, Schema, registry
from polytask.core.option import make

ROWS = 300
INPUTS = {"a": "number", "b": "number", "c": "category 3", "d": "boolean"}


def data(task: str, seed: int = 0) -> tuple[Schema, Batch]:
    """Targets of a kind that follow inputs, with gaps."""
    torch.manual_seed(seed)
    schema = Schema.parse({"inputs": INPUTS, "tasks": {"y": task}})
    example = schema.example(ROWS, seed)
    signal = example.inputs.tensor("a") + (example.inputs.tensor("c") == 2).float() + torch.randn(ROWS)
    target = {
        "binary": (signal > 0.5).float(),
        "multiclass 3": torch.bucketize(signal, torch.tensor([-0.5, 1.0])),
        "regression": signal,
    }.get(task, example.targets["y"])
    masks = {name: torch.rand(ROWS) > 0.1 for name in INPUTS}
    labelled = Columns({"y": torch.rand(ROWS) > 0.2}, ROWS)
    return schema, replace(example, present=Columns(masks, ROWS), targets=Columns({"y": target}, ROWS), labelled=labelled)


def solved(id: str, schema: Schema, train: Batch, held: Batch, **options: Any) -> Any:
    torch.manual_seed(0)
    cls = registry.load(id)
    system = cls.build(schema, make(cls.options_type, options, id))
    system.solve(train, held, 0)
    return system


def matrix(system: Any, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All rows of the standardised matrix, and its labelled rows with their targets."""
    x, has = system._columns(system.features(batch)).numpy().astype(np.float64), batch.labelled.tensor("y").numpy()
    return x, x[has], batch.targets.tensor("y").numpy()[has]


def test_columns_are_one_hot_or_standardised_with_indicators() -> None:
    schema, train = data("regression")
    system = solved("linear", schema, train, train)
    x, _, _ = matrix(system, train)
    there = {name: train.present.tensor(name).numpy() for name in INPUTS}
    hot, numbers, absent = x[:, :4], x[:, 4:7], x[:, 7:]
    assert (hot.sum(1) == there["c"]).all()
    assert (hot.argmax(1)[there["c"]] == train.inputs.tensor("c").numpy()[there["c"]]).all()
    for j, name in enumerate(("a", "b", "d")):
        own = numbers[there[name], j]
        np.testing.assert_allclose([own.mean(), own.std()], [0, 1], atol=1e-5)
        assert (numbers[~there[name], j] == 0).all()
        assert (absent[:, j] == ~there[name]).all()


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_regression_is_ridge(penalty: float) -> None:
    schema, train = data("regression")
    system = solved("linear", schema, train, train, penalties=[penalty])
    x, known, y = matrix(system, train)
    ridge = Ridge(alpha=penalty * len(y)).fit(known, y)
    np.testing.assert_allclose(system(train)["y"].detach().numpy()[:, 0], ridge.predict(x), atol=2e-3)


@pytest.mark.parametrize("task", ["binary", "multiclass 3"])
@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_classes_are_logistic_regression(task: str, penalty: float) -> None:
    schema, train = data(task)
    system = solved("linear", schema, train, train, penalties=[penalty])
    x, known, y = matrix(system, train)
    model = LogisticRegression(C=1 / (2 * penalty * len(y)), tol=1e-8, max_iter=2000).fit(known, y)
    chance = model.predict_proba(x)[:, 1:] if task == "binary" else model.predict_proba(x)
    np.testing.assert_allclose(schema.tasks["y"].predict(system(train)["y"]).detach().numpy(), chance, atol=2e-3)


def test_the_penalty_is_chosen_on_validation_rows() -> None:
    schema, train = data("regression")
    few = train.index(torch.arange(25))
    _, held = data("regression", seed=1)
    grid = [1e-4, 1e-2, 1.0, 100.0]
    system = solved("linear", schema, few, held, penalties=grid)
    _, known, y = matrix(system, few)
    x, known_held, y_held = matrix(system, held)
    models = [Ridge(alpha=penalty * len(y)).fit(known, y) for penalty in grid]
    errors = [float(((model.predict(known_held) - y_held) ** 2).mean()) for model in models]
    best = int(np.argmin(errors))
    assert 0 < best < 3
    np.testing.assert_allclose(system(held)["y"].detach().numpy()[:, 0], models[best].predict(x), atol=5e-3)


def labelled(batch: Batch) -> Tensor:
    return batch.targets.tensor("y")[batch.labelled.tensor("y")]


def constant(literal: str) -> tuple[Schema, Batch, Tensor]:
    schema, train = data(literal)
    prediction = schema.tasks["y"].predict(solved("majority", schema, train, train)(train)["y"]).detach()
    torch.testing.assert_close(prediction, prediction[:1].expand_as(prediction))
    return schema, train, prediction[0]


@pytest.mark.parametrize("literal", ["binary", "regression", "count"])
def test_constants_are_means(literal: str) -> None:
    _, train, found = constant(literal)
    torch.testing.assert_close(found[0], labelled(train).mean(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("literal", ["multiclass 3", "ordinal 4"])
def test_constants_are_class_shares(literal: str) -> None:
    _, train, found = constant(literal)
    shares = labelled(train).bincount(minlength=len(found)) / len(labelled(train))
    torch.testing.assert_close(found, shares, atol=1e-3, rtol=1e-3)


def test_constants_are_label_shares() -> None:
    _, train, found = constant("multilabel 3")
    torch.testing.assert_close(found, labelled(train).mean(0), atol=1e-3, rtol=1e-3)


def test_constants_are_quantiles() -> None:
    schema, train, found = constant("quantile 3")
    below = (labelled(train)[:, None] <= found).float().mean(0)
    torch.testing.assert_close(below, torch.tensor(schema.tasks["y"].quantiles), atol=0.03, rtol=0)


def test_constants_are_the_survival_curve_of_all() -> None:
    schema, train, found = constant("survival 5")
    happens, at_risk = schema.tasks["y"].intervals(labelled(train))
    hazards = happens.sum(0) / at_risk.sum(0)
    torch.testing.assert_close(found, (1 - hazards).cumprod(0), atol=1e-3, rtol=1e-3)


def test_training_one_network_changes_no_other() -> None:
    torch.manual_seed(0)
    tasks = {"died": "binary", "days": "regression", "grade": "multiclass 3"}
    schema = Schema.parse({"inputs": INPUTS, "tasks": tasks})
    cls = registry.load("single_task")
    system, batch = cls.build(schema, make(cls.options_type, {"width": 8}, "single_task")), schema.example(32)
    assert system.shared_parameters() == []
    stages = system.stages()
    assert [stage.tasks for stage in stages] == [(name,) for name in tasks]
    for stage in stages:
        assert isinstance(stage, Fit)
        before = {name: value.clone() for name, value in system.state_dict().items()}
        optimizer = torch.optim.SGD(system.parameters(), lr=0.1)
        only = replace(batch, tasks=stage.tasks)
        losses = system.losses(only)
        assert tuple(losses) == stage.tasks
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        number = list(tasks).index(stage.name)
        changed = {name for name, value in system.state_dict().items() if not value.equal(before[name])}
        assert changed
        assert all(name.startswith(f"networks.each.{number}.") for name in changed)
        own = {id(p) for p in system.networks[stage.name].parameters()}
        assert {id(p) for group in stage.parameters for p in group.parameters} == own
