"""Tables attached to rows as lists, and lists that name other rows."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytask.core import DataError, OptionError
from polytask.data import nested
from polytask.data.prepare import Prepared, prepare
from polytask.data.split import SplitOptions
from polytask.engine.config import Config

PATIENTS = {"patient": ["a", "b", "c"], "age": [30, 40, 50]}
LABS = {"patient": ["b", "a", "b", "z"], "time": [2.0, 1.0, 1.0, 9.0], "value": [5.0, 6.0, 7.0, 8.0]}


def test_rows_go_to_their_owner_in_their_order() -> None:
    found = nested.table(PATIENTS, {"labs": {"file": LABS, "key": "patient"}})
    assert found["labs"].to_pylist() == [
        [{"time": 1.0, "value": 6.0}],
        [{"time": 2.0, "value": 5.0}, {"time": 1.0, "value": 7.0}],
        [],
    ]
    assert nested.keys({"labs": {"file": LABS, "key": "patient"}}) == ["patient"]


def test_references_become_row_numbers() -> None:
    edges = {"node": [10, 10, 30, 20], "target": ["20", "30", "10", "99"], "weight": [1, 2, 3, 4]}
    found = nested.table({"node": [10, 20, 30]}, {"edges": {"file": edges, "key": "node", "to": "target"}})
    cells = [[{"row": e["row"], "weight": e["weight"]} for e in row] for row in found["edges"].to_pylist()]
    assert cells == [[{"row": 1, "weight": 1}, {"row": 2, "weight": 2}], [], [{"row": 0, "weight": 3}]]
    assert nested.refers(found)
    assert not nested.refers(pa.table({"x": [[1]]}))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers()), max_size=40))
def test_attaching_is_grouping(pairs: list[tuple[int, int]]) -> None:
    pairs = [(key, value % 1000) for key, value in pairs] or [(0, 1)]
    other = {"key": [key for key, _ in pairs], "v": [value for _, value in pairs]}
    found = nested.table({"key": list(range(5))}, {"more": {"file": other, "key": "key"}})
    for key, cell in enumerate(found["more"].to_pylist()):
        assert [entry["v"] for entry in cell] == [value for k, value in pairs if k == key]


@pytest.mark.parametrize(
    ("rows", "part", "says"),
    [
        (PATIENTS, {"file": LABS, "key": "patiant"}, "no column 'patiant' to connect by. Did you mean 'patient'"),
        (
            PATIENTS,
            {"file": LABS, "key": "patient", "to": "tim"},
            "'labs' has no column 'tim' to connect by. Did you mean 'time'",
        ),
        ({"patient": ["a", "a"], "age": [1, 2]}, {"file": LABS, "key": "patient"}, "has 1 values more than once, such as 'a'"),
        ({"patient": ["a", None], "age": [1, 2]}, {"file": LABS, "key": "patient"}, "is empty in some rows"),
        ({**PATIENTS, "labs": [1, 2, 3]}, {"file": LABS, "key": "patient"}, "the table has a column of this name"),
    ],
)
def test_faults_name_the_column_and_the_fix(rows: dict, part: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        nested.table(rows, {"labs": part})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("labs.csv", r"data\[0\].with: must be a mapping"),
        ({"labs": "labs.csv"}, r"data\[0\].with.labs: needs a file and a key"),
        ({"labs": {"file": "x", "key": "y", "too": "z"}}, r"data\[0\].with.labs.too: unknown key. Did you mean 'to'"),
    ],
)
def test_a_configuration_says_how_to_write_it(given: object, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Config.from_dict({"data": [{"file": "p.csv", "with": given}], "tasks": ["age"]})


def test_files_of_a_configuration_are_absolute(tmp_path: Path) -> None:
    source = {"file": "p.csv", "with": {"labs": {"file": "labs.csv", "key": "patient"}}}
    config = Config.from_dict({"data": [source], "tasks": ["age"]})
    again = Config.from_dict(config.to_dict())
    assert again == config
    assert Path(config.data[0]["with"]["labs"]["file"]).is_absolute()
    pd.DataFrame(PATIENTS).to_csv(tmp_path / "p.csv", index=False)


def prepared(sources: list[dict], ignore: tuple[str, ...] = ()) -> Prepared:
    return prepare(sources, {"ill": "binary"}, {}, ignore, SplitOptions(how="random"))


DOSES = [round(0.37 * i, 2) for i in range(40)]
ROWS = {"dose": DOSES, "age": [20 + i % 30 for i in range(40)], "ill": [i % 2 for i in range(40)]}
EDGES = {"dose": DOSES, "to": [*DOSES[1:], DOSES[0]]}
LINKED = {"file": ROWS, "with": {"edges": {"file": EDGES, "key": "dose", "to": "to"}}}


def test_a_column_that_only_connects_is_no_input() -> None:
    assert list(prepared([{"file": ROWS}]).schema.inputs) == ["dose", "age"]
    assert list(prepared([LINKED]).schema.inputs) == ["age", "edges"]


def test_row_numbers_do_not_go_across_files() -> None:
    with pytest.raises(DataError, match="refers to its own rows, and there are several sources"):
        prepared([LINKED, {"file": ROWS}])
