"""The shipped data sets are what their files say."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from polytask.core.errors import DataError, MissingExtra
from polytask.data import shipped
from polytask.data.real import _files

NAMES = [name for name in shipped.names() if not shipped.simulated(name)]
SHIPPED = [name for name in NAMES if shipped.get(name).about["sha256"]]
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-z]{2,}\b")


@cache
def table(name: str) -> pa.Table:
    return shipped.load(name)


def columns_of(name: str, task: str | Mapping[str, Any]) -> Sequence[str]:
    return [name] if isinstance(task, str) else task.get("columns", [name])


def missing(name: str, column: str) -> float:
    cells = table(name)[column]
    return float(cells.null_count / len(cells))


def mean(name: str, column: str) -> float:
    return float(pc.mean(table(name)[column].cast(pa.float64())).as_py())


def test_names_are_the_files() -> None:
    assert {"debian_uploads", "digits", "support2", "yeast"} <= set(NAMES)
    assert not [name for name in shipped.names() if name.startswith("_")]


def test_an_unknown_name_proposes_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'support2'"):
        shipped.get("suport2")


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_as_stated(name: str) -> None:
    assert table(name).num_rows == shipped.get(name).about["rows"]
    assert {"title", "origin", "licence", "rows", "sha256"} == set(shipped.get(name).about)


@pytest.mark.parametrize("name", NAMES)
def test_every_stated_column_exists(name: str) -> None:
    data, columns = shipped.get(name), table(name).column_names
    answers = {column for task, spec in data.tasks.items() for column in columns_of(task, spec)}
    inputs = [column for group in data.modalities.values() for column in group]
    assert answers <= set(columns)
    assert answers <= set(data.ignore) <= set(columns)
    assert len(set(data.ignore)) == len(data.ignore)
    assert data.split["how"] == "random" or data.split["column"] in columns
    if inputs:
        assert sorted(inputs) == sorted(set(columns) - set(data.ignore)), "each input is of one modality"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_changed_byte_is_refused(name: str, tmp_path: Path) -> None:
    sha256 = shipped.get(name).about["sha256"]
    content = bytearray(_files.FOLDER.joinpath(f"{name}.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / f"{name}.parquet").write_bytes(content)
    with pytest.raises(DataError, match=f"data set '{name}': its file has SHA-256 .* expected {sha256[:12]}"):
        _files.read(name, sha256, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data set 'yeast': its file is not in the package"):
        _files.read("yeast", "", tmp_path)


def test_support2_has_its_rates() -> None:
    assert table("support2").num_columns == 48
    assert mean("support2", "hospdead") == pytest.approx(0.2592, abs=1e-4)
    assert mean("support2", "death") == pytest.approx(0.6811, abs=1e-4)
    expected = {"sfdm2": 0.154, "urine": 0.534, "glucose": 0.494, "adlp": 0.620, "alb": 0.370, "crea": 0.007}
    assert {column: missing("support2", column) for column in expected} == pytest.approx(expected, abs=5e-4)


def test_support2_strings_are_stripped_and_levels_complete() -> None:
    data = table("support2")
    for field in data.schema:
        if pa.types.is_string(field.type):
            values = data[field.name].unique().drop_null().to_pylist()
            assert values == [value.strip() for value in values]
            assert "" not in values
    assert set(data["sfdm2"].drop_null().to_pylist()) == set(shipped.get("support2").tasks["sfdm2"]["levels"])
    assert pc.min(data["d.time"]).as_py() > 0
    assert pc.min(data["slos"]).as_py() > 0


def test_yeast_has_its_rates() -> None:
    assert table("yeast").num_columns == 103 + 14
    assert sum(column.null_count for column in table("yeast").columns) == 0
    rates = [mean("yeast", f"label{i}") for i in range(1, 15)]
    assert [min(rates), max(rates), sum(rates)] == pytest.approx([0.0141, 0.7513, 4.2371], abs=1e-4)


def test_digits_have_two_tasks() -> None:
    data = table("digits").to_pandas()
    assert sorted(data["digit"].unique()) == list(range(10))
    assert set(data.loc[data["closed_loop"], "digit"]) == {0, 4, 6, 8, 9}
    assert mean("digits", "closed_loop") == pytest.approx(894 / 1797)
    pixels = data.drop(columns=["digit", "closed_loop"])
    assert list(pixels.columns) == [f"p{row}{column}" for row in range(8) for column in range(8)]
    assert (pixels.min().min(), pixels.max().max()) == (0.0, 1.0)


def test_debian_uploads_hold_no_address() -> None:
    for field in table("debian_uploads").schema:
        if pa.types.is_string(field.type):
            cells = table("debian_uploads")[field.name].drop_null().to_pylist()
            assert [cell for cell in cells if ADDRESS.search(cell)] == []
    texts = table("debian_uploads")["changes"].drop_null().to_pylist()
    assert max(map(len, texts)) <= 400


def test_debian_uploads_follow_one_another() -> None:
    data = table("debian_uploads").to_pandas()
    sources = data.groupby("source", sort=False)
    assert len(sources) == 208
    assert (data["date"].diff()[data["source"].eq(data["source"].shift())].dt.total_seconds() > 0).all()
    last = sources.tail(1).index
    assert list(data.index[~data["replaced"]]) == list(last)
    for column in ("next_closes_bugs", "next_lines"):
        assert list(data.index[data[column].isna()]) == list(last)
    following = data.shift(-1).drop(last)
    held = data.drop(last)
    assert (held["next_lines"] == following["lines"]).all()
    assert (held["next_closes_bugs"].astype(bool) == (following["closes"] > 0)).all()
    assert (held["lifetime"] - following["previous_gap"]).abs().max() == 0.0
    assert data["lifetime"].min() > 0


def test_debian_uploads_have_two_regimes() -> None:
    data = table("debian_uploads").to_pandas()
    ended = data.loc[data["replaced"], "lifetime"]
    assert [(ended <= 7).mean(), (ended > 60).mean()] == pytest.approx([0.313, 0.253], abs=1e-3)
    assert mean("debian_uploads", "next_closes_bugs") == pytest.approx(0.445, abs=1e-3)
    assert mean("debian_uploads", "nmu") == pytest.approx(0.0447, abs=1e-3)


def test_a_data_set_that_needs_a_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> pa.Table:
        raise ModuleNotFoundError("No module named 'gymnasium'", name="gymnasium")

    item = shipped.get("pixel_control")
    assert shipped.simulated("pixel_control")
    monkeypatch.setattr(item, "load", load)
    with pytest.raises(MissingExtra, match=r"@pixel_control: needs the package 'gymnasium'. pip install 'polytask\[control\]'"):
        shipped.load("pixel_control")
