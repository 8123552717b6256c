"""Kinds with classes, against scikit-learn, torch and closed forms."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from polytask.core import DataError
from polytask.tasks.binary import Binary
from polytask.tasks.multiclass import Multiclass
from polytask.tasks.multilabel import Multilabel
from polytask.tasks.ordinal import Ordinal


def column(cells: object, kind: pa.DataType | None = None) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([pa.array(cells, kind)])]


def test_binary_metrics() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.random(200).round(2).astype(np.float32), rng.integers(0, 2, 200)
    scores = Binary.example("y", ()).evaluate(torch.tensor(p)[:, None], torch.tensor(y).float())
    expected = {
        "auroc": reference.roc_auc_score(y, p),
        "average_precision": reference.average_precision_score(y, p),
        "accuracy": reference.accuracy_score(y, p >= 0.5),
        "brier": reference.brier_score_loss(y, p),
        "log_loss": reference.log_loss(y, p),
    }
    assert scores == pytest.approx(expected, abs=1e-5)


def test_one_class_only_is_undefined_and_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = Binary.example("y", ()).evaluate(torch.rand(5, 1), torch.ones(5))
        several = Multiclass.example("y", (3,)).evaluate(torch.rand(5, 3).softmax(-1), torch.ones(5, dtype=torch.long))
    assert np.isnan(scores["auroc"])
    assert np.isnan(several["auroc"])


@pytest.mark.parametrize(
    ("cells", "positive", "expected"),
    [
        ([True, False] * 2, None, (False, True)),
        ([1, 2] * 2, None, (1, 2)),
        (["yes", "never"] * 2, None, ("never", "yes")),
        (["yes", "zero"] * 2, None, ("zero", "yes")),
        (["alive", "dead"] * 2, None, ("alive", "dead")),
        ([1, 2] * 2, 1, (2, 1)),
        ([1.0, 2.0] * 2, "1", (2.0, 1.0)),
        (["a", "b"] * 2, "a", ("b", "a")),
    ],
)
def test_positive_class(cells: list, positive: object, expected: tuple) -> None:
    task = Binary(name="y", columns=("y",), positive=positive).fit(column(cells))
    assert task.classes == expected
    assert [type(value) for value in task.classes] == [type(value) for value in expected]


@given(
    st.sampled_from([(True, False), (0, 1), (-3, 7), (0.5, 2.0), ("no", "yes"), ("ä", "b c")]),
    st.lists(st.sampled_from([0, 1, None]), max_size=30),
)
@settings(max_examples=40, deadline=None)
def test_binary_round_trip(values: tuple, picks: list) -> None:
    cells = [None if pick is None else values[pick] for pick in picks]
    task = Binary(name="y", columns=("y",)).fit(column(list(values) * 2))
    target, labelled = task.encode(column(cells, pa.array(list(values)).type))
    decoded = task.decode(target[:, None])["y"].to_pylist()
    assert labelled.tolist() == [cell is not None for cell in cells]
    assert [got for got, cell in zip(decoded, cells, strict=True) if cell is not None] == [c for c in cells if c is not None]


def test_classes_are_compared_by_meaning() -> None:
    task = Multiclass(name="y", columns=("y",)).fit(column([1, 2, 3] * 2))
    for cells in ([3.0, 1.0, None], ["3", "1", " "], [3, 1, None]):
        target, labelled = task.encode(column(cells))
        assert target.tolist() == [2, 0, 0]
        assert labelled.tolist() == [True, True, False]
    dictionary = column(pa.array(["3", "1", None]).dictionary_encode())
    assert task.encode(dictionary)[0].tolist() == [2, 0, 0]


def test_unseen_class_is_unlabelled_with_a_warning() -> None:
    task = Multiclass(name="y", columns=("ward",)).fit(column(["a", "b", "c"] * 2))
    with pytest.warns(UserWarning, match=r"column 'ward': 2 rows count as unlabelled.*\('z' in 2; first in row 1\)"):
        _, labelled = task.encode(column(["a", "z", None, "z"]))
    assert labelled.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        (Binary, ["a", "a"], "constant: 'a'"),
        (Binary, ["a", "b", "c"] * 2, "3 different values"),
        (Binary, ["a", "b", "a"], r"fewer than two of its 2 classes have 2 training rows \('a' in 2, 'b' in 1\)"),
        (Multiclass, ["a", "b", "c", "c"], r"fewer than two of its 3 classes have 2 training rows \('c' in 2, "),
        (Ordinal, [1, 1, None], "constant: 1"),
    ],
)
def test_unusable_columns(kind: type, cells: list, message: str) -> None:
    with pytest.raises(DataError, match=f"column 'y'.*{message}"):
        kind(name="y", columns=("y",)).fit(column(cells))


@pytest.mark.parametrize("kind", [Multiclass, Ordinal])
def test_rare_classes_are_unlabelled_with_one_warning(kind: type) -> None:
    cells = column(["a", "b", "a", "c", "b", "d", "b", None])
    task = kind(name="y", columns=("y",)).fit(cells)
    assert task.classes == ("a", "b")
    with pytest.warns(UserWarning, match="2 rows count as unlabelled") as said:
        _, labelled = task.encode(cells)
    assert len(said) == 1
    assert str(said[0].message).endswith("have their class ('c' in 1, 'd' in 1; first in row 3)")
    assert labelled.tolist() == [True, True, True, False, True, False, True, False]
    assert kind(name="y", columns=("y",), min_rows=1).fit(cells).classes == ("a", "b", "c", "d")
    assert kind(name="y", columns=("y",), min_rows=2).fit(column([1, 2, 2, 3, 3, 3])).classes == (2, 3)


def test_multiclass_loss_and_metrics() -> None:
    generator = torch.Generator().manual_seed(0)
    output, y = torch.randn(2, 90, 4, generator=generator), torch.randint(0, 3, (90,), generator=generator)
    task = Multiclass.example("y", (4,))
    expected = torch.stack([torch.nn.functional.cross_entropy(member, y, reduction="none") for member in output])
    torch.testing.assert_close(task.row_losses(output, y, torch.ones(90, dtype=torch.bool)), expected)
    p = task.predict(output)
    macro = np.mean([reference.roc_auc_score(y == c, p[:, c]) for c in range(3)])  # class 3 has no positives
    best = p.argmax(-1)
    assert task.evaluate(p, y) == pytest.approx(
        {
            "auroc": macro,
            "accuracy": reference.accuracy_score(y, best),
            "balanced_accuracy": reference.recall_score(y, best, labels=[0, 1, 2], average="macro"),
            "log_loss": reference.log_loss(y, p.double() / p.double().sum(1, keepdim=True), labels=range(4)),
        },
        abs=1e-5,
    )


def test_ordinal_probabilities_are_differences_of_sigmoids() -> None:
    output = 3 * torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cutpoints = output[:, 1:].clone()
    cutpoints[:, 1:] = torch.nn.functional.softplus(cutpoints[:, 1:])
    above = torch.sigmoid(output[:, :1] - cutpoints.cumsum(1))
    ones, zeros = torch.ones(50, 1).double(), torch.zeros(50, 1).double()
    expected = torch.cat([ones, above], 1) - torch.cat([above, zeros], 1)
    task = Ordinal.example("y", (5,))
    torch.testing.assert_close(task.activate(output), expected)
    torch.testing.assert_close(task.activate(output).sum(1), torch.ones(50).double())
    y = torch.arange(50) % 5
    losses = task.row_losses(output, y, torch.ones(50, dtype=torch.bool)).double()
    torch.testing.assert_close(losses, -expected.gather(1, y[:, None]).squeeze(1).log(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("link", ["cumulative", "softmax"])
def test_ordinal_metrics(link: str) -> None:
    generator = torch.Generator().manual_seed(0)
    task = Ordinal(name="y", columns=("y",), link=link, classes=(0, 1, 2, 3))
    p = task.predict(torch.randn(120, 4, generator=generator))
    y = torch.randint(0, 4, (120,), generator=generator)
    best = p.argmax(-1)
    expected = {
        "auroc": reference.roc_auc_score(y, p.double() / p.double().sum(1, keepdim=True), multi_class="ovr"),
        "quadratic_weighted_kappa": reference.cohen_kappa_score(y, best, weights="quadratic"),
        "mae": reference.mean_absolute_error(y, best),
        "accuracy": reference.accuracy_score(y, best),
    }
    assert task.evaluate(p, y) == pytest.approx(expected, abs=1e-5)


def test_ordinal_levels() -> None:
    declared = Ordinal(name="y", columns=("y",), levels=("low", "mid", "high", "top"))
    task = declared.fit(column(["high", "low", "mid"]))
    assert task.classes == ("low", "mid", "high", "top")
    assert task.encode(column(["high", None, "low"]))[0].tolist() == [2, 0, 0]
    with pytest.raises(DataError, match=r"outside levels: 'hihg'.*Did you mean 'high'"):
        declared.fit(column(["hihg", "low"]))
    assert Ordinal(name="y", columns=("y",)).fit(column(["10", "9", "2"] * 2)).classes == ("2", "9", "10")
    assert Ordinal(name="y", columns=("y",), levels=("2", "1")).fit(column([1, 2])).classes == (2, 1)


def test_multilabel_masks_single_labels() -> None:
    cells = [[True, False, None, True, False], ["no", "yes", "no", None, "yes"]]
    columns = [part for one in cells for part in column(one)]
    task = Multilabel(name="y", columns=("a", "b")).fit(columns)
    target, labelled = task.encode(columns)
    assert target.tolist() == [[1, 0], [0, 1], [-1, 0], [1, -1], [0, 1]]
    output = torch.randn(5, 2, requires_grad=True)
    task.loss(output, target, labelled).backward()
    assert (output.grad[target < 0] == 0).all()
    assert (output.grad[target >= 0] != 0).all()
    decoded = task.decode(target.clamp(min=0))
    assert decoded["y_a"].to_pylist()[:2] == [True, False]
    assert decoded["y_b"].to_pylist()[1:3] == ["yes", "no"]


def test_multilabel_metrics_leave_out_missing_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    p, y = torch.rand(80, 3, generator=generator), torch.randint(-1, 2, (80, 3), generator=generator).float()
    y[:, 2] = y[:, 2].clamp(max=0)  # a label without positives
    scores = Multilabel.example("y", (3,)).evaluate(p, y)
    known = [y[:, c] >= 0 for c in range(2)]
    macro = np.mean([reference.roc_auc_score(y[k, c], p[k, c]) for c, k in enumerate(known)])
    precision = np.mean([reference.average_precision_score(y[k, c], p[k, c]) for c, k in enumerate(known)])
    assert scores["auroc"] == pytest.approx(macro, abs=1e-5)
    assert scores["average_precision"] == pytest.approx(precision, abs=1e-5)
    every = y >= 0
    assert scores["log_loss"] == pytest.approx(reference.log_loss(y[every], p[every]), abs=1e-5)


def test_lists_of_labels() -> None:
    lists = column([["b", "a"], None, [], ["a", "a"], ["b", "rare"]])
    task = Multilabel(name="y", columns=("tags",)).fit(lists)
    assert task.labels == ("a", "b")
    with pytest.warns(UserWarning, match="'rare'"):
        target, labelled = task.encode(lists)
    assert target.tolist() == [[1, 1], [0, 0], [0, 0], [1, 0], [0, 1]]
    assert labelled.tolist() == [True, False, True, True, True]
    assert task.decode(target)["y_b"].to_pylist() == [True, False, False, False, True]


def test_multilabel_faults_come_together() -> None:
    with pytest.raises(DataError) as error:
        Multilabel(name="y", columns=("a", "b")).fit(column([1, 1, 1]) + column([0, 0, 1]))
    assert [fault.where for fault in error.value.faults] == ["column 'a'", "column 'b'"]
