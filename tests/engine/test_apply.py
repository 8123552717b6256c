"""A system that learns nothing is applied to a file as it is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from polytask.cli import _apply
from polytask.core import DataError, OptionError
from polytask.data import read
from polytask.engine.apply import apply

ID = "quantum_qos_schedule"
ROWS = [
    {"src": 0, "dst": 1, "fidelity": 0.6, "rate": 3.125},
    {"src": 2, "dst": 1, "fidelity": 0.6, "rate": 1.5625},
    {"src": 0, "dst": 1, "fidelity": 0.9999, "rate": 1.0},
]


def test_every_row_gets_an_answer() -> None:
    answers, more = apply(ID, ROWS, {"topology": "star"})
    assert answers.num_rows == len(ROWS)
    assert answers["accepted"].to_pylist() == [1, 1, 0]
    assert answers["period"].to_pylist()[:2] == pytest.approx([0.32, 0.64])
    assert set(more) == {"schedule", "qubits", "demands"}


def test_more_rows_than_a_chunk_of_predictions_are_one_schedule() -> None:
    answers, more = apply(ID, [{**ROWS[0], "dst": 0}] * 5000 + ROWS[:1], {"topology": "star"})
    assert sum(answers["accepted"].to_pylist()) == 1
    assert set(more["schedule"]["row"].to_pylist()) == {5000}


def test_missing_columns_are_named_with_the_nearest() -> None:
    rows = [{"source": "0", "dst": "1", "fidelty": 0.6}]
    with pytest.raises(DataError) as error:
        apply(ID, rows)
    text = str(error.value)
    assert "column 'src': is missing (a category)" in text
    assert "column 'fidelity': is missing (a number). Did you mean 'fidelty'?" in text
    assert "column 'rate'" in text


def test_cells_of_a_wrong_kind_are_named() -> None:
    with pytest.raises(DataError, match=r"column 'rate'.*row 1: 'fast'"):
        apply(ID, [{**ROWS[0], "rate": "3"}, {**ROWS[1], "rate": "fast"}])


@pytest.mark.parametrize("id", ["hard_sharing", "majority"])
def test_a_system_that_learns_is_refused(id: str) -> None:
    with pytest.raises(OptionError, match=f"system '{id}': learns from data.*polytask fit"):
        apply(id, ROWS)


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match=r"scheduler: must be one of .* Did you mean 'block'"):
        apply(ID, ROWS, {"scheduler": "blok"})
    with pytest.raises(DataError, match=r"topology 'sta': .*Did you mean 'star'"):
        apply(ID, ROWS, {"topology": "sta"})


def test_a_user_s_own_graph_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.json").write_text(
        '{"nodes": [{"id": "Ulm"}, {"id": "Bonn"}], "links": [{"source": "Ulm", "target": "Bonn", "km": 25}]}'
    )
    (tmp_path / "demands.csv").write_text("src,dst,fidelity,rate\nUlm,Bonn,0.6,2\nUlm,Bern,0.6,2\n")
    out = tmp_path / "plan.csv"
    _apply.apply(ID, str(tmp_path / "demands.csv"), out, [f"topology={tmp_path / 'net.json'}", "storage=1"])
    assert read.table(out)["accepted"].to_pylist() == [1, 0]
    demands = pa.csv.read_csv(tmp_path / "plan.demands.csv")
    assert demands["reason"].to_pylist() == ["", "no node 'Bern' in the topology"]
    assert read.table(tmp_path / "plan.schedule.csv").num_rows == 1
    assert "plan.qubits.csv" in capsys.readouterr().out.replace("\n", "")


def test_without_out_the_first_rows_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    _apply.apply(ID, "@quantum_demands", None, None)
    shown = capsys.readouterr().out
    assert "First of 24 rows" in shown
    assert "of 'schedule'" in shown


def test_an_unknown_format_of_out_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown suffix"):
        _apply.apply(ID, "no such file", tmp_path / "plan.xyz", None)
