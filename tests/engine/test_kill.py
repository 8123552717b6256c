"""Killed at any moment, any number of times, a command goes on to the same numbers; no file is ever half-written."""

import csv
import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.torch import load_file
from warm_process import Warm

KILLS = {"fit": 16, "compare": 9, "tune": 6}
WRITES = 150
"""Moments of its writes (5 a file, and more) that a command may die at."""
_OPTIONS = ["members=1", "width=8", "embedding=none"]
_TRAINING = ["steps=2", "patience=9", "save_every=0", "accelerator=cpu", "average=0.9"]
_SETTINGS = [f"--set=training.{text}" for text in _TRAINING]
COMMANDS = {
    "fit": [
        *("fit", "my.csv", "--tasks", "cost,ill", "--system=cross_stitch", "--set=dropout=0.2"),
        *(*(f"--set={text}" for text in _OPTIONS), *_SETTINGS, "--epochs=6"),
    ],
    "compare": [
        *("compare", "my.csv", "--tasks", "cost,ill", "--systems", "hard_sharing,single_task", "--seeds=1", "--jobs=1"),
        *(f"--set={system}.{text}" for system in ("hard_sharing", "single_task") for text in _OPTIONS),
        *(*_SETTINGS, "--epochs=3"),
    ],
    "tune": [
        *("tune", "my.csv", "--tasks", "cost,ill", "--trials=2", "--jobs=1", "--search=lr=1e-3..1e-2"),
        *(*(f"--set={text}" for text in _OPTIONS), *_SETTINGS, "--epochs=3"),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as process:
        yield process


@pytest.fixture
def work(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(120, 3)), columns=["a", "b", "c"])
    frame["cost"] = frame["a"] + 0.3 * draw.normal(size=120)
    frame["ill"] = np.where(frame["b"] + draw.normal(size=120) > 0, "yes", "no")
    frame.loc[::7, "ill"] = None
    frame.to_csv(tmp_path / "my.csv", index=False)
    return tmp_path


def whole(path: Path) -> None:
    """Raise unless the file reads from its beginning to its end."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".yaml":
        assert "training" in yaml.safe_load(path.read_text())
    elif path.suffix == ".csv":
        rows = list(csv.reader(path.open()))
        assert len({len(row) for row in rows}) == 1
    elif path.suffix == ".parquet":
        pq.read_table(path)
    elif path.suffix == ".safetensors":
        load_file(path)
    elif path.suffix == ".db":
        with sqlite3.connect(path) as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>")
    else:
        raise AssertionError(f"what is {path}?")


def check(folder: Path) -> int:
    """Every file is whole or has a temporary name; how many are temporary."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-journal")]
    rest = [path for path in paths if any(part.startswith(".") and part.endswith(".tmp") for part in path.parts)]
    for path in set(paths) - set(rest):
        whole(path)
    return len(rest)


def plain(value: Any) -> Any:
    """What a machine's speed and a folder's place change no more."""
    if isinstance(value, dict):
        machine = ("cost", "seconds", "folder", "best", "command")
        return {key: plain(item) for key, item in value.items() if key not in machine}
    return [plain(item) for item in value] if isinstance(value, list) else value


def read(path: Path) -> Any:
    """The content of a file, for comparison with that of another run."""
    if path.suffix == ".json":
        return plain(json.loads(path.read_text()))
    if path.suffix == ".yaml":
        return plain(yaml.safe_load(path.read_text()))
    if path.suffix == ".csv":
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(path.open())]
    if path.name == "model.safetensors":
        return {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}
    return path.read_bytes() if path.suffix == ".parquet" else None


def same(ours: Path, theirs: Path) -> None:
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) for folder in (ours, theirs)]
    assert names[0] == names[1]
    for name in names[0]:
        assert read(ours / name) == read(theirs / name), name


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_again_and_again_it_ends_the_same(command: str, warm: Warm, work: Path) -> None:
    arguments = COMMANDS[command]
    begun = time.monotonic()
    child = warm.start(*arguments, "--out", "whole", folder=work)
    assert child.wait() == 0, child.said
    duration = time.monotonic() - begun
    draw, kills, rests, number, finished = random.Random(command), 0, 0, 0, 0
    while kills < KILLS[command] or not finished:
        out = work / f"cut-{number}"
        go_on = command == "fit" and (out / "config.yaml").exists()
        again = ["fit", "--resume", out.name] if go_on else [*arguments, "--out", out.name]
        alive = kills >= KILLS[command]
        in_a_write = not alive and kills % 3 > 0  # else at any time
        child = warm.start(*again, folder=work, die=draw.randint(1, WRITES) if in_a_write else 0)
        if not alive and not in_a_write:
            time.sleep(draw.uniform(0, duration))
            os.kill(child.pid, signal.SIGKILL)
        code = child.wait()
        assert code in (0, -signal.SIGKILL), child.said
        kills += code != 0
        rests += check(out)
        if code == 0:
            same(out, work / "whole")
            number, finished = number + 1, finished + 1
    assert rests, "no kill fell into a write"
