"""Runs from Python: fit, predict, evaluate, save, load; and folders that are damaged."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import polytask
from polytask.core import PolytaskError, RunError

TASKS = ["cost", "ill"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conftest import QUICK, small

    return polytask.fit(small(), TASKS, settings=QUICK, out=tmp_path_factory.mktemp("runs") / "run").folder  # type: ignore[return-value]


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "moved"))


def test_without_out_nothing_is_written(
    frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = polytask.fit(frame, TASKS, settings=quick)
    assert list(tmp_path.iterdir()) == []
    assert len(run.predict(frame)) == len(frame)
    run.save(tmp_path / "later")
    pd.testing.assert_frame_equal(polytask.load(str(tmp_path / "later")).predict(frame), run.predict(frame))


def test_predictions_follow_their_rows(copy: Path, frame: pd.DataFrame) -> None:
    run = polytask.load(str(copy))
    inputs = frame[["a", "b", "c", "ward"]]
    whole = run.predict(inputs)
    order = np.random.default_rng(1).permutation(len(frame))
    pd.testing.assert_frame_equal(run.predict(inputs.iloc[order]), whole.iloc[order].reset_index(drop=True))
    held = pd.read_parquet(copy / "predictions.parquet")
    np.testing.assert_allclose(held["cost"], whole["cost"].to_numpy()[held["row"]], rtol=1e-5)
    assert (held["true_ill"].isna() == frame["ill"].iloc[held["row"]].isna().to_numpy()).all()


def test_polars_and_new_categories_and_gaps(copy: Path, frame: pd.DataFrame) -> None:
    polars = pytest.importorskip("polars")
    run = polytask.load(str(copy))
    new = frame[["a", "b", "c", "ward"]].copy()
    new.loc[0, "ward"], new.loc[1, "a"], new.loc[2, "ward"] = "never seen", np.nan, None
    found = run.predict(new)
    assert found["cost"].notna().all()
    pd.testing.assert_frame_equal(run.predict(polars.from_pandas(new)), found)


def test_evaluate_gives_the_scores_of_the_run(copy: Path, frame: pd.DataFrame) -> None:
    run = polytask.load(str(copy))
    split = pd.read_parquet(copy / "split.parquet")["part"]
    found = run.evaluate(frame[(split == "test").to_numpy()])
    for task, metrics in run.scores["test"].items():
        assert found[task] == pytest.approx(metrics, rel=1e-4)
    with pytest.raises(RunError, match="no row has a label"):
        run.evaluate(frame.drop(columns=TASKS))


def test_two_sources_with_a_task_each(frame: pd.DataFrame, quick: dict[str, Any]) -> None:
    sources = [{"file": frame.iloc[:90], "tasks": ["cost"]}, {"file": frame.iloc[90:], "tasks": ["ill"]}]
    run = polytask.fit(sources, TASKS, settings=quick)
    assert set(run.scores["test"]) == {"cost", "ill"}
    assert list(run.predict(frame.head(3)).columns)[:2] == ["cost", "ill"]


def test_a_users_own_system_moves_with_its_run(frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    from polytask.core import registry

    own = tmp_path / "mine.py"
    own.write_text(registry.file_of("hard_sharing").read_text())
    run = polytask.fit(frame, TASKS, system=str(own), settings=quick, out=tmp_path / "run")
    own.unlink()
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"is code that this run needs.*--trust"):
        polytask.load(moved)
    pd.testing.assert_frame_equal(polytask.load(moved, trust=True).predict(frame), run.predict(frame))


def _yaml(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        values = yaml.safe_load((folder / "config.yaml").read_text())
        change(values)
        (folder / "config.yaml").write_text(yaml.safe_dump(values))

    return damage


def _model(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "model.safetensors").write_bytes(content) and None


def _cut(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-40]) and None


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "unfinished": (lambda f: (f / "model.safetensors").unlink(), "is not a finished run. polytask fit --resume"),
    "no folder": (lambda f: shutil.rmtree(f), "is not the folder of a run"),
    "pickle": (_model(pickle.dumps({"weights": [1.0]})), "model.safetensors: is not a safetensors file"),
    "empty": (_model(b""), "model.safetensors: is not a safetensors file"),
    "cut weights": (_cut("model.safetensors"), "model.safetensors: is not a safetensors file"),
    "cut schema": (_cut("schema.json"), "schema.json: is not JSON"),
    "no schema": (lambda f: (f / "schema.json").unlink(), "schema.json: no such file"),
    "edited schema": (lambda f: (f / "schema.json").write_text("[1, 2]"), "schema.json: does not describe a schema"),
    "newer": (_yaml(lambda v: v.update(polytask="99.0.0")), "was written by polytask 99.0.0"),
    "unknown key": (_yaml(lambda v: v.update(colour="red")), "config.yaml: colour: unknown name 'colour'"),
    "wrong value": (_yaml(lambda v: v["training"].update(lr="fast")), "config.yaml: training.lr: must be float"),
    "other width": (_yaml(lambda v: v["system"].update(width=9)), "does not fit hard_sharing"),
    "other system": (_yaml(lambda v: v.update(system="mmoe")), "holds the weights of hard_sharing; config.yaml says mmoe"),
    "bad yaml": (lambda f: (f / "config.yaml").write_text("a: ["), "config.yaml: is not YAML"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folders_are_named(damage: str, copy: Path) -> None:
    break_it, text = DAMAGES[damage]
    break_it(copy)
    with pytest.raises(PolytaskError) as error:
        polytask.load(str(copy))
    assert text in str(error.value)
    assert str(copy) in str(error.value)


def test_runs_are_not_mixed_in_one_folder(copy: Path, frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="already holds a run"):
        polytask.fit(frame, TASKS, settings=quick, out=copy)
    with pytest.raises(RunError, match="the data have changed"):
        polytask.fit(frame.head(100), TASKS, settings=quick, out=copy, resume=True)
    with pytest.raises(RunError, match="were given in memory"):
        polytask.resume(copy)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="holds other files, and no run"):
        polytask.fit(frame, TASKS, settings=quick, out=tmp_path / "other")
    assert len(list((tmp_path / "other").iterdir())) == 1
