"""Intervals cover as often as they say; gains are those of the paper."""

import math

import numpy as np
import pytest

from polytask.engine.statistics import interval, relative_gain


@pytest.mark.parametrize("n", [2, 3, 10])
def test_intervals_of_independent_values_cover_at_their_level(n: int) -> None:
    draw = np.random.default_rng(n)
    trials = 4000
    found = [interval(row.tolist()) for row in draw.normal(loc=2.0, size=(trials, n))]
    covered = np.mean([each.low <= 2.0 <= each.high for each in found])
    assert abs(covered - 0.95) < 0.0125  # 3.6 standard errors


def test_overlapping_training_parts_widen_the_interval() -> None:
    plain, corrected = interval([1.0, 2.0, 4.0]), interval([1.0, 2.0, 4.0], test_share=0.25)
    assert corrected.half / plain.half == pytest.approx(math.sqrt((1 / 3 + 0.25) / (1 / 3)))  # Nadeau and Bengio 2003
    assert corrected.mean == plain.mean == pytest.approx(7 / 3)


def test_few_or_undefined_values_have_no_interval() -> None:
    assert interval([1.5]).mean == 1.5
    assert math.isnan(interval([1.5]).low)
    assert math.isnan(interval([math.nan]).mean)
    assert interval([1.0, math.nan, 3.0]) == interval([1.0, 3.0])
    assert not interval([1.5]).excludes_zero


def test_relative_gain_by_hand() -> None:
    # +10 % on a metric of which more is better, 20 % less of an error: +15 % on average
    assert relative_gain([0.88, 4.0], [0.8, 5.0], [1, -1]) == pytest.approx(15.0)
    assert relative_gain([-0.1], [-0.2], [1]) == pytest.approx(50.0)  # better, though the reference is negative
    assert relative_gain([0.88, math.nan], [0.8, 5.0], [1, -1]) == pytest.approx(10.0)
    assert math.isnan(relative_gain([1.0], [0.0], [1]))
