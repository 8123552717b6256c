"""Files that are no table, or no whole one: `polytask fit` names file, line and fix, or reads the file and says how."""

import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from cli_run import FAST, files, polytask, table

CSV = table(60).round(3).to_csv(index=False)
JSON = table(60).to_json(orient="records", lines=True)
LINES = CSV.splitlines()


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table(60)), sink)
    return sink.getvalue()


def changed(line: int, text: str, more: str = "") -> str:
    return "\n".join([*LINES[:line], text, *LINES[line + 1 :], more])


def told(name: str, content: str | bytes) -> str:
    """What `polytask fit` says of a file that it refuses; nothing else is left."""
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    found = polytask("fit", name, "--tasks", "cost", "--out", "runs/a", *FAST)
    assert found.code == 2, found
    assert all(line.startswith(("error: ", "warning: ", "note: ")) for line in found.err.splitlines()), found.err
    assert files(Path()).keys() == {name}
    return found.err


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", "", "a.csv: is empty. Give a file with a header and rows"),
        ("a.csv", "\n\n\0\0", "a.csv: is empty. Give a file with a header and rows"),
        ("a.csv", LINES[0], "a.csv: has a header and no rows. Give a file with rows"),
        ("a.csv", "cost,b,b\n1,2,3\n", "a.csv: has more than one column 'b'. Rename or remove all but one"),
        ("a.csv", changed(4, "1,2"), "a.csv: line 5: has 2 cells, the header has 5. Quote cells that hold a ','"),
        ("a.csv", changed(4, '"a\nb",1,1,1,1', "1,2"), "a.csv: line 63: has 2 cells, the header has 5"),
        ("a.csv", changed(4, '"1,2,3,4,5'), "line 5: has 1 cells, the header has 5. Quote cells that hold"),
        ("a.csv", changed(4, '"1,2,3,4,5'), "Is a quotation mark left open?"),
        (
            "a.csv",
            "\n".join([LINES[0], *(f"{line},9,9" for line in LINES[1:])]),
            "line 6: has 7 cells, the header has 5 (and 55",
        ),
        ("a.csv", b"\x89PNG\r\n\x1a\n0000", "a.csv: is a PNG image. Give a table with a column of"),
        ("a.csv", gzip.compress(CSV.encode()), "a.csv: is a gzip file. Add .gz to its name"),
        ("a.csv", b"cost\xff\x01\x02\n1\n", r"a.csv: is no text: it holds bytes such as b'\x01'"),
        ("a.csv", "<!DOCTYPE html><html>404</html>", "a.csv: is a web page. Download the data themselves"),
        ("a.csv", parquet(), "a.csv: does not hold what its suffix says; it looks like parquet. Rename it to a.parquet"),
        ("a.xlsx", b"PK\x03\x04xl/workbook.xml", "a.xlsx: is a ZIP archive or an Excel workbook. Unpack it, or"),
        ("a.pkl", b"\x80\x04K\x01.", "a.pkl: is a pickle, which is never opened. Save the data as Parquet"),
        ("a.csv.gz", gzip.compress(CSV.encode())[:-30], "a.csv.gz: cannot be read: Truncated compressed stream"),
        ("a.csv.zst", b"\x28\xb5\x2f\xfd\0\0", "a.csv.zst: cannot be read: "),
        ("a.csv.gz", CSV, "a.csv.gz: cannot be read: zlib inflate failed"),
        ("a.parquet", parquet()[:-99], "a.parquet: is no whole Parquet file: Parquet magic bytes not found in footer"),
        ("a.parquet", CSV, "a.parquet: does not hold what its suffix says; it looks like csv. Rename it to a.csv"),
        ("a.arrow", b"ARROW1\0\0" + b"1" * 99, "a.arrow: is no whole Arrow file: "),
        ("a.npz", b"PK\x03\x04a.npy" + b"1" * 99, "a.npz: is no whole NumPy archive: "),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + b"1" * 99, "a.h5: is no whole HDF5 file: "),
        ("a.gml", "graph [ node [", "a.gml: holds no graph that can be read: "),
        ("a.jsonl", f"null\n{JSON}", "a.jsonl: line 1: holds None, not an object"),
        ("a.jsonl", JSON[:-9], "a.jsonl: line 60, character "),
        ("a.jsonl", f"{JSON}\noops\n[1]\n", "a.jsonl: line 62, character 1: is no JSON: Expecting value. Mend the line"),
        ("a.jsonl", f"{JSON}\noops\n[1]\n", "a.jsonl: line 63: holds [1], not an object. Write each line as {"),
        ("a.jsonl", JSON + '{"age": [1]}', "column 'age': row 60 holds a value of type list: [1]. Give"),
        ("a.jsonl", JSON.encode() + b'{"age": "\xff"}', "a.jsonl: line 61: is not UTF-8. Save the file as UTF-8"),
        ("a.csv", CSV.replace(",", ":"), "a.csv: has one column, unless cells are separated by ':'"),
    ],
)
def test_a_file_that_is_no_table_is_told(name: str, content: str | bytes, text: str) -> None:
    assert text in told(name, content)


