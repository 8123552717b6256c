"""The report of a run and of a comparison: whole, self-contained, escaped, and honest about what is missing."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_folders import EVIL, TASKS, comparison, run
from test_claims_page import Checker, contrast

from polytask.cli import _report
from polytask.core import RunError
from polytask.engine import _files
from polytask.report import _page, page
from polytask.report._source import Compared, Told

SECTIONS = {"learning", "conflict", "answers", "contribution", "data", "made"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return comparison(tmp_path_factory.getbasetemp())


Page = tuple[str, Checker, str]


@pytest.fixture(scope="module")
def of_run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read(trained, tmp_path_factory.mktemp("page") / "page.html", importance=True)


@pytest.fixture(scope="module")
def of_comparison(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read(compared, tmp_path_factory.mktemp("page") / "page.html")


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def read(folder: Path, out: Path, importance: bool = False) -> Page:
    """The page's text, checked, and its words."""
    text = page.write(folder, out, importance).read_text(encoding="utf-8")
    checker = Checker(text)
    return text, checker, "".join(checker.text)


def section(text: str, id: str) -> str:
    (found,) = re.findall(rf'<section class="part" id="{id}".*?</section>', text, re.DOTALL)
    return found


def test_a_run_has_every_part(trained: Path, of_run: Page) -> None:
    text, checker, words = of_run
    assert SECTIONS | {"scores"} <= set(checker.ids)
    assert "Not shown" not in words
    for name in TASKS:
        assert name in words
    told = Told.of(trained)
    for task, metrics in told.scores["test"].items():
        assert f"{metrics[told.schema.tasks[task].primary]:.3f}".replace("-", "−") in words
    answers = section(text, "answers")
    for figure in (
        "Reliability",
        "Confusion",
        "Predicted against true",
        "Errors",
        "Quantiles",
        "Survival by risk",
        "Calibration of survival",
    ):
        assert figure in answers, figure
    assert "Whole modalities" in words
    assert "Modality after modality" in words
    assert "polytask fit" in section(text, "made")


def test_a_comparison_has_every_part(compared: Path, of_comparison: Page) -> None:
    text, checker, words = of_comparison
    assert SECTIONS | {"leaderboard", "gains", "cost", "calibration"} <= set(checker.ids)
    found = Compared.of(compared).found
    for row in found.rows:
        assert text.count(f'<tr data-arm="{row.name}"') >= 3, "leaderboard, gains, costs, calibration"
    for sentence in found.verdict():
        assert sentence in words
    assert f"Ship {found.rows[0].name}" in words or "Keep one model a task" in words
    assert "polytask compare" in section(text, "made")


def test_the_page_asks_for_nothing_and_is_small(of_run: Page, of_comparison: Page) -> None:
    for text, checker, _ in (of_run, of_comparison):
        assert checker.outside == [], "no address at all"
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|import\(", text)
        assert len(text) < 300_000


def test_hostile_names_are_text(of_run: Page, of_comparison: Page) -> None:
    for text, checker, words in (of_run, of_comparison):
        assert checker.tags.count("script") == 1
        assert EVIL not in text
        assert f"ill {EVIL}" in words


def test_nothing_undefined_is_drawn(of_run: Page, of_comparison: Page) -> None:
    for text, _, _ in (of_run, of_comparison):
        assert not re.search(r'(cx|cy|x1|y1|x2|y2|d|style)="?[^">]*\b(nan|inf)\b', text)


@pytest.mark.parametrize("absent", ["metrics.csv", "gradients.parquet", "card.json", "predictions.parquet"])
def test_a_missing_file_costs_its_section_and_a_sentence(absent: str, trained: Path, of_run: Page, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "run")
    (folder / absent).unlink()
    text, _, words = read(folder, tmp_path / "page.html")
    assert f"Not shown: this run has no {absent}" in words
    assert of_run[0].count("<svg") > text.count("<svg") or absent == "card.json"


@pytest.mark.parametrize("damaged", ["metrics.csv", "gradients.parquet", "card.json", "predictions.parquet"])
def test_a_damaged_file_is_told(damaged: str, trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "run")
    (folder / damaged).write_bytes(b"" if damaged == "metrics.csv" else b"{")
    assert f"Not shown: {damaged} cannot be read" in read(folder, tmp_path / "page.html")[2]


def test_an_old_run_still_tells_its_scores(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "run")
    for name in ("metrics.csv", "gradients.parquet", "card.json", "predictions.parquet"):
        (folder / name).unlink()
    text, _, words = read(folder, tmp_path / "page.html")
    assert words.count("Not shown") == 5
    assert "polytask fit" in section(text, "made"), "its configuration is the command"


def test_what_cannot_be_read_again_is_told(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "run")
    _files.write_json(folder / "data.json", {"digest": "another"})
    assert "the files have changed" in section(read(folder, tmp_path / "page.html", importance=True)[0], "contribution")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(re.sub(r"rows\.parquet", "gone.parquet", config), encoding="utf-8")
    assert "gone.parquet" in section(read(folder, tmp_path / "page.html", importance=True)[0], "contribution")


def test_predictions_without_labels_leave_a_sentence(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "run")
    table = pq.read_table(folder / "predictions.parquet")
    pq.write_table(table.drop_columns(["true_grade"]).set_column(0, "row", table["row"]), folder / "predictions.parquet")
    words = read(folder, tmp_path / "page.html")[2]
    assert words.count("lacks the predictions or the labels of grade") == 1


def test_rows_without_any_label(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "run")
    table = pq.read_table(folder / "predictions.parquet")
    for name in [name for name in table.column_names if name.startswith("true_")]:
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.nulls(table.num_rows, table[name].type))
    pq.write_table(table, folder / "predictions.parquet")
    assert read(folder, tmp_path / "page.html")[2].count("no test row has") == len(TASKS)


