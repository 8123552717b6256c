"""Survival and Cox, against scikit-survival, scikit-learn and loops."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import concordance_index_censored, integrated_brier_score
from sksurv.util import Surv

from polytask.core import DataError
from polytask.tasks._survival import c_index
from polytask.tasks.cox import Cox
from polytask.tasks.survival import Survival

COLUMNS = ("time", "event")


def columns(times: object, events: object) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([pa.array(times)]), pa.chunked_array([pa.array(events)])]


def data(rows: int, seed: int = 0, most: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, most, rows).astype(float), rng.random(rows) < 0.6, rng.normal(size=(rows, 3))


def pair(times: np.ndarray, events: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.stack([times, events], 1)).float()


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40),
)
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the reference divides by no pairs
def test_concordance_with_ties(rows: list) -> None:
    times, events, risks = (np.array(part) for part in zip(*rows, strict=True))
    mine = float(c_index(torch.tensor(risks).float(), pair(times, events)))
    try:
        expected = concordance_index_censored(events, times.astype(float), risks.astype(float))[0]
    except (ValueError, ZeroDivisionError):
        expected = np.nan
    assert mine == pytest.approx(expected, nan_ok=True)


def test_concordance_of_many_rows() -> None:
    times, events, x = data(2000, most=500)
    expected = concordance_index_censored(events, times, x[:, 0])[0]
    assert float(c_index(torch.tensor(x[:, 0]), pair(times, events))) == pytest.approx(expected, abs=1e-9)


def test_hazard_loss_is_cross_entropy_over_bins_at_risk() -> None:
    task = Survival(name="y", columns=COLUMNS, ends=(1.0, 2.0, 4.0))
    cases = [(0.5, 1), (1.0, 1), (3.0, 1), (4.0, 1), (9.0, 1), (0.4, 0), (0.5, 0), (1.6, 0), (2.9, 0), (3.0, 0), (9.0, 0)]
    survived = [0, 0, 2, 2, 3, 0, 1, 2, 2, 3, 3]
    logits = torch.randn(len(cases), 3, generator=torch.Generator().manual_seed(0))
    losses = task.row_losses(logits, torch.tensor(cases), torch.ones(len(cases), dtype=torch.bool)) * np.log(4)
    for loss, z, (_, event), count in zip(losses, logits, cases, survived, strict=True):
        labels = [0.0] * count + [1.0] * (event == 1 and count < 3)
        at_risk = z[: len(labels)]
        expected = torch.nn.functional.binary_cross_entropy_with_logits(at_risk, torch.tensor(labels), reduction="sum")
        torch.testing.assert_close(loss, expected if labels else torch.tensor(0.0))


def test_curves_are_products_of_survival() -> None:
    logits = torch.randn(2, 6, 10)
    curve = Survival.example("y", (10,)).activate(logits)
    torch.testing.assert_close(curve, (1 - logits.sigmoid()).cumprod(-1))


def test_survival_metrics() -> None:
    times, events, x = data(300)
    task = Survival(name="y", columns=COLUMNS).fit(columns(times, events))
    curve = task.predict(torch.tensor(x @ np.random.default_rng(1).normal(size=(3, len(task.ends))) - 3).float())
    scores = task.evaluate(curve, pair(times, events))
    risk = 1 - curve.double().mean(1).numpy()
    assert scores["c_index"] == pytest.approx(concordance_index_censored(events, times, risk)[0], abs=1e-6)
    both = Surv.from_arrays(events, times)
    inside = np.array(task.ends) < times.max()
    expected = integrated_brier_score(both, both, curve.numpy()[:, inside], np.array(task.ends)[inside])
    assert scores["integrated_brier"] == pytest.approx(expected, abs=1e-5)


def test_bins_hold_equal_shares_of_events() -> None:
    times, events, _ = data(4000, most=100000)
    task = Survival(name="y", columns=COLUMNS, bins=8).fit(columns(times, events))
    shares = np.histogram(times[events], np.r_[-1, task.ends] + 1e-6)[0] / events.sum()
    assert shares == pytest.approx([1 / 8] * 8, abs=0.01)
    assert task.ends[-1] == times[events].max()
    assert len(Survival(name="y", columns=COLUMNS).fit(columns([1, 2, 2, 3], [1, 1, 1, 0])).ends) == 2


def test_survival_is_decoded() -> None:
    task = Survival(name="y", columns=COLUMNS, ends=(1.0, 2.0, 4.0, 8.0))
    curve = torch.tensor([[0.9, 0.6, 0.4, 0.1], [0.99, 0.9, 0.8, 0.7], [0.25, 0.1, 0.1, 0.1]])
    decoded = task.decode(curve)
    assert list(decoded) == ["y_risk", "y_median", "y_survival_1", "y_survival_2", "y_survival_4"]
    assert decoded["y_median"].to_pylist() == [pytest.approx(3.0), None, pytest.approx(2 / 3)]
    assert decoded["y_survival_2"].to_pylist() == pytest.approx([0.6, 0.9, 0.1])


def test_cox_is_the_partial_likelihood_of_labelled_rows() -> None:
    times, events, x = data(60, most=15)
    labelled = np.arange(60) % 4 > 0
    score = x[:, 0]
    terms = [
        np.log(np.exp(score[labelled & (times >= times[i])]).sum()) - score[i] for i in range(60) if labelled[i] and events[i]
    ]
    loss = Cox.example("y", ()).loss(torch.tensor(score)[:, None], pair(times, events), torch.tensor(labelled))
    assert float(loss) == pytest.approx(np.mean(terms) / np.log(labelled.sum() + 1), rel=1e-5)


def test_cox_gradient_vanishes_at_the_reference_fit() -> None:
    times, events, x = data(200, most=25)
    reference = CoxPHSurvivalAnalysis(ties="breslow", tol=1e-12).fit(x, Surv.from_arrays(events, times))
    weights = torch.tensor(reference.coef_, requires_grad=True)
    output = (torch.tensor(x) @ weights)[:, None]
    Cox.example("y", ()).loss(output, pair(times, events), torch.ones(200, dtype=torch.bool)).backward()
    assert weights.grad.abs().max() < 1e-6


def test_cox_order_of_rows_is_irrelevant() -> None:
    times, events, x = data(50, most=10)
    output, target, order = torch.tensor(x[:, :1]), pair(times, events), torch.randperm(50)
    labelled = torch.arange(50) % 5 > 0
    task = Cox.example("y", ())
    losses = task.row_losses(output, target, labelled)
    shuffled = task.row_losses(output[order], target[order], labelled[order])
    torch.testing.assert_close(losses[order], shuffled)


@pytest.mark.parametrize(
    ("times", "events", "option", "expected"),
    [
        ([1, 2, 3], [True, False, None], None, [1, 0, None]),
        ([1.0, 2.0, None], ["dead", "alive", "alive"], None, [1, 0, None]),
        ([1, 2, 3], [2, 1, 2], 2, [1, 0, 1]),
        ([1, 2, 3], ["relapse", "death", "none"], "death", [0, 1, 0]),
    ],
)
def test_events_are_told(times: list, events: list, option: object, expected: list) -> None:
    task = Survival(name="y", columns=COLUMNS, event=option).fit(columns(times, events))
    target, labelled = task.encode(columns(times, events))
    assert [int(e) if k else None for e, k in zip(target[:, 1], labelled, strict=True)] == expected
    assert target[labelled, 0].tolist() == [t for t, e in zip(times, expected, strict=True) if e is not None]


@pytest.mark.parametrize("kind", [Survival, Cox])
@pytest.mark.parametrize(
    ("times", "events", "message"),
    [
        ([1, -2, 3], [1, 1, 0], r"'time'.*negative times \(row 1: -2\)"),
        ([1, None, 3], [1, 1, 0], r"'event'.*events without a time \(row 1: 1\)"),
        ([1, 2, 3], [0, 0, 0], "no event in 3 rows"),
        ([1, 2, 3], [1, 2, 1], r"'event'.*neither yes nor no \(row 1: 2\).*event: "),
        (["1", "soon", "3"], [1, 0, 1], "'time'.*row 1: 'soon'"),
        ([2, 2, 2], [1, 0, 1], "time is constant"),
    ],
)
def test_unusable_columns(kind: type, times: list, events: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        kind(name="y", columns=COLUMNS).fit(columns(times, events))


def test_one_column_is_not_a_survival_task() -> None:
    with pytest.raises(DataError, match="two columns; got 1"):
        Survival(name="y", columns=("time",)).fit(columns([1], [1])[:1])