def test_places_that_are_no_files() -> None:
    Path("my.csv").write_text(CSV)
    Path("runs").mkdir()
    for name, text in {
        "runs": "runs: is a folder. Name a file in it",
        "my.scv": "my.scv: no such file. Did you mean 'my.csv'?",
        "no/my.csv": "no such file. There is no folder '",
        "a\0b": "no such file",
        "x" * 999: "is no path of a file",
    }.items():
        found = polytask("init", name)
        assert found.code == 2
        assert text in found.err


READABLE = {
    "semicolons": CSV.replace(",", ";"),
    "tabs": CSV.replace(",", "\t"),
    "pipes": CSV.replace(",", "|"),
    "UTF-16": CSV.encode("utf-16"),
    "UTF-16 without a mark": CSV.encode("utf-16-le"),
    "UTF-32": CSV.encode("utf-32"),
    "a byte order mark": CSV.encode("utf-8-sig"),
    "Windows lines": CSV.replace("\n", "\r\n"),
    "a quoted line break": CSV.replace(",s,", ',"s\nt,u",'),
}


@pytest.mark.parametrize("content", READABLE.values(), ids=READABLE.keys())
def test_a_table_in_other_dress_is_read(content: str | bytes) -> None:
    Path("my fïle ☃ (1).csv").write_bytes(content.encode() if isinstance(content, str) else content)
    found = polytask("init", "my fïle ☃ (1).csv", "--tasks", "cost,ill")
    assert (found.code, found.err) == (0, "")
    written = yaml.safe_load(Path("polytask.yaml").read_text())
    kinds = {place: {name: item["kind"] for name, item in written[place].items()} for place in ("inputs", "tasks")}
    assert kinds == {
        "inputs": {"age": "number", "dose": "number", "ward": "category"},
        "tasks": {"cost": "regression", "ill": "binary"},
    }


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (CSV.replace(",n,", ",né,").encode("latin-1"), "is not UTF-8 (byte b'\\xe9'); the file is read as Latin-1"),
        (CSV.encode() + b"\0" * 500, "holds 500 null bytes, the first in line 62; they are left out"),
        (
            "\n".join([LINES[0], *(f"{i},{line}" for i, line in enumerate(LINES[1:]))]),
            "one cell more than the header; the first",
        ),
        (CSV.replace(",n,", ',"1,234.5",').replace(",s,", ",99,"), "column 'ward': '1,234.5' is read as 1234.5"),
        (
            CSV.replace(",", ";").replace(";n;", ";1.234,56;").replace(";s;", ";9;"),
            "column 'ward': '1.234,56' is read as 1234.56",
        ),
    ],
)
def test_a_doubtful_reading_is_told_and_the_work_goes_on(content: str | bytes, text: str) -> None:
    Path("a.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    found = polytask("init", "a.csv", "--tasks", "cost")
    assert found.code == 0
    assert found.err.startswith("warning: ")
    assert text in found.err


def test_json_of_columns_is_read() -> None:
    frame = table(60)
    Path("a.json").write_text(frame.to_json())
    Path("b.json").write_text(frame.to_json(orient="split"))
    assert polytask("init", "a.json", "--tasks", "cost,ill").code == 0
    assert polytask("init", "b.json", "--tasks", "cost", "--out", "b.yaml").code == 2


def test_a_path_from_home(monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    monkeypatch.setenv("HOME", str(work))
    Path("my.csv").write_text(CSV)
    assert polytask("init", "~/my.csv", "--tasks", "cost").code == 0
