"""The command line as a user meets it: what works, and what is said when it does not."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polytask.cli import main
from polytask.cli._app import app

FAST = ["--epochs", "2", "--set", "members=1", "--set", "width=8", "--set", "training.steps=1"]


def data(rows: int = 150) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(rows, 2)), columns=["age", "dose [mg]"])
    frame["ward"] = draw.choice(["n", "s"], rows)
    frame["person"] = draw.integers(0, 60, rows)
    frame["cost"] = frame["age"] + 0.1 * draw.normal(size=rows)
    frame["ill"] = np.where(frame["dose [mg]"] > 0, "yes", "no")
    return frame


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    data().to_csv("my.csv", index=False)
    Path("empty.csv").touch()

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["polytask", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        text = capsys.readouterr()
        assert "\x1b" not in text.out + text.err, "colours in a pipe"
        return Outcome(int(end.value.code or 0), text.out, text.err)

    return call


@pytest.mark.parametrize("command", [command.callback.__name__ for command in app.registered_commands])  # type: ignore[union-attr]
def test_help_has_an_example(command: str, run) -> None:  # type: ignore[no-untyped-def]
    found = run(command, "--help")
    assert found.code == 0
    assert f"Example: polytask {command}" in " ".join(found.out.split())


def test_without_arguments_there_is_help(run) -> None:  # type: ignore[no-untyped-def]
    assert "polytask demo" in run().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("fot", "No such command 'fot'. Did you mean 'fit'?"),
        ("fit my.csv --tusks cost", "No such option: --tusks"),
        ("fit my.csv --tasks cost --epochs many", "--epochs"),
        ("fit", "data: none given"),
        ("fit my.csv", "tasks: none given"),
        ("fit my.csv --tasks csot", "no column 'csot'. Did you mean 'cost'?"),
        ("fit my.csv --tasks cost=regresion", "Did you mean 'regression'?"),
        ("fit mi.csv --tasks cost", "mi.csv: no such file. Did you mean 'my.csv'?"),
        ("fit empty.csv --tasks cost", "empty.csv: is empty"),
        ("fit @suport2", "Did you mean 'support2'?"),
        ("fit my.csv --tasks cost --system mmo", "Did you mean 'mmoe'?"),
        ("fit my.csv --tasks cost --balancer fam", "Did you mean 'famo'?"),
        ("fit my.csv --tasks cost --set widht=3", "hard_sharing.widht: unknown option. Did you mean 'width'?"),
        ("fit my.csv --tasks cost --set training.lrr=3", "training.lrr: unknown option. Did you mean 'lr'?"),
        ("fit my.csv --tasks cost --set width", "'width' is not KEY=VALUE"),
        ("fit my.csv --tasks cost --group persn", "no column 'persn'"),
        ("fit my.csv --tasks cost --precision half", "Precision 'half' is invalid"),
        ("fit my.csv --tasks cost --out my.csv", "my.csv"),
        ("fit --resume nowhere", "nowhere: is not the folder of a run"),
        ("compare my.csv --tasks cost --systems trees,mmo", "Did you mean 'mmoe'?"),
        ("compare my.csv --tasks cost --systems mmoe --set mmo.width=3", "Did you mean 'mmoe'?"),
        ("compare my.csv --tasks cost --systems mmoe --set width=3", "Write SYSTEM.width=..."),
        ("compare my.csv --tasks cost --balancers fam", "Did you mean 'famo'?"),
        ("compare my.csv --tasks csot --jobs 1", "Did you mean 'cost'?"),
        ("init my.csv --tasks csot", "Did you mean 'cost'?"),
        ("init my.csv --out my.csv", "my.csv: exists already"),
        ("predict nowhere my.csv", "nowhere: is not the folder of a run"),
        ("predict nowhere my.csv --out p.xlsx", "unknown suffix '.xlsx'"),
        ("evaluate nowhere my.csv", "nowhere: is not the folder of a run"),
        ("show mmo", "Did you mean 'mmoe'?"),
        ("show @yest", "Did you mean 'yeast'?"),
        ("systems --field table", "Did you mean 'tables'?"),
        ("check nowhere.py", "no such file"),
    ],
)
def test_a_wrong_use_is_a_line_that_names_the_fix(arguments: str, text: str, run) -> None:  # type: ignore[no-untyped-def]
    before = set(Path().iterdir())
    found = run(*arguments.split())
    assert found.code == 2
    lines = found.err.strip().splitlines()
    assert any(text in line for line in lines), found.err
    assert all(line.startswith("error: ") for line in lines), found.err
    assert set(Path().iterdir()) == before, "something was written"


def test_typos_in_a_configuration(run) -> None:  # type: ignore[no-untyped-def]
    Path("p.yaml").write_text("data: my.csv\ntasks: [cost]\ntraning: {lr: 1}\n")
    assert "Did you mean 'training'?" in run("fit", "p.yaml").err
    Path("p.yaml").write_text("data: my.csv\ntasks: [cost\n")
    assert "error: p.yaml: is not YAML" in run("fit", "p.yaml").err


def test_a_broken_python_file(run) -> None:  # type: ignore[no-untyped-def]
    Path("mine.py").write_text("def f(:\n")
    found = run("check", "mine.py")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "invalid syntax" in found.err


def test_from_a_file_to_predictions(run) -> None:  # type: ignore[no-untyped-def]
    Path("conf").mkdir()
    assert run("init", "my.csv", "--tasks", "cost,ill", "--out", "conf/p.yaml").code == 0
    assert "data: ../my.csv" in Path("conf/p.yaml").read_text()
    found = run("fit", "conf/p.yaml", *FAST, "--ignore", "person", "--out", "first")
    assert (found.code, found.err) == (0, "")
    assert "cost  regression  r2*" in found.out
    assert run("fit", "conf/p.yaml", *FAST, "--out", "first").code == 2
    assert run("fit", "--resume", "first").code == 0
    new = data(5).drop(columns=["cost", "ill", "person"])
    new.loc[0, "ward"], new.loc[1, "age"] = "new", None
    tables = []
    for suffix, write, read in (
        ("csv", new.to_csv, pd.read_csv),
        ("parquet", new.to_parquet, pd.read_parquet),
        ("jsonl", lambda p, index: new.to_json(p, orient="records", lines=True), lambda p: pd.read_json(p, lines=True)),
    ):
        write(f"new.{suffix}", index=False)
        assert run("predict", "first", f"new.{suffix}", "--out", f"out.{suffix}").code == 0
        tables.append(read(f"out.{suffix}"))
    for table in tables:
        pd.testing.assert_frame_equal(table, tables[0], check_dtype=False, rtol=1e-5)
    assert list(tables[0].columns) == ["cost", "ill", "ill_probability"]
    assert "First of 5 rows" in run("predict", "first", "new.csv").out
    assert "auroc*" in run("evaluate", "first", "my.csv").out
    short = new.drop(columns="dose [mg]")
    short.to_csv("short.csv", index=False)
    assert "dose [mg]" in run("predict", "first", "short.csv").err


def test_another_system_than_the_configuration_names(run) -> None:  # type: ignore[no-untyped-def]
    run("init", "my.csv", "--tasks", "cost,ill")
    arguments = ["polytask.yaml", "--system", "ple", "--balancer", "famo", *FAST, "--ignore", "person", "--out", "other"]
    assert run("fit", *arguments).code == 0
    text = Path("other/config.yaml").read_text()
    assert "name: ple" in text
    assert "name: famo" in text
    assert "- person" in text


def test_compare_ships_and_is_not_repeated(run) -> None:  # type: ignore[no-untyped-def]
    arguments = [
        "my.csv",
        "--tasks",
        "cost,ill",
        "--systems",
        "majority,linear",
        "--seeds",
        "2",
        "--jobs",
        "1",
        "--epochs",
        "1",
    ]
    arguments += ["--set", "single_task.members=1", "--set", "single_task.width=8", "--set", "training.steps=1"]
    first, second = run("compare", *arguments), run("compare", *arguments)
    assert (first.code, first.err) == (0, "")
    assert first.out == second.out
    assert "Verdict\nShip " in first.out
    assert Path("runs/compare/best/model.safetensors").exists()


def test_lists(run) -> None:  # type: ignore[no-untyped-def]
    assert "hard_sharing" in run("systems").out
    assert "mgda" in run("balancers").out
    assert "@support2" in run("data").out
    assert "survival" in run("show", "@support2").out
    assert "experts" in run("show", "mmoe").out
    assert "epsilon" in run("show", "mgda").out or "at " in run("show", "mgda").out
