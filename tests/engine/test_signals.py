"""Ctrl-C and SIGTERM: the work is saved, the way on is told, the exit code says which it was, and no process stays behind."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from warm_process import Child, Warm

from polytask.engine.checkpoint import Checkpoint

SMALL = ["--set=training.accelerator=cpu", "--set=training.save_every=99", "--set=training.patience=99999"]
FIT = ["fit", "my.csv", "--tasks", "cost,ill", "--set=members=1", "--set=width=8", "--set=embedding=none", *SMALL]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as process:
        yield process


@pytest.fixture(scope="module")
def made(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table and two finished runs that can be merged."""
    folder = tmp_path_factory.mktemp("made")
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(150, 2)), columns=["a", "b"])
    frame["cost"] = frame["a"] + 0.1 * draw.normal(size=150)
    frame["ill"] = np.where(frame["b"] + draw.normal(size=150) > 0, "yes", "no")
    frame.to_csv(folder / "my.csv", index=False)
    one, two = ["--tasks=cost", "--ignore=ill", "--out=one"], ["--tasks=ill", "--ignore=cost", "--out=two", "--from=one"]
    for arguments in (one, two):
        child = warm.start(*FIT, *arguments, "--epochs=1", folder=folder)
        assert child.wait() == 0, child.said
    return folder


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def in_training(child: Child, folder: Path) -> None:
    until(lambda: (folder / "config.yaml").exists() or bool(child.said))
    time.sleep(0.2)


@pytest.mark.parametrize("number", CODES)
def test_a_fit_is_saved_first(number: signal.Signals, warm: Warm, made: Path) -> None:
    out = made / f"stopped-{number}"
    child = warm.start(*FIT, "--epochs=99999", "--out", out.name, folder=made)
    in_training(child, out)
    os.kill(child.pid, number)
    assert child.wait() == CODES[number], child.said
    assert "stopping after this epoch; once more stops at once" in child.said
    assert f"stopped. Go on with: polytask fit --resume {out.name}" in child.said
    assert Checkpoint.read(out / "checkpoint.safetensors").progress.epoch > 0
    assert not list(out.glob(".*"))


def test_the_second_time_it_stops_at_once(warm: Warm, made: Path) -> None:
    child = warm.start(*FIT, "--epochs=99", "--set=training.steps=999999", "--out=long", folder=made)
    in_training(child, made / "long")
    os.kill(child.pid, signal.SIGINT)
    until(lambda: "once more" in child.said)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == 143, child.said
    assert "Traceback" not in child.said


PAUSES = {
    "fit": ([*FIT, "--out=p"], "polytask.data.prepare.prepare"),
    "predict": (["predict", "one", "my.csv", "--out=p.csv"], "polytask.data.read.write"),
    "evaluate": (["evaluate", "one", "my.csv"], "polytask.engine.run.evaluate"),
    "merge": (["merge", "one", "two", "--base=one", "--out=p"], "polytask.engine.merging._assemble"),
}


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("command", PAUSES)
def test_elsewhere_it_stops_and_leaves_nothing(command: str, number: signal.Signals, warm: Warm, made: Path) -> None:
    arguments, pause = PAUSES[command]
    before = set(made.iterdir())
    child = warm.start(*arguments, folder=made, pause=pause)
    until(lambda: "pausing" in child.said)
    os.kill(child.pid, number)
    assert child.wait() == CODES[number], child.said
    assert "stopped" in child.said
    assert "Traceback" not in child.said
    assert set(made.iterdir()) - before == {child.log}


@pytest.mark.parametrize(("command", "jobs"), [("tune", 1), ("compare", 2)])
def test_of_many_runs_no_process_stays_behind(command: str, jobs: int, warm: Warm, made: Path) -> None:
    out = made / f"{command}-{jobs}"
    more = ["--trials=4"] if command == "tune" else ["--systems=hard_sharing", "--seeds=1"]
    child = warm.start(
        *(command, "my.csv", "--tasks=cost,ill", *more, "--epochs=99999", *SMALL, f"--jobs={jobs}", f"--out={out.name}"),
        folder=made,
    )
    until(lambda: bool(list(out.rglob("schema.json"))) or "error" in child.said, 120)
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == 143, child.said
    assert "The same command goes on from here" in child.said

    def gone() -> bool:
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(gone, 30)
