"""Series: fields found, times, statistics of training rows, what is dropped, and the conformance suite on real columns."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytask.core import DataError
from polytask.inputs.series import Series
from polytask.testing import check_input

LONG = pa.list_(pa.struct([("time", pa.float64()), ("variable", pa.string()), ("value", pa.float64())]))
EVENTS = st.lists(
    st.tuples(st.floats(0, 9), st.sampled_from(["hr", "bp", "ph"]), st.floats(-9, 9) | st.none()), min_size=0, max_size=6
)


def long(rows, kind=LONG):
    """Cells of (time, variable, value), None where absent."""
    names = [field.name for field in kind.value_type]
    cells = [None if row is None else [dict(zip(names, event, strict=True)) for event in row] for row in rows]
    return pa.chunked_array([pa.array(cells, kind)])


SOME = long([[(2.0, "hr", 3.0), (0.5, "bp", 1.0), (0.5, "hr", 5.0)], None, [], [(4.0, "bp", 3.0)]])


def test_events_are_sorted_by_time_and_standardised_by_variable():
    fitted = Series(name="labs").fit(SOME)
    assert fitted.names == ("bp", "hr")
    assert (fitted.mean, fitted.deviation, fitted.span) == ((2.0, 4.0), (1.0, 1.0), 4.0)
    column, present = fitted.encode(SOME)
    assert present.tolist() == [True, False, False, True]
    assert column.offsets.tolist() == [0, 3, 3, 3, 4]
    assert sorted(column.values[:2].tolist()) == [[0.5, 0.0, -1.0], [0.5, 1.0, 1.0]]
    assert column.values[2:].tolist() == [[2.0, 1.0, -1.0], [4.0, 0.0, 1.0]]


@given(st.lists(EVENTS | st.none(), min_size=1, max_size=5))
@settings(deadline=None)
def test_means_and_counts_are_those_of_the_events_with_values(rows):
    known = [event for row in rows if row for event in row if event[2] is not None]
    if not known:
        return
    fitted = Series(name="labs").fit(long(rows))
    column, present = fitted.encode(long(rows))
    assert present.tolist() == [bool(row and any(value is not None for _, _, value in row)) for row in rows]
    assert len(column.values) == len(known)
    for number, name in enumerate(fitted.names):
        values = [value for _, variable, value in known if variable == name]
        assert fitted.mean[number] == pytest.approx(np.mean(values), abs=1e-9)
        assert (column.values[:, 1] == number).sum() == len(values)
    times = [sorted(time for time, _, value in row or [] if value is not None) for row in rows]
    np.testing.assert_allclose(column.values[:, 0].numpy(), [time for row in times for time in row], rtol=1e-6, atol=1e-30)


def test_variables_that_training_rows_did_not_have_are_dropped():
    fitted = Series(name="labs").fit(SOME)
    column, present = fitted.encode(long([[(1.0, "new", 1.0)], [(1.0, "new", 1.0), (2.0, "hr", 4.0)]]))
    assert present.tolist() == [False, True]
    assert column.values.tolist() == [[2.0, 1.0, 0.0]]


def test_the_most_frequent_variables_are_kept():
    fitted = Series(name="labs", most=1).fit(SOME)
    assert fitted.names == ("bp",)  # as frequent as hr, and earlier in the alphabet
    assert fitted.encode(SOME)[0].values[:, 0].tolist() == [0.5, 4.0]


def test_fields_are_found_by_name_and_type_or_declared():
    kind = pa.list_(pa.struct([("v", pa.int32()), ("charttime", pa.float32()), ("hour", pa.float32()), ("item", pa.string())]))
    column = long([[(7, 0.5, 1.5, "hr"), (9, 0.5, 2.5, "hr")]], kind)
    assert Series.recognises("labs", column)
    assert Series(name="labs").fit(column).fields == ("hour", "item", "v")
    assert Series(name="labs", time="v", value="hour").fit(column).fields == ("v", "item", "hour")
    with pytest.raises(DataError, match=r"column 'labs': has no field 'when' \(option time\)"):
        Series(name="labs", time="when").fit(column)


def test_wide_lists_have_a_variable_for_each_number():
    kind = pa.list_(pa.struct([("day", pa.int32()), ("hr", pa.float64()), ("bp", pa.float64())]))
    column = long([[(1, 60.0, None), (3, 80.0, 7.0)]], kind)
    assert Series.recognises("labs", column)
    fitted = Series(name="labs").fit(column)
    assert (fitted.fields, fitted.names, fitted.mean) == (("day",), ("bp", "hr"), (7.0, 70.0))
    assert fitted.encode(column)[0].values.tolist() == [[1.0, 1.0, -1.0], [3.0, 1.0, 1.0], [3.0, 0.0, 0.0]]


def test_moments_are_hours_from_the_row_s_first_event():
    kind = pa.list_(pa.struct([("at", pa.timestamp("s")), ("variable", pa.string()), ("value", pa.float64())]))
    day = dt.datetime(2026, 1, 1)
    rows = [[(day, "hr", 1.0), (day + dt.timedelta(minutes=90), "hr", 3.0)], [(day + dt.timedelta(days=9), "hr", 1.0)]]
    column = long(rows, kind)
    assert Series(name="labs").fit(column).encode(column)[0].values[:, 0].tolist() == [0.0, 1.5, 0.0]


def test_origin_decides_where_numbers_start():
    first = Series(name="labs", origin="first").fit(SOME)
    assert first.encode(SOME)[0].values[:, 0].tolist() == [0.0, 0.0, 1.5, 0.0]
    assert first.span == 1.5


def test_slices_chunks_and_columns_of_nulls():
    fitted = Series(name="labs").fit(SOME)
    whole = fitted.encode(SOME)[0]
    cut, present = fitted.encode(pa.chunked_array([SOME.slice(2).combine_chunks(), SOME.slice(0, 1).combine_chunks()]))
    assert present.tolist() == [False, True, True]
    assert cut.values.tolist() == [whole.values[3].tolist(), *whole.values[:3].tolist()]
    nothing, present = fitted.encode(pa.chunked_array([pa.nulls(3)]))
    assert (nothing.values.shape, present.any().item()) == ((0, 3), False)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()),
        pa.list_(pa.struct([("x", pa.float64()), ("name", pa.string())])),
        pa.list_(pa.struct([("time", pa.float64()), ("name", pa.string())])),
        pa.list_(pa.struct([("row", pa.int64()), ("time", pa.float64()), ("weight", pa.float64())])),
        pa.string(),
    ],
)
def test_other_columns_are_no_series(kind):
    assert not Series.recognises("labs", pa.chunked_array([pa.nulls(2, kind)]))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (long([None, []]), "no row has an event with a time and a value"),
        (long([[(1.0, "hr", float("inf"))]]), r"column 'labs.value': 1 of 1 cells are infinite"),
        (pa.chunked_array([["a"]]), r"no field of its lists looks like a time \(fields: none\)"),
    ],
)
def test_errors_say_what_is_wrong(column, said):
    with pytest.raises(DataError, match=said):
        Series(name="labs").fit(column)


def test_real_columns_conform():
    rows = [None] + [[(0.5 * i, "hr", 1.0 * i), (1.0 * i, "bp", -2.0)] for i in range(11)]
    report = check_input("series", (4, 12), long(rows))
    assert report.passed, report.failures()