def test_a_moved_comparison_and_a_lost_cell(compared: Path, tmp_path: Path) -> None:
    folder = copied(compared, tmp_path / "moved")
    for cell in (folder / "cells").glob("hard_sharing-mgda-*"):
        shutil.rmtree(cell)
    shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
    text, _, _ = read(folder, tmp_path / "page.html")
    assert 'data-arm="hard_sharing + mgda"' in section(text, "leaderboard"), "its sums are known"
    assert 'data-arm="hard_sharing + mgda"' not in section(text, "calibration")


def test_one_split_has_no_interval(compared: Path, tmp_path: Path) -> None:
    folder = copied(compared, tmp_path / "moved")
    values = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    values["cells"] = [cell for cell in values["cells"] if cell["seed"] == 0]
    _files.write_json(folder / "comparison.json", values)
    text, _, words = read(folder, tmp_path / "page.html")
    assert "One split, so no intervals" in words
    assert 'class="bar"' not in section(text, "gains")


@pytest.mark.parametrize(("file", "content"), [("comparison.json", "{"), ("comparison.json", '{"cells": []}')])
def test_a_damaged_comparison_names_its_file(file: str, content: str, compared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    folder.mkdir()
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=re.escape(file)):
        page.write(folder)
    assert not (folder / "report.html").exists()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished run"):
        page.write(tmp_path)
    with pytest.raises(RunError, match="no such folder"):
        page.write(tmp_path / "absent")


def test_the_command_says_where_and_how_large(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied(trained, tmp_path / "run")
    _report.report(folder, None, importance=False)
    said = capsys.readouterr().out
    assert str(folder / "report.html") in said
    assert re.search(r"\d+ kB", said)
    assert not list(folder.glob("*.tmp"))


def test_contrast_of_tinted_cells_is_enough() -> None:
    """WCAG AA: words on a whole tint, light and dark."""
    style = "".join((Path(_page.__file__).parent / f"{name}.css").read_text() for name in ("_page", "_report"))
    colours = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\(#(\w{6}), #(\w{6})\)", style)}
    for ground in ("together", "apart", "right", "wrong", "shade", "panel"):
        for mode in (0, 1):
            assert contrast(colours["ink"][mode], colours[ground][mode]) >= 4.5, (ground, mode)


def test_all_that_the_script_looks_up_is_there(of_comparison: Page) -> None:
    for name in ("_page.js", "_report.js"):
        for id in re.findall(r'byId\("(\w+)"\)', (Path(_page.__file__).parent / name).read_text()):
            assert f'id="{id}"' in of_comparison[0]


def test_shuffling_finds_the_input_that_matters(of_run: Page) -> None:
    text = section(of_run[0], "contribution")
    single = text[text.index("Single inputs") :]
    assert single.index("age &lt;") < single.index("dose")
