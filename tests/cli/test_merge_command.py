"""`polytask merge` behind its wiring: what it writes, what it shows, what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from polytask.cli import _merge
from polytask.core import OptionError, RunError
from polytask.data import read
from polytask.engine.fit import fit
from polytask.engine.predict import predict
from polytask.engine.run import Run

SETTINGS: dict[str, Any] = {
    "system": {"members": 1, "width": 8, "embedding": "none"},
    "training": {"epochs": 2, "steps": 4, "batch_size": 32, "accelerator": "cpu", "threads": 1},
    "split": {"how": "time", "column": "day"},  # whatever the task: the same training rows, so equal inputs
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `base`, `ill`, `sick` of the same rows (so of equal inputs), and `new.csv` with labels of one."""
    root = tmp_path_factory.mktemp("merge")
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(150, 2)), columns=["age", "dose"])
    frame["day"] = range(150)
    for name in ("cost", "ill", "sick"):
        frame[name] = np.where(frame["age"] + draw.normal(size=150) > 0, "yes", "no")
    for task, name in (("cost", "base"), ("ill", "ill"), ("sick", "sick")):
        fit(frame[["age", "dose", "day", task]], [task], settings=SETTINGS, out=root / name)
    frame[["age", "dose", "ill"]].to_csv(root / "new.csv", index=False)
    frame[["age", "dose"]].to_csv(root / "bare.csv", index=False)
    return root


def call(folder: Path, out: str, method: str = "ties", data: list[str] | None = None, base: bool = True) -> None:
    runs = [folder / "ill", folder / "sick"]
    _merge.merge(runs, method, folder / "base" if base else None, data, folder / out, None, 0.2, False)


def test_the_written_run_predicts_all_tasks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(folder, "merged", data=[str(folder / "new.csv")])
    shown = capsys.readouterr().out
    merged = Run.load(folder / "merged")
    assert list(merged.schema.tasks) == ["ill", "sick"]
    predicted = merged.predict(folder / "bare.csv")
    assert {"ill", "sick", "ill_probability"} <= set(predicted)
    own = Run.load(folder / "ill").evaluate(folder / "new.csv")["ill"]["auroc"]
    after = merged.evaluate(folder / "new.csv")["ill"]["auroc"]
    (line,) = [line for line in shown.splitlines() if "auroc*" in line]
    assert line.split() == ["ill", "auroc*", f"{own:.3f}", f"{after:.3f}"]
    assert "2 tasks in one run" in shown


def test_without_labels_no_scores_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(folder, "bare", "average", [str(folder / "bare.csv")], base=False)
    assert "auroc" not in capsys.readouterr().out


def test_each_task_may_have_its_own_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(folder, "own", data=[f"ill={folder / 'new.csv'}"])
    assert "auroc*" in capsys.readouterr().out
    assert _merge.parse(["a=x.csv", "b=y.csv"]) == {"a": "x.csv", "b": "y.csv"}
    with pytest.raises(OptionError, match=r"'y\.csv' is for no task"):
        _merge.parse(["a=x.csv", "y.csv"])


def test_what_is_missing_is_told_before_anything_is_written(folder: Path) -> None:
    with pytest.raises(OptionError, match="--base"):
        call(folder, "none", base=False)
    with pytest.raises(OptionError, match="--data"):
        call(folder, "none", "adamerging")
    with pytest.raises(OptionError, match="unknown name 'tis'"):
        call(folder, "none", "tis")
    assert not (folder / "none").exists()
    with pytest.raises(RunError, match="already holds"):
        call(folder, "ill")


def test_a_collapse_of_entropy_is_told(folder: Path) -> None:
    """A merged model that answers one class everywhere is named with both shares; its own run against itself is not."""
    data = str(folder / "new.csv")
    longer = SETTINGS | {"training": SETTINGS["training"] | {"epochs": 20, "lr": 2e-2}, "split": {}}
    own = fit(data, ["ill"], settings=longer, out=folder / "longer")
    constant = Run.load(folder / "longer")
    for parameter in constant.system.task_parameters("ill"):
        parameter.data.zero_()
    share = _merge.commonest(predict(own.system, own.schema.encode(read.table(data)))["ill"])
    assert share < 0.75
    assert _merge.collapsed([own], own, data) == []
    (note,) = _merge.collapsed([own], constant, {"ill": data, "sick": data})
    assert "Task 'ill': 100% of its rows" in note
    assert f"({share:.0%} by its own run)" in note


def test_the_commonest_class_of_probabilities() -> None:
    assert _merge.commonest(torch.tensor([[0.9], [0.2], [0.1], [0.3]])) == 0.75
    assert _merge.commonest(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.9, 0.1]])) == pytest.approx(2 / 3)
