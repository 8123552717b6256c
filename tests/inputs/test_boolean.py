import pyarrow as pa
import pytest

from polytask.core import DataError
from polytask.inputs.boolean import Boolean


def chunked(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


@pytest.mark.parametrize(
    "values",
    [[True, None, False], [1, None, 0], [1.0, float("nan"), 0.0], ["YES", "", "no"], [" t", None, "F"], ["1", None, "0"]],
)
def test_every_way_of_saying_it(values):
    flags, present = Boolean(name="x").encode(chunked(values))
    assert flags.tolist() == [1, 0, 0]
    assert present.tolist() == [True, False, True]


def test_errors_name_rows_and_values():
    with pytest.raises(DataError, match=r"column 'x': 2 of 3 cells are neither yes nor no \(row 1: 2, row 2: 3\)"):
        Boolean(name="x").fit(chunked([1, 2, 3]))
