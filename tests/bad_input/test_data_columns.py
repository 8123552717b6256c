"""Columns that cannot be learnt from as asked: `polytask fit` names column, rows, values and fix, all faults at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cli_run import FAST, Outcome, files, polytask, table

from polytask.data import infer, read

ROWS = 60
DRAW = np.random.default_rng(1)
TIMES, EVENTS = DRAW.exponential(10, ROWS).round(2), np.arange(ROWS) % 2
DAYS = pd.date_range("2024-01-01", periods=ROWS)


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(columns: Mapping[str, Any], tasks: str, *more: str) -> Outcome:
    """`polytask fit` of a small table with these columns; what it refuses leaves nothing behind."""
    table(ROWS).assign(**columns).to_csv("my.csv", index=False)
    before = files(Path()).keys()
    found = polytask("fit", "my.csv", "--tasks", tasks, "--out", "runs/a", "--epochs", "1", *FAST[2:], *more)
    if found.code:
        assert found.code == 2
        assert files(Path()).keys() == before
    return found


def but(values: Any, **cells: Any) -> list[Any]:
    """The values with other ones in some rows: `row3=...`."""
    changed = list(values)
    for row, value in cells.items():
        changed[int(row.removeprefix("row"))] = value
    return changed


NUMBERS = [round(value, 3) for value in DRAW.normal(size=ROWS)]


@pytest.mark.parametrize(
    ("columns", "tasks", "texts"),
    [
        (
            {},
            "csot,ilk=binary",
            ["task 'csot': no column 'csot'. Did you mean 'cost'?", "task 'ilk': no column 'ilk'. Did you mean 'ill'?"],
        ),
        ({}, "cost=regresion", ["task 'cost': unknown kind 'regresion'. Did you mean 'regression'?"]),
        (
            {"a": np.nan, "b": "yes", "c": 5},
            "a,b,c",
            [
                "column 'a': all of its 60 cells are missing. Leave the task out",
                "column 'b': is constant: 'yes' in 60 rows",
                "column 'c': is constant: 5 in",
            ],
        ),
        (
            {"a": but(["no"] * ROWS, row3="yes")},
            "a",
            ["column 'a': fewer than two of its 2 classes have 2 training rows ('no' in 59, 'yes' in 1)"],
        ),
        (
            {"a": [f"u{i}" for i in range(ROWS)]},
            "a",
            ["task 'a': no kind fits its columns (string, 60 different values). Declare one: binary,"],
        ),
        (
            {"a": but(NUMBERS, row3="12 kg"), "b": but(NUMBERS, row4="4,5O")},
            "b=regression",
            ["column 'b': 1 of 60 cells are not numbers (row 4: '4,5O'). Correct them, leave them empty, or declare"],
        ),
        (
            {"a": but(NUMBERS, row3=np.inf), "b": but(NUMBERS, row5=-np.inf), "c": but(NUMBERS, row9=1e308)},
            "b,c",
            [
                "column 'b': 1 of 60 cells are infinite or too large (row 5: -inf). Correct them or leave them empty",
                "column 'c': 1 of 60 cells are infinite or too large (row 9: 1e+308)",
                "column 'a': 1 of 60 cells are infinite or too large (row 3: inf)",
            ],
        ),
        (
            {"a": [f"{i},5" for i in range(ROWS)]},
            "a",
            ["column 'a': its cells look like numbers with a comma", "(row 0: '0,5'). Write them as 1234.5"],
        ),
        (
            {"a": [f"$ {i}.25" for i in range(ROWS)]},
            "a",
            ["column 'a': its cells look like numbers with a unit (row 0: '$ 0.25'). Write the numbers alone"],
        ),
        (
            {"a": DAYS.strftime("%d.%m.%Y")},
            "a",
            ["column 'a': its cells look like dates (row 0: '01.01.2024'). Write them as 2026-01-31"],
        ),
        (
            {"a": but(DAYS.strftime("%Y-%m-%d"), row7="2024-02-30")},
            "cost",
            ["column 'a': 1 of 60 cells are no dates (row 7: '2024-02-30'). Write ISO 8601"],
        ),
        (
            {"t": but(TIMES, row3=-1), "e": EVENTS},
            "t:e",
            ["column 't': 1 of 60 cells are negative times (row 3: -1.0). Correct them or leave"],
        ),
        (
            {"t": but(TIMES, row3=np.nan), "e": EVENTS},
            "t:e",
            ["column 'e': 1 of 60 cells are events without a time (row 3: 1). Add the times"],
        ),
        (
            {"t": TIMES, "e": EVENTS + 1},
            "t:e",
            ["30 of 60 cells are neither yes nor no (row 1: 2,", "as in {kind: survival, columns: [t, e], event: 1}"],
        ),
        (
            {"t": TIMES, "e": np.arange(ROWS) % 3},
            "t:e=cox",
            ["column 'e': 20 of 60 cells are neither yes nor no (row 2: 2,", "{kind: cox, columns: [t, e]"],
        ),
        ({"t": TIMES, "e": 0}, "t:e", ["columns t:e: no event in 60 rows. Declare the value that means the event happened"]),
        (
            {"t": TIMES, "e": EVENTS},
            "e:t",
            ["column 't': 60 of 60 cells are neither yes nor no", "Write time:event, in this order. Declare"],
        ),
        ({}, "cost=survival", ["task 'cost': a survival task has two columns; got 1. Write time:event"]),
        ({"a": [10**30 + i for i in range(ROWS)]}, "a=regression", ["column 'a': is constant: 1e+30 in 60 rows"]),
    ],
)
def test_faults_of_columns(columns: Mapping[str, Any], tasks: str, texts: list[str]) -> None:
    found = fit(columns, tasks)
    assert found.code == 2
    for text in texts:
        assert text in found.err
    if "(row " in found.err:
        assert "note: rows are counted from 0: row 0 of a CSV file is the line after its header" in found.err


def test_one_bad_cell_of_thousands_is_found() -> None:
    frame = pd.concat([table(ROWS)] * 50, ignore_index=True).astype({"age": object, "cost": object})
    frame.loc[1234, "age"], frame.loc[77, "cost"] = "12 kg", "n.a."
    frame.to_csv("my.csv", index=False)
    found = polytask("fit", "my.csv", "--tasks", "cost=regression,ill")
    assert "column 'age': 1 of 3000 cells are not numbers (row 1234: '12 kg'). Correct them, leave them empty, or" in found.err
    assert "column 'cost': 1 of 3000 cells are not numbers (row 77: 'n.a.')" in found.err


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (
            but(NUMBERS, row3="12 kg", row5="9 kg"),
            "ignored column 'a': it looks like an identifier; 2 of 60 cells are not numbers (row 3: '12 kg', row 5: '9 kg')",
        ),
        (
            but(np.arange(ROWS) % 15, row3="many"),
            "column 'a' is read as category; 1 of 60 cells are not numbers (row 3: 'many')",
        ),
        (
            DAYS.strftime("%m/%d/%Y"),
            "ignored column 'a': it looks like an identifier; its cells look like dates (row 0: '01/01/2024')",
        ),
    ],
)
def test_what_is_left_out_or_misread_is_noted(cells: Any, note: str) -> None:
    table(ROWS).assign(a=cells).to_csv("my.csv", index=False)
    rows = read.table("my.csv")
    _, notes = infer.schema(rows, infer.tasks(rows, {"cost": None}), None, (), torch.arange(ROWS))
    assert any(said.startswith(note) for said in notes), notes


def test_large_numbers_and_gaps_are_no_fault() -> None:
    gaps = but(EVENTS.astype(float), row4=np.nan)
    columns = {"big": but(NUMBERS, row9=-1e308), "huge": [10**30 + i for i in range(ROWS)], "t": TIMES, "e": gaps}
    assert fit(columns, "cost,t:e").code == 0


def test_no_input_is_left() -> None:
    frame = pd.DataFrame({"id": [f"u{i:04}" for i in range(ROWS)], "cost": NUMBERS})
    for columns, text in (
        (["cost"], "no column is left to predict from"),
        (["id", "cost"], "ignored column 'id': it looks like an"),
    ):
        frame[columns].to_csv("my.csv", index=False)
        assert text in polytask("fit", "my.csv", "--tasks", "cost").err


@pytest.mark.parametrize("rows", [2, 3, 5, 9])
def test_too_few_rows(rows: int) -> None:
    table(rows).to_csv("my.csv", index=False)
    found = polytask("fit", "my.csv", "--tasks", "cost", "--out", "runs/a", *FAST)
    assert found.code == (0 if rows > 4 else 2)
    if found.code:
        assert f"split: {rows} rows are too few for validation=0.15 and test=0.2. Give at least 5 rows, or larger" in found.err


@pytest.mark.parametrize(
    ("cells", "flags", "text"),
    [
        ("a", ["--group", "s"], "column 's': has 1 group, and each of the three parts needs one. Split by another column"),
        ("a", ["--group", "z"], "split.column: no column 'z'. Known: age, cost, dose, ill, s, ward."),
        ("a", ["--time", "s"], "column 's': holds no times: "),
        (
            ["train"] * 50 + ["val"] * 10,
            ["--set", "split.how=given", "--set", "split.column=s"],
            "column 's': has 10 cells that name no part, such as 'val' in row 50",
        ),
        (["test"] * 60, ["--set", "split.how=given", "--set", "split.column=s"], "split: no row is left for train"),
    ],
)
def test_splits_that_cannot_be(cells: Any, flags: list[str], text: str) -> None:
    found = fit({"s": cells}, "cost", *flags)
    assert (found.code, text in found.err) == (2, True), found.err


def test_rows_of_a_part_without_labels_are_told() -> None:
    parts = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    flags = ["--set", "split.how=given", "--set", "split.column=s"]
    found = fit({"s": parts, "cost": but(NUMBERS, **{f"row{i}": np.nan for i in range(50, 60)})}, "cost,ill", *flags)
    assert "warning: task 'cost': no test row has a label, so it has no test score" in found.err
    assert found.code == 0


def test_nested_tables_that_do_not_match() -> None:
    Path("labs.csv").write_text("key,time,value\n" + "".join(f"x{i},{i},{i}\n" for i in range(30)))
    columns = {"key": range(ROWS)}
    found = fit(columns, "cost", "--with", "labs=labs.csv:key")
    assert "no 'key' of its 30 rows names a row of the table ('x0' here, '0' there); it is empty" in found.err
    assert "column 'labs': no row has an event with a time and a value. Leave the column out" in found.err
    assert (
        "'labs' has no column 'kye' to connect by. Did you mean 'key'?"
        in fit(columns, "cost", "--with", "labs=labs.csv:kye").err
    )
    assert "lab.csv: no such file. Did you mean 'labs.csv'?" in fit(columns, "cost", "--with", "labs=lab.csv:key").err
    assert "nested table 'age': the table has a column of this name" in fit(columns, "cost", "--with", "age=labs.csv:key").err


def test_a_faulty_event_is_called_by_the_row_of_its_list() -> None:
    events = [f"{row},{time},{row + time}\n" for row in range(ROWS) for time in (1, 2)]
    Path("labs.csv").write_text("key,time,value\n" + "".join([*events[:11], "5,2,inf\n", *events[12:]]))
    assert "column 'labs.value': 1 of 120 cells are infinite or too large (row 5: inf)" in (
        fit({"key": range(ROWS)}, "cost", "--with", "labs=labs.csv:key").err
    )


def test_what_means_the_event_is_set_on_the_command_line() -> None:
    assert fit({"t": TIMES, "e": EVENTS + 1}, "t:e", "--set", "tasks.t:e.event=2").code == 0
    assert "unknown name 'x'. Known: cost." in fit({}, "cost", "--set", "tasks.x.event=2").err
