"""`polytask tune` and `compare --tuned` as a user meets them."""

import sys
from pathlib import Path
from typing import Any

import pytest
from test_commands import FAST, Outcome, data

from polytask.cli import main
from polytask.engine import _study

pytest.importorskip("optuna")
QUICK = ["--epochs", "2", "--set", "training.steps=1"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    data().to_csv("my.csv", index=False)

    def call(text: str, *more: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["polytask", *text.split(), *more])
        with pytest.raises(SystemExit) as end:
            main()
        found = capsys.readouterr()
        return Outcome(int(end.value.code or 0), found.out, found.err)

    return call


def test_tune_then_fit_and_predict(run: Any) -> None:
    found = run(
        "tune my.csv --tasks cost,ill --ignore person --trials 3 --jobs 1 --search lr=1e-3..1e-1 --search width=4,8", *FAST
    )
    assert found.code == 0, found.err
    assert "the best trial of each" in found.out
    assert "training.lr" in found.out
    assert "the test rows chose nothing" in found.out
    assert run("predict runs/tune/best my.csv").code == 0
    assert run("fit runs/tune/tuned.yaml --out again").code == 0
    assert Path("runs/tune/best/model.safetensors").read_bytes()[-4000:] == Path("again/model.safetensors").read_bytes()[-4000:]


def test_ctrl_c_says_how_to_go_on(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_study.Study, "tell", stop)
    found = run("tune my.csv --tasks cost --trials 2 --jobs 1", *FAST)
    assert found.code == 130
    assert "stopped. The same command goes on from here: trials that have ended are not run again" in found.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("tune my.csv --tasks cost --search lr=", "is not NAME, NAME=LOW..HIGH or NAME=A,B,C"),
        ("tune my.csv --tasks cost --search lr --search lr=1,2", "'lr' is given twice"),
        ("tune my.csv --tasks cost --search lrr", "--search lrr: no system or balancer here has this option. Did you mean"),
        ("tune my.csv --tasks cost --systems mmo", "Did you mean 'mmoe'?"),
        ("tune my.csv --tasks cost --systems ple,mmoe --set width=9", "--set width: names no system"),
        ("tune my.csv --tasks cost --set tasks.cots.kind=count", "tasks: unknown name 'cots'. Did you mean 'cost'?"),
        ("tune my.csv --tasks cost --on rya", "on: unknown place 'rya'. Did you mean 'ray'?"),
        ("compare my.csv --tasks cost --search lr", "--search lr: goes with --tuned"),
    ],
)
def test_what_is_wrong_is_said(arguments: str, text: str, run: Any) -> None:
    found = run(arguments)
    assert found.code == 2
    assert text in found.err
    assert "Traceback" not in found.err


def test_compare_tuned(run: Any) -> None:
    command = "compare my.csv --tasks cost,ill --ignore person --systems majority --seeds 1 --jobs 1 --tuned --trials 2"
    found = run(command, "--search", "lr=1e-3..1e-1", "--set", "single_task.members=1", "--set", "single_task.width=8", *QUICK)
    assert found.code == 0, found.err
    assert "Every system was tuned first: 2 trials each, on the validation rows of seed 0." in " ".join(found.out.split())
