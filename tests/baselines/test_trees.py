"""Trees: the predictions of scikit-learn's own models, kept as plain tensors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from torch import Tensor

from polytask.core import Batch, Columns, OptionError, RunError, Schema, registry
from polytask.core.option import make

ROWS = 400
OPTIONS = {"rates": [0.1], "leaves": [8], "rounds": 25}
LITERALS = {
    "binary": "binary",
    "multiclass": "multiclass 3",
    "multiclass of two": "multiclass 2",
    "ordinal": "ordinal 4",
    "ordinal softmax": "ordinal 4",
    "multilabel": "multilabel 2",
    "regression": "regression",
    "quantile": "quantile 3",
    "count": "count",
    "survival": "survival 5",
    "cox": "cox",
}


def targets(kind: str, signal: Tensor) -> Tensor:
    """Targets of a kind that follow `signal`, with noise."""
    noisy = signal + 0.5 * torch.randn(len(signal))
    if kind.startswith(("multiclass", "ordinal")):
        classes = int(LITERALS[kind].split()[1])
        return torch.bucketize(noisy, torch.linspace(-1, 1, classes + 1)[1:-1])
    if kind == "multilabel":
        both = torch.stack([noisy > 0, noisy < -1], dim=1).float()
        both[:50, 1] = -1  # unknown for this label alone
        return both
    if kind in ("survival", "cox"):
        return torch.stack([(4 * torch.exp(-noisy)).clamp(max=10), (torch.rand(len(signal)) > 0.3).float()], dim=1)
    return {"binary": (noisy > 0).float(), "count": torch.poisson(noisy.clamp(-3, 2).exp())}.get(kind, noisy)


def data(kind: str, seed: int) -> tuple[Schema, Batch]:
    torch.manual_seed(seed)
    schema = Schema.parse(
        {"inputs": {"a": "number", "b": "number", "c": "category 3", "d": "boolean"}, "tasks": {"y": LITERALS[kind]}}
    )
    if kind == "ordinal softmax":
        schema = Schema(schema.inputs, {"y": replace(schema.tasks["y"], link="softmax")})  # type: ignore[call-arg]
    example = schema.example(ROWS, seed)
    signal = example.inputs.tensor("a") + (example.inputs.tensor("c") == 2).float()
    target = Columns({"y": targets(kind, signal)}, ROWS)
    present = Columns({name: torch.rand(ROWS) > 0.1 for name in schema.inputs}, ROWS)
    return schema, replace(example, present=present, targets=target, labelled=Columns({"y": torch.rand(ROWS) > 0.2}, ROWS))


def build(schema: Schema, **options: Any) -> Any:
    cls = registry.load("trees")
    return cls.build(schema, make(cls.options_type, OPTIONS | options, "trees"))


def fit(kind: str) -> tuple[Any, Schema, Batch, Batch]:
    (schema, train), (_, held) = data(kind, 0), data(kind, 1)
    system = build(schema)
    system.solve(train, held, 0)
    return system, schema, train, held


class Reference:
    """scikit-learn fitted by hand on the same matrix."""

    def __init__(self, system: Any, train: Batch, held: Batch) -> None:
        self.matrix: Callable[[Batch], np.ndarray] = lambda batch: system._matrix(batch).numpy().astype(np.float64)
        self.train, self.held = train, held

    def labelled(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        has = batch.labelled.tensor("y")
        return self.matrix(batch)[has.numpy()], batch.targets.tensor("y")[has].numpy()

    def fit(self, cls: Any, view: Any = lambda x, y: (x, y), **settings: Any) -> Any:
        model = cls(
            learning_rate=0.1, max_leaf_nodes=8, l2_regularization=10.0, max_features=0.3, max_iter=25, n_iter_no_change=20,
            early_stopping=True, random_state=0, categorical_features=[0], **settings,
        )  # fmt: skip
        held = view(*self.labelled(self.held))
        model.fit(*view(*self.labelled(self.train)), X_val=held[0], y_val=held[1])
        rounds = int(model.validation_score_.argmax())
        assert rounds > 3, "the reference learns something"
        staged = model.staged_predict_proba if hasattr(model, "classes_") else model.staged_predict
        return lambda x: list(staged(x))[rounds - 1]


def by_intervals(x: np.ndarray, bins: int) -> np.ndarray:
    return np.column_stack([np.repeat(x, bins, axis=0), np.tile(np.arange(bins), len(x))])


def expected(kind: str, system: Any, schema: Schema, reference: Reference, x: np.ndarray) -> np.ndarray:
    task: Any = schema.tasks["y"]
    if kind == "binary":
        return reference.fit(HistGradientBoostingClassifier)(x)[:, 1:]
    if kind.startswith(("multiclass", "ordinal")):
        return reference.fit(HistGradientBoostingClassifier)(x)
    if kind == "multilabel":
        views = [lambda x, y, j=j: (x[y[:, j] >= 0], y[y[:, j] >= 0, j]) for j in range(2)]
        return np.column_stack([reference.fit(HistGradientBoostingClassifier, view)(x)[:, 1] for view in views])
    if kind == "regression":
        return reference.fit(HistGradientBoostingRegressor)(x)[:, None]
    if kind == "quantile":
        models = [reference.fit(HistGradientBoostingRegressor, loss="quantile", quantile=q) for q in task.quantiles]
        return np.sort(np.column_stack([model(x) for model in models]), axis=1)
    if kind == "count":
        return reference.fit(HistGradientBoostingRegressor, loss="poisson")(x)[:, None]
    ends = system.boosters["y"].ends.tolist()
    clock = task if kind == "survival" else registry.kind("tasks", "survival")(name="y", columns=("t", "e"), ends=tuple(ends))

    def view(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        happens, at_risk = (part.numpy() for part in clock.intervals(torch.from_numpy(y)))
        return by_intervals(x, len(ends))[at_risk.ravel()], happens[at_risk].astype(int)

    hazard = reference.fit(HistGradientBoostingClassifier, view)(by_intervals(x, len(ends)))[:, 1].reshape(len(x), -1)
    survival = np.cumprod(1 - hazard, axis=1)
    return survival if kind == "survival" else np.log(-np.log(survival[:, -1:]))


@pytest.mark.parametrize("kind", LITERALS)
def test_predictions_are_scikit_learns(kind: str) -> None:
    system, schema, train, held = fit(kind)
    reference = Reference(system, train, held)
    _, new = data(kind, 2)
    found = schema.tasks["y"].predict(system(new)["y"])
    np.testing.assert_allclose(
        found.numpy(), expected(kind, system, schema, reference, reference.matrix(new)), rtol=2e-4, atol=2e-5
    )


def test_the_horizons_of_cox_are_quantiles_of_event_times() -> None:
    system, _, train, _ = fit("cox")
    target, has = train.targets.tensor("y"), train.labelled.tensor("y")
    times = target[has & (target[:, 1] > 0), 0].numpy()
    np.testing.assert_allclose(system.boosters["y"].ends.numpy(), np.quantile(times, np.arange(1, 21) / 20), rtol=1e-5)


def test_every_kind_of_task_is_boosted() -> None:
    refused = {"control", "map"}  # actions and images: no table of answers
    assert {literal.split()[0] for literal in LITERALS.values()} == set(registry.kinds("tasks")) - refused


def test_an_unknown_kind_is_refused() -> None:
    schema, batch = data("regression", 0)
    strange = type("Strange", (type(schema.tasks["y"]),), {"kind": "smell"})(name="y", columns=("y",))
    with pytest.raises(OptionError, match="task 'y': trees know no task of kind 'smell'"):
        build(Schema(schema.inputs, {"y": strange})).solve(batch, batch, 0)


def test_a_category_unseen_in_training_counts_as_missing() -> None:
    schema, batch = data("binary", 0)
    seen = Columns({name: batch.inputs[name] % 3 if name == "c" else batch.inputs[name] for name in schema.inputs}, ROWS)
    train = replace(batch, inputs=seen)
    system = build(schema)
    system.solve(train, train, 0)
    assert system.codes[0].tolist()[:3] == [0, 1, 2]

    def with_code(code: int, present: bool = True) -> Tensor:
        codes = Columns({name: torch.full((ROWS,), code) if name == "c" else seen[name] for name in seen}, ROWS)
        there = Columns({n: torch.full((ROWS,), present) if n == "c" else batch.present[n] for n in batch.present}, ROWS)
        return system(replace(batch, inputs=codes, present=there))["y"]

    assert with_code(3).equal(with_code(0, present=False))
    assert not with_code(2).equal(with_code(3))


def test_classes_without_training_rows() -> None:
    schema, batch = data("ordinal", 0)
    for link in ("softmax", "cumulative"):
        task = replace(schema.tasks["y"], link=link)  # type: ignore[call-arg]
        for lost, last in (((2,), 3), ((1, 2), 3), ((0, 1, 2), 3), ((1, 2, 3), 0)):
            codes = torch.where(torch.isin(batch.targets.tensor("y"), torch.tensor(lost)), last, batch.targets.tensor("y"))
            train = replace(batch, targets=Columns({"y": codes}, ROWS))
            system = build(Schema(schema.inputs, {"y": task}))
            system.solve(train, batch, 0)
            chance = task.predict(system(batch)["y"])
            assert (chance[:, list(lost)] < 1e-5).all()
            torch.testing.assert_close(chance.sum(1), torch.ones(ROWS))


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_one_class_alone_is_predicted(only: float) -> None:
    schema, batch = data("binary", 0)
    train = replace(batch, targets=Columns({"y": torch.full((ROWS,), only)}, ROWS))
    system = build(schema)
    system.solve(train, batch, 0)
    assert (schema.tasks["y"].predict(system(batch)["y"]) - only).abs().max() < 1e-5


def test_the_setting_with_the_best_validation_score_is_kept() -> None:
    schema, train, held = data("regression", 0)[0], data("regression", 0)[1], data("regression", 1)[1]
    scores = {}
    for rates, rounds in (([0.001], 2), ([0.1], 25), ([0.001, 0.1], 25), ([0.1, 0.001], 25)):
        system = build(schema, rates=rates, rounds=rounds)
        system.solve(train, held, 0)
        has, task = held.labelled.tensor("y"), schema.tasks["y"]
        scores[tuple(rates)] = task.evaluate(task.predict(system(held)["y"])[has], held.targets.tensor("y")[has])["r2"]
    assert scores[0.1,] == scores[0.001, 0.1] == scores[0.1, 0.001] > scores[0.001,]


@pytest.mark.parametrize("kind", ["multiclass", "survival", "multilabel"])
def test_safetensors_round_trip(kind: str, tmp_path: Path) -> None:
    system, schema, _, held = fit(kind)
    path = tmp_path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in system.state_dict().items()}, path)
    other = build(schema)
    other(held)  # what it has computed before must not linger
    other.load_state_dict(load_file(path))
    assert other(held)["y"].equal(system(held)["y"])


DAMAGE: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "child beyond the tree": lambda s: s["left"].__setitem__(0, 10**6),
    "child before its parent": lambda s: s["right"].__setitem__(0, 0),
    "negative child": lambda s: s["left"].__setitem__(0, -1),
    "unknown feature": lambda s: s["feature_idx"].fill_(99),
    "negative feature": lambda s: s["feature_idx"].__setitem__(0, -1),
    "unknown set of categories": lambda s: s["bitset_idx"].fill_(10**6),
    "unknown categories": lambda s: s["numbers"].fill_(7),
    "unknown output": lambda s: s["output"].fill_(5),
    "tree of no nodes": lambda s: s["sizes"].__setitem__(0, 0),
    "shorter tree": lambda s: s["sizes"].__setitem__(0, 1),
    "nodes cut off": lambda s: s.__setitem__("value", s["value"][:-1]),
    "sets cut off": lambda s: s.__setitem__("members", s["members"][:-1]),
    "outputs cut off": lambda s: s.__setitem__("output", s["output"][:-1]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_trees_are_refused(damage: str) -> None:
    system, schema, _, held = fit("binary")
    prefix = "boosters.each.0.forests.0."
    state = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    forest = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    assert forest["is_categorical"].any()
    DAMAGE[damage](forest)
    other = build(schema)
    other.load_state_dict(state | {prefix + name: tensor for name, tensor in forest.items()})
    with pytest.raises(RunError) as caught:
        other(held)
    assert str(caught.value) == "model.safetensors: holds trees that cannot be walked. It was damaged: train again"


@pytest.mark.parametrize("name", ["whas500", "gbsg2"])
def test_survival_ranks_as_well_as_scikit_survivals_boosting(name: str) -> None:
    pytest.importorskip("sksurv")
    from sksurv.datasets import load_gbsg2, load_whas500
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis
    from sksurv.metrics import concordance_index_censored

    x, y = load_whas500() if name == "whas500" else load_gbsg2()
    event, time = y.dtype.names
    order = np.random.default_rng(0).permutation(len(x))
    train, held, test = np.split(order, [len(x) // 2, 2 * len(x) // 3])
    peer = GradientBoostingSurvivalAnalysis(random_state=0, subsample=0.5, max_depth=2, n_estimators=100)
    numeric = pd.get_dummies(x).astype(float)
    both = np.concatenate([train, held])
    theirs = concordance_index_censored(
        y[event][test], y[time][test], peer.fit(numeric.iloc[both], y[both]).predict(numeric.iloc[test])
    )

    table = pa.table({column: x[column].astype(str) if x[column].dtype == "category" else x[column] for column in x})
    table = table.append_column("t", pa.array(y[time].astype(float))).append_column("e", pa.array(y[event].astype(bool)))
    known = table.take(pa.array(train))
    inputs = {
        column: registry.kind("inputs", "category" if x[column].dtype == "category" else "number")(name=column).fit(
            known[column]
        )
        for column in x
    }
    task = registry.kind("tasks", "survival")(name="y", columns=("t", "e")).fit([known["t"], known["e"]])
    schema = Schema(inputs, {"y": task})
    batch = schema.encode(table)
    system = build(schema, rounds=300)
    system.solve(batch.index(torch.from_numpy(train)), batch.index(torch.from_numpy(held)), 0)
    rows = batch.index(torch.from_numpy(test))
    ours = task.evaluate(task.predict(system(rows)["y"]), rows.targets.tensor("y"))["c_index"]
    assert ours > theirs[0] - 0.03
