import numpy as np
import pyarrow as pa
import pytest
from sklearn.preprocessing import StandardScaler

from polytask.core import DataError
from polytask.inputs.vector import Vector


def chunked(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


@pytest.mark.parametrize("type", [pa.list_(pa.float64()), pa.list_(pa.float32(), 3), pa.large_list(pa.float64())])
def test_places_are_standardised_as_scikit_learn_does(type):
    values = np.random.default_rng(0).integers(0, 9, (50, 3)).astype(float)
    column = chunked([None, *values.tolist()], type)
    encoded, present = Vector(name="x").fit(column).encode(column)
    assert present.tolist() == [False] + [True] * 50
    assert encoded[0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(encoded[1:].numpy(), StandardScaler().fit_transform(values), atol=1e-5)


def test_gaps_inside_a_list_take_the_mean_and_constants_stay_finite():
    column = chunked([[1.0, 5.0], [None, 5.0], [3.0, 5.0]])
    encoded, _ = Vector(name="x").fit(column).encode(column)
    assert encoded.tolist() == [[-1, 0], [0, 0], [1, 0]]


def test_slices_and_nulls():
    fitted = Vector(name="x").fit(chunked([[1.0, 5.0], [3.0, 6.0]]))
    assert fitted.encode(chunked([[9.0, 9.0], [1.0, 5.0]]).slice(1))[0].tolist() == [[-1, -1]]
    encoded, present = fitted.encode(pa.chunked_array([pa.nulls(2)]))
    assert encoded.shape == (2, 2)
    assert not present.any()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1.0, 2.0], [1.0], [3.0, 4.0]], r"1 of 3 cells are not of length 2 \(row 1: \[1.0\]\)"),
        ([None, [1.0, float("inf")]], r"1 of 2 cells are infinite or too large \(row 1: \[1.0, inf\]\)"),
        ([["a"]], "no row holds a list of numbers"),
        ([None], "no row holds a list of numbers"),
    ],
)
def test_errors_name_rows_and_values(values, said):
    with pytest.raises(DataError, match=f"column 'x': {said}"):
        Vector(name="x").fit(chunked(values))
