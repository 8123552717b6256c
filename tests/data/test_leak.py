"""Leaks: what gives an answer away is reported, what only predicts it well is not."""

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score
from sksurv.metrics import concordance_index_censored

from polytask.data import infer, leak

ROWS = 2000


def columns(rows: int = ROWS) -> dict[str, Any]:
    random = np.random.default_rng(0)
    noise = random.normal(size=(rows, 3))
    died = noise[:, 0] + 0.5 * noise[:, 1] > 0
    times = random.exponential(size=rows) * 10
    return {
        "died": died,
        "grade": np.array(["low", "mid", "high"])[random.integers(0, 3, rows)],
        "cost": np.exp(noise[:, 2]),
        "time": times,
        "event": random.random(rows) < 0.6,
        "l1": random.random(rows) < 0.2,
        "l2": random.random(rows) < 0.3,
        "good": noise[:, 0],
        "id": [f"p {i} of {rows}" for i in range(rows)],
        "noise": random.normal(size=rows),
        "ward": random.choice(["a", "b", "c"], rows),
    }


TASKS = {
    "died": None,
    "grade": "multiclass",
    "cost": "regression",
    "death": {"kind": "survival", "columns": ["time", "event"]},
    "labels": {"kind": "multilabel", "columns": ["l1", "l2"]},
}


def found(extra: dict[str, Any], rows: int = ROWS) -> list[leak.Leak]:
    table = pa.table(columns(rows) | extra)
    train = torch.arange(rows)
    schema, _ = infer.schema(table, infer.tasks(table, TASKS), {}, (), train)
    return leak.leaks(table, schema, train)


def test_a_good_predictor_is_no_leak() -> None:
    assert roc_auc_score(columns()["died"], columns()["good"]) > 0.9
    assert found({}) == []


BASE = columns()
RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("task", "metric", "column"),
    [
        ("died", "auroc", BASE["died"] + 0.2 * RANDOM.normal(size=ROWS)),
        ("died", "auroc", np.where(BASE["died"], "hospice", "home")),
        ("died", "auroc", (BASE["died"] - 0.5) ** 2 * 4 * np.where(BASE["died"], np.sign(RANDOM.normal(size=ROWS)) * 9, 1)),
        ("grade", "auroc", np.char.upper(BASE["grade"])),
        ("cost", "r2", 3 - 2 * BASE["cost"]),
        ("death", "c_index", np.log(BASE["time"])),
        ("death", "auroc", np.where(BASE["event"], "x", "y")),
        ("labels", "auroc", BASE["l2"] + 0.1 * RANDOM.normal(size=ROWS)),
    ],
    ids=["shifted", "word", "not monotone", "classes", "scaled", "time", "event", "label"],
)
def test_leaks_are_found(task: str, metric: str, column: np.ndarray) -> None:
    (only,) = found({"leaky": column})
    assert (only.task, only.column, only.metric, only.missing) == (task, "leaky", metric, False)
    assert str(only).startswith(f"column 'leaky' alone predicts task '{task}' ({metric} 0.9") or only.score > 0.9995


def test_cells_that_are_missing_for_one_class() -> None:
    (only,) = found({"autopsy": pa.array(np.ones(ROWS) * 3 + RANDOM.normal(size=ROWS), mask=~BASE["died"])})
    assert only.missing
    assert str(only) == "whether 'autopsy' is missing alone predicts task 'died' (auroc 1.000); is it known before the answer?"


def test_rare_coincidences_are_no_leak() -> None:
    assert found({"unique": np.arange(ROWS)[np.argsort(BASE["noise"])], "flag": np.arange(ROWS) < 3}) == []


def test_scores_are_those_of_the_libraries() -> None:
    random = np.random.default_rng(2)
    codes, folds = random.integers(0, 7, 400), random.integers(0, leak.FOLDS, 400)
    y = (random.random(400) < codes / 7).astype(float)
    means = leak._Means.of(y, codes, folds)
    score = means.score[codes, folds]
    for row in range(20):
        other = (codes == codes[row]) & (folds != folds[row])
        assert score[row] == pytest.approx((y[other].sum() + y.mean()) / (other.sum() + 1))
    assert leak._rate("auroc", y, codes, folds) == pytest.approx(roc_auc_score(y, score))
    assert leak._rate("r2", y, codes, folds) == pytest.approx(r2_score(y, score))
    times, event = random.exponential(size=400), random.random(400) < 0.5
    expected = leak._Means.of(times, codes, folds).score[codes, folds]
    c_index = concordance_index_censored(event, times, -expected)[0]
    assert leak._c_index(np.stack([times, event], 1), codes, folds) == pytest.approx(c_index, abs=1e-3)


def test_it_is_quick() -> None:
    random = np.random.default_rng(3)
    extra = {f"x{i}": random.normal(size=20_000) for i in range(50)}
    start = time.process_time()
    assert found(extra, 20_000) == []
    assert time.process_time() - start < 10  # a bound against per-row work; it takes about one second
