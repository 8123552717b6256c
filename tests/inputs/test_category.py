from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytask.core import DataError
from polytask.inputs.category import Category

words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=3)


def chunked(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


@given(st.lists(words | st.none(), min_size=1, max_size=60), st.integers(1, 3))
def test_codes_lead_back_to_the_values(values, min_rows):
    fitted = Category(name="x", min_rows=min_rows).fit(chunked(values, pa.string()))
    codes, present = fitted.encode(chunked(values, pa.string()))
    for value, code, here in zip(values, codes.tolist(), present.tolist(), strict=True):
        assert here == (value is not None)
        if code:
            assert fitted.values[code - 1] == value
        else:
            assert value is None or values.count(value) < min_rows


def test_frequent_values_come_first_and_rare_ones_share_zero():
    fitted = Category(name="x").fit(chunked(["b", "a", "b", "c", "a", "b", None, " "]))
    assert fitted.values == ("b", "a")
    codes, present = fitted.encode(chunked(["a", "b", "c", "never seen", None, ""]))
    assert codes.tolist() == [2, 1, 0, 0, 0, 0]
    assert present.tolist() == [True, True, True, True, False, False]


def test_max_values_keeps_the_most_frequent():
    assert Category(name="x", max_values=1).fit(chunked(["a", "a", "b", "b", "b"])).values == ("b",)


@pytest.mark.parametrize(
    "column",
    [
        chunked([2, 1, 3], pa.int16()),
        chunked([2.0, 1.0, 3.0]),
        chunked([2.0, 1.0, 3.5]),
        chunked([Decimal("2.00"), Decimal("1.00"), Decimal("3.00")]),
        chunked(["2", "1", "3"], pa.large_string()),
        chunked(["2", "1", "3"]).dictionary_encode(),
        chunked([2, 1, 3]).dictionary_encode(),
        pa.chunked_array([["2"], ["1", "3"]]),
    ],
)
def test_types_that_mean_the_same_give_the_same(column):
    fitted = Category(name="x").fit(chunked([1, 1, 1, 2, 2]))
    assert fitted.encode(column)[0].tolist() == [2, 1, 0]


def test_a_column_of_nulls_is_absent():
    fitted = Category(name="x").fit(pa.chunked_array([pa.nulls(4)]))
    codes, present = fitted.encode(pa.chunked_array([pa.nulls(2)]))
    assert fitted.values == ()
    assert codes.tolist() == [0, 0]
    assert not present.any()


def test_lists_are_no_categories():
    with pytest.raises(DataError, match=r"column 'x': cells of type list.* have no text"):
        Category(name="x").fit(chunked([["a"], ["b"]]))
