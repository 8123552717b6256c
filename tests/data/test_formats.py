"""Each format: what is written is read back; odd files are read as meant; every fault names its place."""

import gzip
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polytask.core import DataError
from polytask.data import read

TABLE = pa.table(
    {
        "whole": [1, None, 3],
        "number": [0.1, None, -1e300],
        "words": ["a, b", None, 'q"\nz; \t|'],
        "flag": [True, None, False],
        "moment": pa.array([0, None, 5], pa.timestamp("us")),
        "ward": pa.array(["icu", None, "er"]).dictionary_encode(),
        "count": pa.array([1, 2, 3], pa.int8()),
    }
)


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read.table(path)
    return str(error.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst", "tsv", "parquet", "arrow", "arrows", "feather"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    read.write(TABLE, path)
    assert read.table(path).to_pydict() == TABLE.to_pydict()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson.gz", "jsonl.zst", "json"])
def test_json_round_trip(tmp_path: Path, suffix: str) -> None:
    table = TABLE.drop_columns("moment").append_column("list", pa.array([[1.5, 2.0], None, []]))
    path = tmp_path / f"a.{suffix}"
    read.write(table, path)
    assert read.table(path).to_pydict() == table.to_pydict()


def test_binary_formats_keep_types_and_lists(tmp_path: Path) -> None:
    table = TABLE.append_column("list", pa.array([[1.5], None, []]))
    for suffix in ("parquet", "arrow", "arrows"):
        read.write(table, tmp_path / f"a.{suffix}")
        assert read.table(tmp_path / f"a.{suffix}").schema.types == table.schema.types


CELLS = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cs", "Zs")), min_size=1, max_size=8),
)
ABSENT = {"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "?", "-"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(CELLS, st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), st.floats(allow_nan=True)), min_size=1),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_csv_that_pandas_writes(
    tmp_path: Path, rows: list[tuple[str | None, int | None, float]], delimiter: str, code: str
) -> None:
    words, whole, numbers = zip(*rows, strict=True)
    frame = pd.DataFrame({"words": ["x", *words], "whole": pd.array([0, *whole], "Int64"), "numbers": [0.5, *numbers]})
    path = tmp_path / "a.csv"
    frame.to_csv(path, sep=delimiter, index=False, encoding=code, lineterminator="\n")
    table = read.table(path)
    assert table.column_names == list(frame.columns)
    assert table["whole"].to_pylist() == [0, *whole]
    assert table["numbers"].to_pylist() == [None if value != value else value for value in [0.5, *numbers]]
    expected = [None if value is None or value.strip() in ABSENT else value for value in ["x", *words]]
    assert table["words"].to_pylist() == expected


def test_csv_types(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        "a.csv",
        "spaced,gaps,code,mixed,flag,day,moment,huge\n"
        "  5, NA,007,1,True,2024-01-31,2024-01-31T10:00:00Z,99999999999999999999\n"
        "+7 ,?,010,two,false,2024-02-01,2024-01-31T12:00:00+02:00,1\n",
    )
    table = read.table(path)
    assert table["spaced"].to_pylist() == [5, 7]
    assert table["gaps"].null_count == 2
    assert table["code"].to_pylist() == ["007", "010"]
    assert table["mixed"].to_pylist() == ["1", "two"]
    assert table["flag"].to_pylist() == [True, False]
    assert table["day"].to_pylist() == [datetime(2024, 1, 31), datetime(2024, 2, 1)]
    assert table["moment"].to_pylist() == [datetime(2024, 1, 31, 10, tzinfo=UTC)] * 2
    assert table["huge"].to_pylist() == ["99999999999999999999", "1"]


def test_csv_dialects(tmp_path: Path) -> None:
    assert read.table(put(tmp_path, "a.csv", "x;y\n3,5;a, b\n,25;c\n")).to_pydict() == {"x": [3.5, 0.25], "y": ["a, b", "c"]}
    assert read.table(put(tmp_path, "b.csv", "x\ty\r\n1,5\t2\r\n")).to_pydict() == {"x": ["1,5"], "y": [2]}
    assert read.table(put(tmp_path, "c.csv", 'x|"a ""q"""\n1|2\n')).to_pydict() == {"x": [1], 'a "q"': [2]}
    assert read.table(put(tmp_path, "d.csv", "only\nmore\n")).to_pydict() == {"only": ["more"]}
    assert read.table(put(tmp_path, "e.csv", ",y,\n1,2,3\n")).column_names == ["unnamed: 0", "y", "unnamed: 2"]
    assert read.table(put(tmp_path, "f.csv", "x,y\n1,é\n".encode("utf-16-le"))).to_pydict() == {"x": [1], "y": ["é"]}


def test_wide_tables(tmp_path: Path) -> None:
    names = [f"gene number {i}" for i in range(9000)]
    content = "\n".join([";".join(names), *[";".join(["1,5"] * 9000)] * 2])
    table = read.table(put(tmp_path, "a.csv", content))
    assert table.column_names == names
    assert table[names[-1]].to_pylist() == [1.5, 1.5]


def test_latin_1_is_not_silent(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "x,y\n1,a\n2,é\n".encode("latin-1"))
    with pytest.warns(UserWarning, match=r"a\.csv: line 3 is not UTF-8 .* read as Latin-1"):
        assert read.table(path)["y"].to_pylist() == ["a", "é"]


