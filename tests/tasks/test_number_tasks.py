"""Kinds with numbers, against scikit-learn, torch and closed forms."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from polytask.core import DataError, OptionError
from polytask.tasks.count import Count
from polytask.tasks.quantile import Quantile
from polytask.tasks.regression import Regression

NUMBERS = st.lists(st.none() | st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40)


def column(cells: object) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([pa.array(cells)])]


def fit(cells: object, **options: object) -> Regression:
    return Regression(name="y", columns=("y",), **options).fit(column(cells))


@given(NUMBERS, st.sampled_from(["auto", "identity", "log"]))
@settings(max_examples=60, deadline=None)
def test_regression_round_trip(cells: list, scale: str) -> None:
    task = fit([0.0, 1.0, 5.0, 2e3, -40.0], scale=scale)
    column_of_floats = [pa.chunked_array([pa.array(cells, pa.float64())])]
    target, labelled = task.encode(column_of_floats)
    decoded = task.decode(target[:, None])["y"].to_pylist()
    assert labelled.tolist() == [cell is not None for cell in cells]
    for got, cell in zip(decoded, cells, strict=True):
        assert cell is None or got == pytest.approx(cell, rel=1e-4, abs=1e-2)


def test_scale_is_chosen_by_the_tail() -> None:
    rng = np.random.default_rng(0)
    assert not fit(rng.normal(50, 1, 500)).log
    assert fit(rng.lognormal(2, 1, 500)).log
    assert not fit(-rng.lognormal(2, 1, 500)).log
    assert not fit(rng.lognormal(2, 1, 500), scale="identity").log


def test_training_targets_are_standardised() -> None:
    values = np.random.default_rng(0).normal(1e4, 3.0, 400)
    target, _ = fit(values).encode(column(values))
    assert target.mean() == pytest.approx(0, abs=1e-3)
    assert target.std(correction=0) == pytest.approx(1, abs=1e-3)


def test_one_outlier_hides_no_other_row() -> None:
    values = np.random.default_rng(0).normal(0, 1, 500)
    values[7] = -1e9
    task = fit(values)
    target, labelled = task.encode(column(values))
    assert target[labelled].quantile(0.75) - target.quantile(0.25) > 0.5
    output = torch.zeros(500, 1, requires_grad=True)
    task.loss(output, target, labelled).backward()
    assert output.grad[7].abs() < 30 * output.grad[8:].abs().mean()
    assert task.decode(target[:, None])["y"][7].as_py() == pytest.approx(-1e9, rel=1e-4)


@pytest.mark.parametrize(("criterion", "function"), [("mse", "mse_loss"), ("huber", "huber_loss"), ("mae", "l1_loss")])
def test_criteria(criterion: str, function: str) -> None:
    task = Regression(name="y", columns=("y",), criterion=criterion)
    output, target = torch.randn(20, 1), torch.randn(20)
    expected = getattr(torch.nn.functional, function)(output[:, 0], target)
    torch.testing.assert_close(task.loss(output, target, torch.ones(20, dtype=torch.bool)), expected)


@pytest.mark.parametrize("scale", ["identity", "log"])
def test_regression_metrics(scale: str) -> None:
    rng = np.random.default_rng(0)
    y, guess = rng.lognormal(1, 1, 100), rng.lognormal(1, 1, 100)
    task = fit(y, scale=scale)
    (target, _), (prediction, _) = task.encode(column(y)), task.encode(column(guess))
    change = np.log1p if scale == "log" else np.asarray
    expected = {
        "r2": reference.r2_score(change(y), change(guess)),
        "mae": reference.mean_absolute_error(y, guess),
        "rmse": reference.root_mean_squared_error(y, guess),
    }
    assert task.evaluate(prediction[:, None], target) == pytest.approx(expected, rel=1e-4)


def test_r2_of_a_constant_is_undefined() -> None:
    task = Regression.example("y", ())
    assert np.isnan(task.evaluate(torch.randn(5, 1), torch.full((5,), 0.3))["r2"])
    assert np.isnan(task.evaluate(torch.randn(1, 1), torch.ones(1))["r2"])


@pytest.mark.parametrize("kind", [Regression, Quantile, Count])
@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "2", "many"], "row 2: 'many'"),
        ([1.0, float("inf"), 2.0], "infinite.*row 1: inf"),
        ([3.0, 3.0, None], "constant: 3 in 2 rows"),
        ([None, float("nan")], "all of its 2 cells are missing"),
    ],
)
def test_unusable_columns(kind: type, cells: list, message: str) -> None:
    with pytest.raises(DataError, match=f"column 'y'.*{message}"):
        kind(name="y", columns=("y",)).fit(column(cells))


def test_pinball_loss_and_skill() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=201)
    task = Quantile(name="y", columns=("y",), quantiles=(0.1, 0.5, 0.9), scale="identity").fit(column(y))
    target, labelled = task.encode(column(y))
    output = torch.tensor(rng.normal(size=(201, 3))).float()
    each = [reference.mean_pinball_loss(target, output[:, i], alpha=a) for i, a in enumerate(task.quantiles)]
    assert float(task.loss(output, target, labelled)) == pytest.approx(2 * np.mean(each), rel=1e-5)
    p = task.predict(output)
    assert (p.diff(dim=1) >= 0).all()
    null = [reference.mean_pinball_loss(target, np.full(201, np.quantile(target, a)), alpha=a) for a in task.quantiles]
    mine = [reference.mean_pinball_loss(target, p[:, i], alpha=a) for i, a in enumerate(task.quantiles)]
    scores = task.evaluate(p, target)
    assert scores["d2_pinball"] == pytest.approx(1 - sum(mine) / sum(null), abs=1e-5)
    assert scores["coverage"] == pytest.approx(np.mean((p[:, 0] <= target).numpy() & (target <= p[:, 2]).numpy()))
    single = Quantile(name="y", columns=("y",), quantiles=(0.3,)).fit(column(y))
    expected = reference.d2_pinball_score(target, output[:, 0], alpha=0.3)
    assert single.evaluate(output[:, :1], target)["d2_pinball"] == pytest.approx(expected, abs=1e-4)


def test_quantiles_are_decoded_in_units() -> None:
    y = np.random.default_rng(0).lognormal(2, 1, 300)
    task = Quantile(name="y", columns=("y",), quantiles=(0.025, 0.5)).fit(column(y))
    assert task.log
    decoded = task.decode(torch.tensor([task.null]))
    assert list(decoded) == ["y_q2.5", "y_q50"]
    assert decoded["y_q50"][0].as_py() == pytest.approx(np.quantile(y, 0.5), rel=1e-2)


@pytest.mark.parametrize("quantiles", [(), (0.5, 0.1), (0.0, 0.5), (0.5, 0.5)])
def test_quantiles_must_rise(quantiles: tuple) -> None:
    with pytest.raises(OptionError, match="quantiles"):
        Quantile(name="y", columns=("y",), quantiles=quantiles)


def test_poisson_loss_is_the_likelihoods() -> None:
    counts = np.random.default_rng(0).poisson(4, 300)
    task = Count(name="y", columns=("y",)).fit(column(counts))
    target, labelled = task.encode(column(counts))
    output = torch.randn(300, 1, requires_grad=True)
    (mine,) = torch.autograd.grad(task.loss(output, target, labelled), output)
    likelihood = torch.nn.functional.poisson_nll_loss(output[:, 0] + np.log(task.mean), target)
    (expected,) = torch.autograd.grad(likelihood, output)
    torch.testing.assert_close(mine * task.null / 2, expected, atol=1e-6, rtol=1e-4)
    assert float(task.loss(torch.zeros(300, 1), target, labelled)) == pytest.approx(1, abs=1e-5)
    p = task.predict(output)
    scores = task.evaluate(p.detach(), target)
    expected_skill = reference.d2_tweedie_score(target, p.detach()[:, 0], power=1)  # training and evaluated rows are the same
    assert scores["d2_poisson"] == pytest.approx(expected_skill, abs=1e-4)


def test_negative_binomial_loss_is_the_likelihoods() -> None:
    counts = np.random.default_rng(0).negative_binomial(2, 0.2, 400)
    task = Count(name="y", columns=("y",), distribution="negative_binomial").fit(column(counts))
    assert task.dispersion == pytest.approx((counts.var() - counts.mean()) / counts.mean() ** 2)
    target, labelled = task.encode(column(counts))
    output = (0.3 * torch.randn(400, 1)).requires_grad_()
    size = 1 / task.dispersion
    mean = task.mean * output[:, 0].exp()
    likelihood = -torch.distributions.NegativeBinomial(size, logits=(mean / size).log()).log_prob(target).mean()
    (expected,) = torch.autograd.grad(likelihood, output)
    (mine,) = torch.autograd.grad(task.loss(output, target, labelled), output)
    torch.testing.assert_close(mine * task.null / 2, expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("cells", [[1, 2, -3], [1.0, 2.5, 3.0]])
def test_only_counts_are_counts(cells: list) -> None:
    with pytest.raises(DataError, match=r"not counts \(row"):
        Count(name="y", columns=("y",)).fit(column(cells))
