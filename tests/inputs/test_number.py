import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from polytask.core import DataError
from polytask.inputs.number import Number

finite = st.floats(allow_nan=False, allow_infinity=False)
columns = st.lists(finite, min_size=1, max_size=80)


def chunked(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


def scaled(values, seen=None, **options):
    fitted = Number(name="x", **options).fit(chunked(values, pa.float64()))
    return fitted.encode(chunked(values if seen is None else seen, pa.float64()))[0]


@given(columns, st.lists(finite, min_size=2, max_size=20), st.sampled_from(["quantile", "standard"]))
def test_scaling_is_finite_bounded_and_monotone(training, seen, scale):
    seen = sorted([*seen, *training])
    found = scaled(training, seen, scale=scale)
    assert found.isfinite().all()
    assert found.abs().max() <= (3.5 if scale == "quantile" else 1e6)
    assert (found.diff() >= 0).all()


@given(columns, st.randoms(use_true_random=False))
def test_fit_ignores_the_order_of_rows(training, random):
    shuffled = random.sample(training, len(training))
    one, other = (Number(name="x").fit(chunked(rows, pa.float64())) for rows in (training, shuffled))
    assert (one.quantiles, one.edges) == (other.quantiles, other.edges)


@given(columns, st.integers(1, 40))
def test_edges_increase_and_lie_within_the_scaled_values(training, bins):
    edges = np.array(Number(name="x", bins=bins).fit(chunked(training, pa.float64())).edges)
    assert 2 <= len(edges) <= bins + 1
    assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize("rows", [20, 400, 3000, 40_000])
def test_quantile_scale_equals_scikit_learn_away_from_the_ends(rows):
    random = np.random.default_rng(rows)
    values = np.concatenate([random.lognormal(size=rows), np.full(rows // 4, 1.0)])
    seen = np.concatenate([random.lognormal(size=500), [1.0]])
    count = min(max(min(len(values) // 30, 1000), 10), len(values))
    reference = QuantileTransformer(n_quantiles=count, output_distribution="normal", subsample=None).fit(values[:, None])
    expected = reference.transform(seen[:, None])[:, 0]
    inner = np.abs(expected) < 3.5
    assert inner.sum() > 300
    np.testing.assert_allclose(scaled(values, seen).numpy()[inner], expected[inner], atol=1e-5)


def test_standard_scale_equals_scikit_learn():
    values = np.random.default_rng(0).lognormal(size=200)
    expected = StandardScaler().fit_transform(values[:, None])[:, 0]
    np.testing.assert_allclose(scaled(values, scale="standard").numpy(), expected, atol=1e-5)


def test_ties_at_the_ends_get_the_score_of_their_mean_rank():
    found = scaled([0.0] * 500 + [1.0] * 500)
    assert found[0] == -found[-1]
    torch.testing.assert_close(found[-1], torch.special.ndtri(torch.tensor(0.75)), atol=0.1, rtol=0)  # 33 quantiles


def test_absent_cells_hold_zero_and_are_counted():
    column = chunked([1.0, None, float("nan"), 5.0])
    fitted = Number(name="x").fit(column)
    values, present = fitted.encode(column)
    assert present.tolist() == [True, False, False, True]
    assert values[1:3].tolist() == [0, 0]
    assert fitted.missing == 0.5


@pytest.mark.parametrize("values", [[7.0] * 5, [None, None], [1e308, -1e308], [5e-324, 1.0], [0.0]])
@pytest.mark.parametrize("scale", ["quantile", "standard"])
def test_odd_columns_do_not_fail(values, scale):
    fitted = Number(name="x", scale=scale).fit(chunked(values, pa.float64()))
    assert fitted.encode(chunked([None, 0.0, 1e308, -1e308], pa.float64()))[0].isfinite().all()
    assert len(fitted.edges) >= 2


@pytest.mark.parametrize(
    "column",
    [
        chunked([1, 2, 4], pa.int8()),
        chunked([1, 2, 4], pa.uint64()),
        chunked([1, 2, 4], pa.float16()),
        chunked([Decimal("1.00"), Decimal("2.00"), Decimal("4.00")]),
        chunked(["1", " 2.0", "+4e0"]),
        chunked(["1", "2", "4"]).dictionary_encode(),
        chunked([dt.timedelta(microseconds=n) for n in (1, 2, 4)], pa.duration("us")),
    ],
)
def test_types_that_mean_the_same_give_the_same(column):
    fitted = Number(name="x").fit(chunked([1.0, 2.0, 3.0, 4.0]))
    expected = fitted.encode(chunked([1.0, 2.0, 4.0]))[0]
    assert torch.equal(fitted.encode(column)[0], expected)


def test_durations_mean_the_same_in_every_unit():
    waits = [dt.timedelta(seconds=n) for n in (1, 2, 4)]
    fitted = Number(name="x").fit(chunked(waits, pa.duration("s")))
    assert torch.equal(fitted.encode(chunked(waits, pa.duration("ns")))[0], fitted.encode(chunked(waits, pa.duration("ms")))[0])
    times = [dt.time(n) for n in (1, 2, 4)]
    assert torch.equal(scaled([1.0, 2.0, 4.0]), Number(name="x").fit(chunked(times)).encode(chunked(times, pa.time32("s")))[0])


def test_booleans_are_numbers_when_declared():
    assert torch.equal(scaled([0.0, 1.0]), Number(name="x").fit(chunked([0, 1])).encode(chunked([False, True]))[0])


def test_a_column_of_nulls_is_absent():
    values, present = Number(name="x").fit(chunked([1.0, 2.0])).encode(pa.chunked_array([pa.nulls(3)]))
    assert not present.any()
    assert values.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, float("inf")], "1 of 2 cells are infinite or too large (row 1: inf)"),
        (["1", "2", "n.a."], "1 of 3 cells are not numbers (row 2: 'n.a.')"),
        (["1", "1e999"], "(row 1: '1e999')"),
        ([[1], [2]], "cells of type list"),
    ],
)
def test_errors_name_the_column_the_row_and_the_value(values, said):
    with pytest.raises(DataError) as caught:
        Number(name="dose").fit(chunked(values))
    assert "column 'dose'" in str(caught.value)
    assert said in str(caught.value)