def test_types_are_those_of_the_whole_file(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "x\n" + "1\n" * 300_000 + "word\n")
    assert read.table(path)["x"][-1].as_py() == "word"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: is empty. Give a file with a header and rows"),
        ("a.csv", "x,y\n", "a.csv: has a header and no rows. Give a file with rows"),
        ("a.csv", "x,y,x\n1,2,3\n", "a.csv: has more than one column 'x'. Rename or remove all but one"),
        (
            "a.csv",
            'x,y\n"1\n",2\n1,2,3\n4\n5,6\n',
            "a.csv: line 4: has 3 cells, the header has 2. Quote cells that hold a ',', or mend the line\n"
            "a.csv: line 5: has 1 cells, the header has 2. Quote cells that hold a ',', or mend the line",
        ),
        (
            "a.csv",
            'x,y\n1,"2\n3,4\n',
            "a.csv: last row: holds a line break: ['1', '2\\n3,4\\n']. Is a quotation mark left open?",
        ),
        ("a.csv", b"PAR1\0\1", "a.csv: does not hold what its suffix says; it looks like parquet. Rename it to a.parquet"),
        ("a.jsonl", " \n", "a.jsonl: is empty. Give a file with an object a line"),
        (
            "a.jsonl",
            '{"x": 1}\n\n{"x": 2,\n',
            "a.jsonl: line 3, character 9: is no JSON: Expecting property name enclosed in double quotes. "
            "Mend the line, or remove it",
        ),
        (
            "a.json",
            '[{"x": 1},\n{"x" 2}]',
            "a.json: line 2, character 6: is no JSON: Expecting ':' delimiter. Mend the line, or remove it",
        ),
        ("a.json", '[{"x": 1}, 3]', "a.json: row 1: is 3, not an object. Give each row as {column: value}"),
        ("a.xlsx", b"PK\3\4", "a.xlsx: is a ZIP archive or an Excel workbook. Unpack it, or save the sheet as CSV"),
        ("a.xls", b"\3\4", "a.xls: unknown suffix '.xls'. Known: .arrow, .arrows, .csv, .feather, "),
        ("a.parket", b"\3\4", "a.parket: unknown suffix '.parket'. Did you mean '.parquet'?"),
    ],
)
def test_faults_of_files(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    assert fault(put(tmp_path, name, content)).startswith(message)


def test_many_ragged_rows_are_counted(tmp_path: Path) -> None:
    message = fault(put(tmp_path, "a.csv", "x,y\n" + "1\n" * 9 + "1,2\n" * 99))
    assert message.count("\n") == 4
    assert "(and 4 more such rows)" in message


def test_damaged_files(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    pq.write_table(TABLE, whole)
    assert "a.parquet: is no whole Parquet file" in fault(put(tmp_path, "a.parquet", whole.read_bytes()[:-20]))
    read.write(TABLE, tmp_path / "whole.arrow")
    assert "a.arrow: is no whole Arrow file" in fault(put(tmp_path, "a.arrow", (tmp_path / "whole.arrow").read_bytes()[:-20]))
    assert "a.csv.gz: cannot be read" in fault(put(tmp_path, "a.csv.gz", gzip.compress(b"x,y\n1,2\n" * 99)[:-12]))


def test_missing_files(tmp_path: Path) -> None:
    put(tmp_path, "patients.csv", "x\n1\n")
    assert fault(tmp_path / "pateints.csv") == "pateints.csv: no such file. Did you mean 'patients.csv'?"
    assert "There is no folder" in fault(tmp_path / "no" / "a.csv")
    with pytest.raises(DataError, match="is a folder"):
        read.table(tmp_path)


def test_content_decides_where_the_suffix_says_nothing(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "a.data")
    assert read.table(tmp_path / "a.data").num_rows == 3
    assert read.table(put(tmp_path, "b.data", '{"x": 1}')).to_pydict() == {"x": [1]}
    assert read.table(put(tmp_path, "c", "x,y\n1,2\n")).to_pydict() == {"x": [1], "y": [2]}


def test_json_of_mixed_types_becomes_strings(tmp_path: Path) -> None:
    rows = [{"x": 1, "l": [1]}, {"x": "a"}, {"x": None, "l": [2, 3]}]
    path = put(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.warns(UserWarning, match=r"column 'x' mixes int \(row 0: 1\) and str \(row 1: 'a'\)"):
        assert read.table(path).to_pydict() == {"x": ["1", "a", None], "l": [[1], None, [2, 3]]}


def test_pandas_index_in_parquet_is_ignored(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1, 2]}, index=[5, 9]).to_parquet(tmp_path / "a.parquet")
    assert read.table(tmp_path / "a.parquet").column_names == ["x"]


def test_lists_do_not_fit_csv_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'l': cells of type .* Write Parquet or JSON lines"):
        read.write(pa.table({"l": [[1]]}), tmp_path / "a.csv")
    with pytest.raises(DataError, match="no folder"):
        read.write(TABLE, tmp_path / "no" / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_reading_is_quiet(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read.table(put(tmp_path, "a.csv", "x,y\n1,é\n"))
