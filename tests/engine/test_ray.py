"""The same numbers on a Ray cluster as here, and faults that say what is missing."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import QUICK, small

import polytask
from polytask.core import MissingExtra, OptionError, RunError, registry
from polytask.engine import parallel


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def compared(out: Path, on: str) -> Any:
    settings = {"training": QUICK["training"] | {"epochs": 2}}
    options = dict.fromkeys(("single_task", "hard_sharing"), QUICK["system"])
    return polytask.compare(
        small(), ["cost", "ill"], systems=["hard_sharing"], seeds=1, jobs=None if on == "ray" else 1, on=on, out=out,
        settings=settings, options=options, tuned=2, search={"lr": "1e-3..1e-1"},
    )  # fmt: skip


def test_a_cluster_gives_the_same_numbers(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # other processes need not share the working directory
    here, there = compared(tmp_path / "local", "local"), compared(Path("ray"), "ray")
    assert [result.scores for result in here.results] == [result.scores for result in there.results]
    assert [row.name for row in here.rows] == [row.name for row in there.rows]
    assert cluster.is_initialized(), "a cluster that was there before stays"


def test_errors_cross_as_they_are_and_leaving_ends_the_tasks(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Did you mean 'mmoe'") as found:
        list(parallel.each(registry.file_of, ["mmo", "ple"], None, "ray"))
    assert found.value.faults[0].where == "system"
    marks = [tmp_path / str(number) for number in range(8)]
    ended = parallel.each(Path.touch, marks, 1, "ray")
    assert next(ended)[0] == marks[0]
    ended.close()
    assert not marks[-1].exists()


def test_a_missing_package_a_wrong_place_and_a_silent_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"on: unknown place 'rya'\. Did you mean 'ray'"):
        list(parallel.each(Path.touch, [tmp_path], 1, "rya"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'polytask\[ray\]'"):
        list(parallel.each(Path.touch, [tmp_path], 1, "ray"))


def test_a_cluster_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def silent(**given: Any) -> None:
        raise ConnectionError(f"no {given['address']}")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", silent)
    with pytest.raises(RunError, match="Ray at ray://nowhere:1: does not answer"):
        list(parallel.each(Path.touch, [tmp_path], 1, "ray://nowhere:1"))
