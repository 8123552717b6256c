"""A run that is killed goes on to the numbers of an uninterrupted one."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

SYSTEMS = ("cross_stitch", "single_task")

# One process that imports everything and then only forks: each run is a child, which can be killed at any moment.
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import QUICK, small
import polytask.engine.compare
from polytask.core import registry

DATA = small()
DATA_FILE = Path(sys.argv[1]) / "data.parquet"
DATA.to_parquet(DATA_FILE)


def child(run, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            run(*arguments)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def fit(system, out):
    training = QUICK["training"] | dict(epochs=8, patience=8, save_every=0.0, steps=2, average=0.9)
    settings = dict(system=QUICK["system"] | dict(dropout=0.2), training=training)
    polytask.fit(DATA, ["cost", "ill"], system=system, settings=settings, out=out, resume=(out / "config.yaml").exists())


def compare(_, out):
    settings = dict(training=QUICK["training"] | dict(epochs=8, patience=8, save_every=0.0, steps=2))
    polytask.compare(str(DATA_FILE), ["cost", "ill"], systems=["hard_sharing"], seeds=1, jobs=1, settings=settings,
        options=dict(hard_sharing=QUICK["system"], single_task=QUICK["system"]), out=out)


def latest(out):
    return max((path.stat().st_mtime_ns for path in out.rglob("checkpoint.safetensors")), default=0)


def killed(run, system, out, times):
    draw = random.Random(system)
    for _ in range(times):
        before, pid = latest(out), child(run, system, out)
        while latest(out) == before and os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        print(out.name, latest(out), (out / "model.safetensors").exists(), flush=True)


for system in {systems!r}:
    registry.load(system)
for run, names in ((fit, {systems!r}), (compare, ("compare",))):
    for name in names:
        whole, cut = (Path(sys.argv[1]) / f"{{name}}-{{how}}" for how in ("whole", "cut"))
        pid = child(run, name, whole)
        assert os.waitpid(pid, 0)[1] == 0
        killed(run, name, cut, 3 if run is fit else 1)
        pid = child(run, name, cut)
        assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole and a thrice killed run of each system, and of a comparison."""
    folder = tmp_path_factory.mktemp("killed")
    script = folder / "script.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent), systems=SYSTEMS))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def _same(whole: Path, cut: Path) -> None:
    if (whole / "metrics.csv").exists():
        assert _metrics(cut) == _metrics(whole)
    for name in ("predictions.parquet", "schema.json", "split.parquet"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    ours, theirs = load_file(cut / "model.safetensors"), load_file(whole / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in theirs)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_killed_run_ends_the_same(system: str, folder: Path) -> None:
    assert len(_metrics(folder / f"{system}-whole")) >= 8
    _same(folder / f"{system}-whole", folder / f"{system}-cut")


def test_a_killed_comparison_ends_the_same(folder: Path) -> None:
    whole, cut = folder / "compare-whole", folder / "compare-cut"
    cells = sorted(path.name for path in (whole / "cells").iterdir())
    assert len(cells) == 2
    assert sorted(path.name for path in (cut / "cells").iterdir()) == cells
    for cell in cells:
        _same(whole / "cells" / cell, cut / "cells" / cell)
