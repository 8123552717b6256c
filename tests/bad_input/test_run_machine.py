"""What the machine may refuse: places that cannot be written, a full disk, another writer, packages, numbers that end."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cli_run import FAST, files, polytask, refused, table
from safetensors.torch import load_file

from polytask.engine import _files, log
from polytask.engine.checkpoint import Checkpoint

FIT = ["fit", "my.csv", "--tasks", "cost,ill", *FAST]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table().to_csv("my.csv", index=False)
    return tmp_path


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Inside, the system refuses what would make a file larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("out", ["my.csv", "my.csv/run", "/proc/run", "/dev/null", "x" * 300])
def test_a_run_folder_that_cannot_be(out: str, work: Path) -> None:
    text = refused(*FIT, "--out", out)
    assert f"error: {out}: cannot be written: " in text
    assert "Choose another place" in text
    assert files(work).keys() == {"my.csv"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_the_system_refuses_is_told_with_the_path(number: int, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(_files, "_flush", refuse)
    text = refused(*FIT, "--out", "run")
    assert f"error: run/data.json: cannot be written: {os.strerror(number)}. " in text
    assert ("Free some space" in text) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert files(work).keys() == {"my.csv"}


def _same(ours: str, theirs: str) -> None:
    weights = [load_file(Path(run) / "model.safetensors") for run in (ours, theirs)]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[1])
    columns = [pd.read_csv(Path(run) / "metrics.csv").drop(columns="seconds") for run in (ours, theirs)]
    pd.testing.assert_frame_equal(*columns)


def test_a_disk_that_fills_up(work: Path) -> None:
    """The checkpoint of earlier epochs stays, and the run goes on from it once there is space."""
    assert polytask(*FIT, "--epochs", "4", "--out", "whole").code == 0
    write, done = _files.write_tensors, 0

    def write_tensors(path: Path, *rest: Any) -> None:
        nonlocal done
        done += 1
        with no_file_above(2_000 if done == 3 else 1 << 40):
            write(path, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_files, "write_tensors", write_tensors)
        text = refused(*FIT, "--epochs", "4", "--out", "run")
    assert (
        "run/checkpoint.safetensors: cannot be written: File too large. Free some space, then: polytask fit --resume run"
        in text
    )
    assert Checkpoint.read(Path("run/checkpoint.safetensors")).progress.epoch == 2
    assert not list(Path("run").glob(".*"))
    assert not Path("run/model.safetensors").exists()
    assert polytask("fit", "--resume", "run").code == 0
    _same("run", "whole")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_predictions_that_do_not_fit_on_the_disk(suffix: str, work: Path) -> None:
    assert polytask(*FIT, "--out", "run").code == 0
    Path(f"p.{suffix}").write_bytes(b"old")
    with no_file_above(1_000):
        text = refused("predict", "run", "my.csv", "--out", f"p.{suffix}")
    assert f"error: p.{suffix}: cannot be written: " in text
    assert "File too large" in text
    assert Path(f"p.{suffix}").read_bytes() == b"old"
    assert [path.name for path in work.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full(small_disk: Path) -> None:
    (small_disk / "film").write_bytes(bytes(12_000))
    text = refused(*FIT, "--set", "width=64", "--out", str(small_disk / "run"))
    assert ": cannot be written: No space left on device. Free some space" in text
    assert str(small_disk / "run") in text
    assert not list((small_disk / "run").glob(".*"))


def test_two_writers_of_one_folder(work: Path) -> None:
    with _files.locked(work / "run"):
        text = refused(*FIT, "--out", "run")
    assert text == "error: run: another process is writing this run. Wait until it has ended, or choose another --out\n"
    assert files(work).keys() == {"my.csv"}
    assert polytask(*FIT, "--out", "run").code == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["training.lr=1e6"], "step 2: the loss of cost is not finite. Lower training.lr, or look for extreme values in its"),
        (["training.lr=1e30", "training.optimizer=sgd"], "step 1: the predictions of cost, ill are not finite"),
        (["training.lr=1e300"], "step 1: makes the weights 'stem.encoder"),
    ],
)
def test_what_is_no_number_is_told_with_task_and_step(settings: list[str], text: str) -> None:
    assert text in refused(*FIT, "--out", "run", *(f"--set={setting}" for setting in settings))
    assert not Path("run/model.safetensors").exists()


def test_before_a_loss_is_no_number_the_last_checkpoint_stays(work: Path) -> None:
    slowly = ["--set", "training.optimizer=sgd", "--set", "training.lr=5", "--set", "training.average=0", "--epochs", "90"]
    text = refused(*FIT, *slowly, "--set", "training.patience=90", "--set", "training.weight_decay=0", "--out", "run")
    step = int(text.split("step ")[1].split(":")[0])
    held = Checkpoint.read(Path("run/checkpoint.safetensors"))
    assert held.progress.step < step
    assert all(value.isfinite().all() for name, value in held.tensors.items() if name.startswith(("system/", "best/")))
    before = files(work)
    assert refused("fit", "--resume", "run") == text
    assert {name for name, content in files(work).items() if before[name] != content} == set()


def test_huge_targets_are_no_trouble() -> None:
    frame = table()
    frame["cost"] *= 1e30
    frame.to_csv("my.csv", index=False)
    assert polytask(*FIT, "--out", "run").code == 0


MISSING = {
    "torch_geometric": (["fit", "my.csv", "--tasks", "ill", "--system", "pareto_gnn"], "graphs"),
    "ecos": ([*FIT, "--balancer", "nashmtl"], "balance"),
    "tensorboard": ([*FIT, "--set", "training.loggers=tensorboard"], "logging"),
    "h5py": (["fit", "scan.h5", "--tasks", "image=map"], "medical"),
    "soundfile": (["fit", "sound.csv", "--tasks", "loud", "--set", "inputs.path=audio"], "audio"),
}


@pytest.mark.parametrize("package", MISSING)
def test_a_missing_package_is_told_with_the_command_that_installs_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, extra = MISSING[package]
    gone = (name for name in list(sys.modules) if name.partition(".")[0] == package or name == "polytask.systems.pareto_gnn")
    for name in gone:
        monkeypatch.delitem(sys.modules, name)

    class Nothing(MetaPathFinder):
        def find_spec(self, name: str, *rest: Any) -> None:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    monkeypatch.setattr(sys, "meta_path", [Nothing(), *sys.meta_path])
    find = log.find_spec
    monkeypatch.setattr(log, "find_spec", lambda name: None if name == package else find(name))
    Path("scan.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    pd.DataFrame({"path": [f"{n}.wav" for n in range(40)], "loud": [n % 7 for n in range(40)]}).to_csv("sound.csv")
    text = refused(*arguments)
    assert package in text
    assert f"pip install 'polytask[{extra}]'" in text
