"""Whatever the bytes, a reader gives a table or an error; whatever the table, its schema gives a finite batch or one."""

import json
import warnings
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from polytask.core import Batch, DataError, Schema
from polytask.core.batch import Ragged
from polytask.core.errors import PolytaskError
from polytask.data import infer, read

PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BEGINNINGS = (
    b"",
    b"PAR1",
    b"ARROW1\0\0",
    b"\xff\xff\xff\xff",
    b"PK\x03\x04.npy",
    b'{"a":',
    b"[{",
    b"a,b\n1,2\n",
    b"\xff\xfea\0",
    b"<graphml>",
    b"graph [",
)
SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".parquet", ".arrow", ".arrows", ".jsonl", ".json", ".npz", ".graphml", ".gml", "")
NAMES = st.text("abxyz_ .é", min_size=1, max_size=6).filter(lambda name: name.strip() == name)
WORDS = st.text("ab é\n\"',;|\t", max_size=5)
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**62), 2**62),
    "number": st.floats(-1e300, 1e300),
    "flag": st.booleans(),
    "word": WORDS,
}
ODD: dict[str, st.SearchStrategy[Any]] = COLUMNS | {
    "any number": st.floats(),
    "code": st.integers(0, 3),
    "numeral": st.sampled_from(["1", "2.5", "1e400", "nan", "x", "1,5", "12 kg", "31.01.2024"]),
    "moment": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "time": st.timedeltas(timedelta(-9999), timedelta(9999)),
    "file": st.sampled_from(["a.png", "b.wav"]),
    "bytes": st.binary(max_size=3),
    "vector": st.lists(st.floats(), min_size=2, max_size=2),
    "list": st.lists(st.floats(), max_size=3),
    "labels": st.lists(st.sampled_from("abc"), max_size=3),
    "series": st.lists(
        st.fixed_dictionaries({"time": st.floats(), "name": st.sampled_from("ab"), "value": st.floats()}), max_size=3
    ),
    "wide": st.lists(st.fixed_dictionaries({"time": st.none() | st.integers(0, 9), "a": st.floats()}), max_size=3),
    "rows": st.lists(st.fixed_dictionaries({"row": st.integers(-1, 20)}), max_size=2),
    "struct": st.fixed_dictionaries({"x": st.integers(0, 1)}),
    "nothing": st.none(),
}


@st.composite
def tables(draw: Callable[..., Any], columns: dict[str, st.SearchStrategy[Any]], gaps: bool = True, least: int = 1) -> pa.Table:
    rows = draw(st.integers(least, 12))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))

    def cells(kind: str) -> list[Any]:
        cell = st.none() | columns[kind] if gaps else columns[kind]
        return draw(st.lists(cell, min_size=rows, max_size=rows))

    return pa.table({name: pa.array(cells(draw(st.sampled_from(sorted(columns))))) for name in names})


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tried(path: Path) -> pa.Table | None:
    try:
        return read.table(path)
    except DataError:
        return None


@PATIENT
@given(st.sampled_from(SUFFIXES), st.sampled_from(BEGINNINGS), st.binary(max_size=200))
@example(".json", b"", b"[" * 5000)
@example(".csv", b"", b"a,b\n1\0,2\n")
@example(".npz", b"", b"PK\x05\x06" + b"\0" * 18)
def test_any_bytes_are_a_table_or_a_data_error(tmp_path: Path, suffix: str, start: bytes, rest: bytes) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(start + rest)
    tried(path)


@PATIENT
@given(st.sampled_from(SUFFIXES[:9]), tables(COLUMNS, gaps=False), st.data())
def test_damage_is_a_table_or_a_data_error(tmp_path: Path, suffix: str, table: pa.Table, data: st.DataObject) -> None:
    path = tmp_path / f"damaged{suffix}"
    read.write(table, path)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    found = tried(path)
    if found is not None:
        read.digest(found)


@PATIENT
@given(st.sampled_from([".parquet", ".arrow", ".arrows"]), tables(ODD))
def test_binary_formats_give_the_table_back(tmp_path: Path, suffix: str, table: pa.Table) -> None:
    read.write(table, tmp_path / f"a{suffix}")
    assert repr(read.table(tmp_path / f"a{suffix}").to_pydict()) == repr(table.to_pydict())  # NaN is no equal of itself


@PATIENT
@given(tables(COLUMNS, gaps=False))
def test_npz_gives_numbers_and_words_back(tmp_path: Path, table: pa.Table) -> None:
    read.write(table, tmp_path / "a.npz")
    assert read.table(tmp_path / "a.npz").to_pydict() == table.to_pydict()


@PATIENT
@given(tables(COLUMNS))
def test_lines_of_json_give_values_back(tmp_path: Path, table: pa.Table) -> None:
    read.write(table, tmp_path / "a.jsonl")
    found = read.table(tmp_path / "a.jsonl").to_pydict()
    for name, cells in table.to_pydict().items():
        assert found[name] == [
            pytest.approx(cell, rel=1e-14, abs=1e-300) if isinstance(cell, float) else cell for cell in cells
        ]


@PATIENT
@given(tables(COLUMNS))
def test_csv_gives_numbers_back(tmp_path: Path, table: pa.Table) -> None:
    """Of words, those that look like another type change it, and blank ones are missing; their number of rows stays."""
    read.write(table, tmp_path / "a.csv")
    found = tried(tmp_path / "a.csv")
    if found is None or found.num_columns == 1:  # an empty line of a single column is no row
        return
    assert found.column_names == table.column_names
    for name, cells in table.to_pydict().items():
        if pa.types.is_integer(table.schema.field(name).type) or pa.types.is_floating(table.schema.field(name).type):
            assert found[name].to_pylist() == cells


def finite(batch: Batch) -> None:
    for place in (batch.inputs, batch.targets):
        for name, column in place.items():
            values = column.values if isinstance(column, Ragged) else column
            assert isinstance(values, torch.Tensor)
            assert not values.is_floating_point() or bool(values.isfinite().all()), name


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(ODD, least=2), st.data())
def test_a_schema_is_an_error_or_gives_finite_batches(table: pa.Table, data: st.DataObject) -> None:
    names = table.column_names
    tasks = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    rows = torch.arange(data.draw(st.integers(1, table.num_rows)))
    try:
        schema, _ = infer.schema(table, infer.tasks(table, dict.fromkeys(tasks)), None, (), rows)
        batch = schema.encode(table)
    except PolytaskError:
        return
    finite(batch)
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
