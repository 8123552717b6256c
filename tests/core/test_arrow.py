"""Cells of Arrow columns."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from polytask.core import DataError, arrow


def cells(values: object, kind: pa.DataType | None = None) -> pa.Array:
    return arrow.plain(pa.chunked_array([pa.array(values, kind)]))


def test_missing_cells_are_null_whatever_the_type() -> None:
    assert cells(["a ", " ", "", None]).to_pylist() == ["a", None, None, None]
    assert cells([1.5, float("nan"), None]).to_pylist() == [1.5, None, None]
    assert cells(pa.array(["b", "", "b"]).dictionary_encode()).to_pylist() == ["b", None, "b"]
    assert cells([Decimal("1.5"), None]).to_pylist() == [1.5, None]
    assert arrow.plain(pa.chunked_array([], pa.string())).to_pylist() == []
    assert arrow.valid(cells(["a", ""])).tolist() == [True, False]


def test_texts_are_equal_for_equal_meaning() -> None:
    for same in ([3, 0, None], [3.0, -0.0, None], ["3", "0", " "], [Decimal(3), Decimal(0), None]):
        assert arrow.texts("x", cells(same)).to_pylist() == ["3", "0", None]
    with pytest.raises(DataError, match=r"column 'x': cells of type list<.*> have no text"):
        arrow.texts("x", cells([[1]]))


def test_numbers() -> None:
    np.testing.assert_array_equal(arrow.numbers("x", cells(["1.5", "", "-2e3"])), [1.5, np.nan, -2000])
    np.testing.assert_array_equal(arrow.numbers("x", cells([True, None])), [1, np.nan])
    np.testing.assert_array_equal(arrow.numbers("x", cells([None, None])), [np.nan, np.nan])
    assert arrow.numbers("x", cells([dt.timedelta(seconds=2)])).tolist() == [2e6]
    assert arrow.numbers("x", cells([dt.time(0, 0, 1)])).tolist() == [1e6]
    assert arrow.numbers("x", cells([float("inf")]), most=np.inf).tolist() == [np.inf]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "n.a.", None], r"1 of 3 cells are not numbers \(row 1: 'n.a.'\)"),
        ([1.0, float("inf")], r"1 of 2 cells are infinite or too large \(row 1: inf\)"),
        (["x"] * 7, r"7 of 7 cells are not numbers \(row 0: 'x', .*, row 4: 'x', \.\.\.\)"),
        ([[1.0]], "cells of type list<.*> are not numbers"),
    ],
)
def test_what_is_no_number_is_named(values: list, message: str) -> None:
    with pytest.raises(DataError, match=f"column 'x': {message}"):
        arrow.numbers("x", cells(values))


@pytest.mark.parametrize(
    ("values", "numeric", "whole"),
    [
        ([1, None], True, True),
        ([1.0, 2.0], True, True),
        ([1.0, float("inf")], True, False),
        ([2.0**60], True, False),
        (["1", "2.0"], True, True),
        (["1", "2.5"], True, False),
        (["1", "x"], False, False),
        ([True], True, False),
        ([None], False, False),
        ([dt.timedelta(1)], True, False),
        ([dt.date(2026, 1, 1)], False, False),
        ([[1]], False, False),
    ],
)
def test_what_is_numeric_and_whole(values: list, numeric: bool, whole: bool) -> None:
    assert (arrow.numeric(cells(values)), arrow.whole(cells(values))) == (numeric, whole)
    assert arrow.numeric(cells([*["1"] * 99, "x"]), share=0.99)
