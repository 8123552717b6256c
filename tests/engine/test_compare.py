"""Comparisons: cached by content, finished cells are kept, what does not apply is left out."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import polytask
from polytask.core import OptionError, PolytaskError


def compare(frame: Any, quick: dict[str, Any], out: Path, **more: Any) -> Any:
    settings = {"training": quick["training"]}
    options = dict.fromkeys(("single_task", "hard_sharing"), quick["system"])
    arguments = {"systems": ["hard_sharing", "majority"], "seeds": 2, "jobs": 1, "options": options} | more
    return polytask.compare(frame, ["cost", "ill"], settings=settings, out=out, **arguments)


def test_finished_cells_are_not_trained_again(frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    calls: list[tuple[int, int, list[str]]] = []
    first = compare(frame, quick, tmp_path, done=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(number, 6) for number in range(7)]
    assert calls[0][2] == ["single_task, seed 0"]
    assert calls[-1][2] == []
    assert {row.name for row in first.rows} == {"single_task", "hard_sharing + equal", "majority"}
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/model.safetensors")}
    again = compare(frame, quick, tmp_path)
    assert again.to_dict() == first.to_dict()
    victim = next(tmp_path.glob("cells/hard_sharing-equal-1-*/model.safetensors"))
    victim.unlink()  # as if it had been killed before its end
    third = compare(frame, quick, tmp_path)
    scores = [[result.scores for result in found.results] for found in (first, third)]
    assert scores[0] == scores[1]
    assert {path for path, time in times.items() if path.stat().st_mtime_ns != time} == {victim}
    best = polytask.load(str(tmp_path / "best"))
    assert best.config.system == first.winner[0]
    json.loads((tmp_path / "comparison.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_another_option_is_another_cell(frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    compare(frame, quick, tmp_path, seeds=1)
    quick["system"]["width"] = 9
    compare(frame, quick, tmp_path, seeds=1)
    assert len(list(tmp_path.glob("cells/hard_sharing-*"))) == 2
    assert len(list(tmp_path.glob("cells/majority-*"))) == 1


def test_what_cannot_learn_these_tasks_is_left_out(frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    from polytask.core import registry

    text = registry.file_of("majority").read_text()
    text = text.replace("        return cls(schema.tasks)\n", "        raise OptionError.of('task', 'is none of mine')\n")
    own = tmp_path / "picky.py"
    own.write_text(
        text.replace("import Batch,", "import Batch, OptionError,").replace("from ._solve", "from polytask.baselines._solve")
    )
    found = compare(frame, quick, tmp_path / "out", systems=[str(own), "majority"], options={})
    assert found.skipped == {"picky + equal": "task: is none of mine"}
    assert found.verdict()[-1] == "picky + equal does not apply here: task: is none of mine."
    assert len(found.rows) == 2


def test_faults_are_found_before_training(frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    for wrong, text in [
        ({"systems": ["hard_sharin"]}, "Did you mean 'hard_sharing'"),
        ({"balancers": []}, "balancers: none given"),
        ({"seeds": 0}, "seeds: must be at least 1"),
        ({"options": {"mmoe": {}}}, "options of 'mmoe': this system takes no part"),
        ({"options": {"hard_sharing": {"widht": 2}}}, "Did you mean 'width'"),
    ]:
        with pytest.raises(OptionError, match=text):
            compare(frame, quick, tmp_path / "out", **wrong)
    assert not (tmp_path / "out" / "cells").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_cell_is_named(jobs: int, frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    frame = frame.drop(columns="cost")
    # Every cell fails; side by side, any of them may be the first.
    first = "single_task" if jobs == 1 else r"(single_task|hard_sharing \+ equal)"
    with pytest.raises(PolytaskError, match=first + r", seed \d: task 'cost'"):
        compare(frame, quick, tmp_path, jobs=jobs)
