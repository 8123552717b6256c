"""Tables keep every figure, whatever the width."""

import math

import pytest
from rich.console import Console

from polytask.engine.statistics import Interval
from polytask.report import tables


def shown(sheet: tables.Sheet, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(sheet)
    return capture.get()


@pytest.mark.parametrize("width", [80, 160])
def test_wide_tables_go_on_below(width: int) -> None:
    columns = ["system", *(f"task {n}" for n in range(20))]
    rows = [[f"system number {row}", *(f"{0.5 + row / 10:.3f} ± 0.0{n:02}" for n in range(20))] for row in range(3)]
    text = shown(tables.plain("Scores", columns, rows), width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    for figure in (cell for row in rows for cell in row):
        assert figure in text
    assert text.count("Scores") == 1
    assert text.count("system number 0") == math.ceil(20 / ((width - 15) // 15))


def test_texts_are_shown_as_they_are() -> None:
    assert "dose [mg] :smile:" in shown(tables.plain("[x]", ["name"], [["dose [mg] :smile:"]]), 80)


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123"), (-12345.6, "-12,346"), (0.0, "0.000"), (0.00012, "1.2e-04"), (math.nan, "-")]
)
def test_numbers(value: float, text: str) -> None:
    assert tables.number(value) == text


def test_intervals_and_counts() -> None:
    assert tables.with_half(Interval(0.5, 0.4, 0.6)) == "0.500 ± 0.100"
    assert tables.with_half(Interval(0.5, math.nan, math.nan), 2, "+") == "+0.50"
    assert [tables.count(value) for value in (12.0, 1234.0, 5.6e6)] == ["12", "1.2 k", "5.6 M"]
