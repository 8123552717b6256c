"""Run folders that were edited, cut short, mixed up or poisoned: the file is named, nothing in it is executed or changed."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from cli_run import FAST, files, polytask, refused, table
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from polytask.core.stage import Fit
from polytask.engine import fit as fitting

Edit = Callable[[Path], Any]


class Poison:
    """Pickled, it makes a file in the working folder once it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("EXECUTED",)


class Stop(Exception):  # noqa: N818
    """A run that ends in the middle."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: a finished one, one that stopped after three of six epochs, and one of a single task."""
    place = tmp_path_factory.mktemp("made")
    table().to_csv(place / "my.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert polytask("fit", "my.csv", "--tasks", "cost,ill", "--out", "good", *FAST).code == 0
        assert polytask("fit", "my.csv", "--tasks", "cost", "--out", "other", *FAST).code == 0

        def stop(progress: Any, stage: Fit, epochs: int) -> None:
            if progress.epoch == 4:
                raise Stop

        settings = yaml.safe_load((place / "good" / "config.yaml").read_text())
        settings["training"]["epochs"] = 6
        with pytest.raises(Stop):
            fitting.fit("my.csv", ["cost", "ill"], settings=settings, out="half", report=stop)
    return place


@pytest.fixture
def work(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    for config in tmp_path.glob("*/config.yaml"):
        config.write_text(config.read_text().replace(str(made), str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(change: Callable[[dict[str, Any]], Any]) -> Edit:
    def edit(run: Path) -> None:
        values = yaml.safe_load((run / "config.yaml").read_text())
        change(values)
        (run / "config.yaml").write_text(yaml.safe_dump(values))

    return edit


def schema(change: Callable[[dict[str, Any]], Any]) -> Edit:
    def edit(run: Path) -> None:
        values = json.loads((run / "schema.json").read_text())
        change(values)
        (run / "schema.json").write_text(json.dumps(values))

    return edit


def tensors(change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any], name: str = "model.safetensors") -> Edit:
    def edit(run: Path) -> None:
        with safe_open(run / name, "pt") as file:
            about = json.loads(file.metadata()["polytask"])
        held = load_file(run / name)
        change(held, about)
        save_file(held, run / name, metadata={"polytask": json.dumps(about)})

    return edit


def checkpoint(change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any]) -> Edit:
    return tensors(change, "checkpoint.safetensors")


def cut(name: str, length: int) -> Edit:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:length])


def holding(name: str, content: bytes) -> Edit:
    return lambda run: (run / name).write_bytes(content)


def folder_instead(name: str) -> Edit:
    return lambda run: ((run / name).unlink(), (run / name).mkdir())


def drop(held: dict[str, torch.Tensor], prefix: str) -> None:
    for name in [name for name in held if name.startswith(prefix)]:
        del held[name]


FINISHED: dict[str, tuple[Edit, str]] = {
    "other width": (config(lambda v: v["system"].update(width=9)), "tensor 'trunk.layers.0.weight' is 8 x "),
    "other system": (config(lambda v: v.update(system="mmoe")), "holds the weights of hard_sharing; config.yaml says mmoe"),
    "no system": (config(lambda v: v.pop("system")), "config.yaml: has no system: it was cut short or edited"),
    "other tasks": (config(lambda v: v["tasks"].pop("ill")), "config.yaml: names the tasks cost; schema.json cost, ill"),
    "typo": (config(lambda v: v["training"].update(lrr=1)), "config.yaml: training.lrr: unknown option. Did you mean 'lr'?"),
    "newer": (config(lambda v: v.update(polytask="99.0.0")), "was written by polytask 99.0.0"),
    "no configuration": (lambda run: (run / "config.yaml").unlink(), "config.yaml: no such file"),
    "configuration cut": (cut("config.yaml", 60), "training: it was cut short or edited"),
    "own code": (config(lambda v: v["system"].update(name="mine.py")), "is code that this run needs, and not polytask's"),
    "kind of a task": (schema(lambda v: v["tasks"]["cost"].update(kind="binary")), "schema.json: does not describe a schema"),
    "unknown kind": (schema(lambda v: v["tasks"]["cost"].update(kind="regresion")), "Did you mean 'regression'?"),
    "classes": (schema(lambda v: v["tasks"]["ill"].update(positive="no")), "schema.json: is not the schema that this model"),
    "no inputs": (schema(lambda v: v.update(inputs={})), "schema.json: is not the schema that this model was trained with"),
    "schema cut": (cut("schema.json", 100), "schema.json: is not JSON"),
    "schema deep": (holding("schema.json", b"[" * 100_000), "schema.json: is not JSON"),
    "schema bytes": (holding("schema.json", bytes(range(256))), "schema.json: is not JSON"),
    "schema folder": (folder_instead("schema.json"), "schema.json: cannot be read: Is a directory"),
    "schema of another": (lambda run: shutil.copy("other/schema.json", run), "schema.json: is not the schema that this model"),
    "weights of another": (lambda run: shutil.copy("other/model.safetensors", run), "is not the schema that this model"),
    "weights cut": (cut("model.safetensors", -10), "model.safetensors: is not a safetensors file"),
    "weights cut short": (cut("model.safetensors", 4), "model.safetensors: is not a safetensors file"),
    "weights folder": (folder_instead("model.safetensors"), "model.safetensors: cannot be read"),
    "endless header": (holding("model.safetensors", (2**62).to_bytes(8, "little") + b"{}"), "is not a safetensors file"),
    "pickle": (holding("model.safetensors", pickle.dumps(Poison())), "nothing is unpickled"),
    "torch.save": (lambda run: torch.save({"a": Poison()}, run / "model.safetensors"), "nothing is unpickled"),
    "no header": (tensors(lambda t, about: about.clear()), "model.safetensors: does not say what run it is of"),
    "a tensor less": (tensors(lambda t, about: drop(t, "trunk.layers.0.bias")), "tensor 'trunk.layers.0.bias' is missing"),
    "a tensor more": (tensors(lambda t, about: t.update(foo=torch.ones(2))), "tensor 'foo' is unknown"),
    "whole numbers": (
        tensors(lambda t, about: t.update({"trunk.layers.0.bias": torch.ones(8, dtype=torch.int64)})),
        "tensor 'trunk.layers.0.bias' is of torch.int64; the configuration makes it torch.float32",
    ),
    "no numbers": (
        tensors(lambda t, about: t["trunk.layers.0.bias"].fill_(torch.nan)),
        "tensor 'trunk.layers.0.bias' holds values that are no numbers",
    ),
}


