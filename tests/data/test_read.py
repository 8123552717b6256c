"""Tables from objects, and their digest."""

from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from polytask.core import DataError
from polytask.data import read

VALUES = {"a": [1, 2, None], "b": ["x", None, "z"]}


@pytest.mark.parametrize(
    "source",
    [
        pa.table(VALUES),
        pa.RecordBatch.from_pydict(VALUES),
        pd.DataFrame({"a": pd.array([1, 2, None], "Int64"), "b": VALUES["b"]}),
        pl.DataFrame(VALUES),
        datasets.Dataset.from_dict(VALUES),
        datasets.Dataset.from_dict({name: values[::-1] for name, values in VALUES.items()}).select([2, 1, 0]),
        VALUES,
        [{"a": 1, "b": "x"}, {"a": 2}, {"b": "z"}],
    ],
    ids=["arrow", "record batch", "pandas", "polars", "datasets", "selected datasets", "dict", "list"],
)
def test_sources(source: Any) -> None:
    table = read.table(source)
    assert isinstance(table, pa.Table)
    assert table.to_pydict() == VALUES


def test_pandas_names_and_index() -> None:
    frame = pd.DataFrame({3: [1.5, np.nan], ("a", 1): [1, 2]}, index=[7, 8])
    assert read.table(frame).to_pydict() == {"3": [1.5, None], "('a', 1)": [1, 2]}
    assert read.table(frame.rename_axis("id")).column_names == ["id", "3", "('a', 1)"]


def test_mixed_objects_become_strings_with_a_warning() -> None:
    frame = pd.DataFrame({"o": [1, "x", None, float("nan"), 2.5]}, dtype=object)
    with pytest.warns(UserWarning, match=r"column 'o' mixes int \(row 0: 1\) and str \(row 1: 'x'\) and float \(row 4: 2.5\)"):
        assert read.table(frame).to_pydict() == {"o": ["1", "x", None, None, "2.5"]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"a": [1, object()]}, "column 'a': row 1 holds a value of type object"),
        ({"a": [1], "b": [1, 2]}, "columns of unequal length"),
        ({}, "has 0 rows and 0 columns"),
        ({"a": []}, "has 0 rows and 1 columns"),
        (5, "cannot be read from a int"),
        (np.zeros((2, 2)), "cannot be read from a ndarray"),
        ([1, 2], "data: row 0: is 1, not an object"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column 'a'"),
        (pa.table([[1], [2]], ["a", "a"]), "more than one column 'a'"),
        (datasets.DatasetDict({"train": datasets.Dataset.from_dict(VALUES)}), "dictionary of data sets: train"),
        ("@suport2", "is not known"),
    ],
)
def test_faults_of_objects(source: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        read.table(source)
    assert message in str(error.value)


TABLE = pa.table(
    {
        "i": pa.array([1, None, 3, 4], pa.int32()),
        "f": [0.5, None, -1.0, float("nan")],
        "s": ["a", None, "", "bc"],
        "b": [True, None, False, True],
        "t": pa.array([0, None, 5, 6], pa.timestamp("ns")),
        "d": pa.array(["u", None, "v", "u"]).dictionary_encode(),
        "l": [[1, 2], None, [], [3]],
        "r": [{"x": 1, "y": "a"}, None, {"x": 2, "y": None}, {"x": None, "y": "b"}],
        "n": pa.nulls(4),
    }
)


def test_digest_sees_content_not_layout() -> None:
    whole = read.digest(TABLE)
    assert whole == read.digest(pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 2), TABLE.slice(3)]))
    assert whole == read.digest(pa.concat_tables([TABLE, TABLE]).slice(4))
    assert whole == read.digest(TABLE.take([0, 1, 2, 3]))
    d = TABLE.column_names.index("d")
    assert whole == read.digest(TABLE.set_column(d, "d", TABLE["d"].cast(pa.string())))


@pytest.mark.parametrize("name", TABLE.column_names[:-1])
def test_digest_sees_every_cell_name_and_order(name: str) -> None:
    whole = read.digest(TABLE)
    assert whole != read.digest(TABLE.drop_columns(name))
    assert whole != read.digest(TABLE.rename_columns([f"{c}!" if c == name else c for c in TABLE.column_names]))
    position = TABLE.column_names.index(name)
    for order in ([0, 2, 2, 3], [1, 0, 2, 3]):
        assert whole != read.digest(TABLE.set_column(position, name, TABLE[name].take(order)))


def test_digest_tells_where_strings_end() -> None:
    assert read.digest(pa.table({"s": ["ab", "c"]})) != read.digest(pa.table({"s": ["a", "bc"]}))
    assert read.digest(pa.table({"s": ["", None]})) != read.digest(pa.table({"s": [None, ""]}))
