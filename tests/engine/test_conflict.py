"""Cosines of the tasks' gradients, as a run keeps them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import polytask
from polytask.core import Update
from polytask.engine.conflict import Conflict


def update(missing: tuple[str, ...] = ()) -> tuple[Update, torch.Tensor]:
    """Three linear losses of one shared vector: their gradients are the rows of a matrix."""
    rows = torch.tensor([[3.0, 4.0], [-4.0, 3.0], [-3.0, -4.0]])
    shared = nn.Parameter(torch.tensor([0.5, 2.0]))
    losses = {name: row @ shared for name, row in zip("abc", rows, strict=True) if name not in missing}
    return Update(losses, [shared], own={}), rows


def test_cosines_and_norms_are_those_of_the_gradients() -> None:
    kept = Conflict(["a", "b", "c"], cheap=False)
    kept.measure(update()[0], stage=0, epoch=1)
    frame = kept.table(["fit"]).to_pandas().set_index(["task", "other"])
    assert frame.cosine["a", "b"] == pytest.approx(0.0, abs=1e-6)
    assert frame.cosine["a", "c"] == pytest.approx(-1.0)
    assert frame.cosine["b", "b"] == pytest.approx(1.0)
    assert frame.norm["a", "b"] == pytest.approx(5.0)
    assert set(zip(frame.stage, frame.epoch, strict=True)) == {("fit", 1)}


def test_a_task_without_a_loss_is_left_out_of_that_epoch() -> None:
    kept = Conflict(["a", "b", "c"], cheap=True)
    kept.measure(update(missing=("b",))[0], stage=0, epoch=1)
    kept.measure(update()[0], stage=0, epoch=2)
    frame = kept.table(["fit"]).to_pandas()
    assert set(frame[frame.epoch == 1].task) == {"a", "c"}
    assert set(frame[frame.epoch == 2].task) == {"a", "b", "c"}


def test_the_costly_way_is_taken_ever_less_often() -> None:
    costly, cheap = Conflict(["a", "b"], cheap=False), Conflict(["a", "b"], cheap=True)
    assert [n for n in range(1, 20) if costly.due(n)] == [1, 2, 4, 8, 16]
    assert all(cheap.due(n) for n in range(1, 20))
    assert not Conflict(["a"], cheap=True).due(1)
    assert not Conflict([str(n) for n in range(65)], cheap=True).due(1)


@pytest.mark.parametrize("system", ["hard_sharing", "cross_stitch"])
def test_training_is_the_same_with_and_without(system: str, frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    options = {"dropout": 0.2} if system == "hard_sharing" else {}
    settings = {"system": quick["system"] | options, "training": quick["training"]}
    runs = []
    for on in (True, False):
        own = settings | {"training": settings["training"] | {"conflict": on}}
        runs.append(polytask.fit(frame, ["cost", "ill"], system=system, settings=own, out=tmp_path / str(on)))
    for first, second in zip(runs[0].system.state_dict().values(), runs[1].system.state_dict().values(), strict=True):
        assert torch.equal(first, second)
    found = pq.read_table(tmp_path / "True" / "gradients.parquet").to_pandas()
    assert list(found.epoch.unique()) == ([1, 2, 3, 4] if system == "hard_sharing" else [1, 2])
    assert found.stage.nunique() == (1 if system == "hard_sharing" else 2)
    assert not (tmp_path / "False" / "gradients.parquet").exists()


def test_the_data_card_tells_what_was_read(frame: pd.DataFrame, quick: dict[str, Any], tmp_path: Path) -> None:
    import json

    polytask.fit(frame, ["cost", "ill"], settings=quick, out=tmp_path / "run")
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["rows"] == len(frame) == sum(card["split"].values())
    assert card["tasks"]["cost"] == {"kind": "regression", "labelled": pytest.approx(frame.cost.notna().mean())}
    assert card["inputs"]["ward"] == {"kind": "category", "missing": 0.0}
    assert card["command"] is None