@pytest.mark.parametrize("case", FINISHED)
def test_a_damaged_run_is_refused(case: str, work: Path) -> None:
    edit, text = FINISHED[case]
    edit(work / "good")
    before = files(work)
    assert text in refused("predict", "good", "my.csv", "--out", "p.csv")
    assert files(work) == before
    assert not Path("EXECUTED").exists()


def test_the_poison_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Poison()))
    assert Path("EXECUTED").exists()


def test_what_prediction_does_not_need_may_be_gone(work: Path) -> None:
    for name in ("predictions.parquet", "split.parquet", "data.json", "metrics.csv", "checkpoint.safetensors"):
        (work / "good" / name).unlink()
    assert polytask("predict", "good", "my.csv", "--out", "p.csv").code == 0
    assert len(pd.read_csv("p.csv")) == 150


def _data(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Edit:
    return lambda run: change(table()).to_csv("my.csv", index=False)


UNFINISHED: dict[str, tuple[Edit, str]] = {
    "a row less": (_data(lambda frame: frame.head(149)), "half: the data have changed since this run began"),
    "another cell": (_data(lambda frame: frame.assign(age=frame["age"] + 1)), "the data have changed"),
    "no data": (lambda run: Path("my.csv").unlink(), "my.csv: no such file"),
    "other rate": (
        config(lambda v: v["training"].update(lr=0.5)),
        "config.yaml: training.lr: is 0.5; this run began with 0.004. Restore it, or start a new run with another --out",
    ),
    "other task": (config(lambda v: v["tasks"].pop("ill")), "config.yaml: tasks.ill: is 'nothing'; this run began with None"),
    "other system": (config(lambda v: v.update(system="ple")), "system.name: is 'ple'; this run began with 'hard_sharing'"),
    "configuration of another": (lambda run: shutil.copy("other/config.yaml", run), "config.yaml: tasks.ill: is 'nothing'"),
    "newer": (config(lambda v: v.update(polytask="99.0.0")), "config.yaml: polytask: was written by polytask 99.0.0"),
    "no digest": (lambda run: (run / "data.json").unlink(), "data.json: no such file"),
    "checkpoint cut": (cut("checkpoint.safetensors", 200), "checkpoint.safetensors: is not a safetensors file"),
    "pickle": (holding("checkpoint.safetensors", pickle.dumps(Poison())), "nothing is unpickled"),
    "checkpoint of another": (
        lambda run: shutil.copy("other/checkpoint.safetensors", run),
        "checkpoint.safetensors: is not the checkpoint of this run",
    ),
    "no progress": (checkpoint(lambda t, about: about.clear()), "is not the checkpoint of this run ('progress')"),
    "wrong progress": (checkpoint(lambda t, about: about["progress"].update(epoch=-1)), "its progress was edited"),
    "no optimizer": (checkpoint(lambda t, about: about.update(groups=[])), "is not the checkpoint of this run"),
    "no average": (checkpoint(lambda t, about: drop(t, "average/")), "is not the checkpoint of this run"),
    "no best": (checkpoint(lambda t, about: drop(t, "best/")), "the best weights are not of this system"),
}


@pytest.mark.parametrize("case", UNFINISHED)
def test_a_run_goes_on_as_it_began_or_not_at_all(case: str, work: Path) -> None:
    edit, text = UNFINISHED[case]
    edit(work / "half")
    before = files(work)
    assert text in refused("fit", "--resume", "half")
    after = files(work)
    # What stays the same may be written anew.
    assert {name: content for name, content in after.items() if not name.endswith("metrics.csv")} == {
        name: content for name, content in before.items() if not name.endswith("metrics.csv")
    }
    assert not Path("EXECUTED").exists()


def test_settings_of_the_machine_may_change_and_old_rubbish_goes(work: Path) -> None:
    config(lambda v: v["training"].update(threads=1, save_every=99.0))(work / "half")
    (work / "half" / ".config.yaml.1234.tmp").write_text("poly")
    assert polytask("fit", "--resume", "half").code == 0
    assert polytask("fit", "my.csv", "--tasks", "cost,ill", "--out", "whole", *FAST, "--epochs", "6").code == 0
    ours, theirs = (load_file(work / name / "model.safetensors") for name in ("half", "whole"))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert {path.name for path in Path("half").iterdir()} == {path.name for path in Path("whole").iterdir()}


def test_a_run_that_was_not_finished_predicts_nothing(work: Path) -> None:
    assert "half: is not a finished run. polytask fit --resume half" in refused("predict", "half", "my.csv")
    assert "half: already holds a run. polytask fit --resume half goes on" in refused(
        "fit", "my.csv", "--tasks", "cost", "--out", "half", *FAST
    )
