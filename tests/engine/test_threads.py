"""How many processor threads a step's work is worth."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from polytask.balance import _balancer
from polytask.core import Batch, Columns, Ragged, Schema, registry
from polytask.core.option import make
from polytask.data.sample import Rows
from polytask.engine import threads
from polytask.engine.fit import fit
from polytask.engine.loop import Loop
from polytask.engine.training import Training
from polytask.report import tables

TABLE = Schema.parse({"inputs": {"x": "number"}, "tasks": {"a": "regression", "b": "binary"}})


def batch(rows: int, **columns: Any) -> Batch:
    """Rows with these inputs and nothing else."""
    none = Columns({}, rows)
    return Batch(Columns(columns, rows), none, none, none)


@pytest.fixture
def four_threads() -> Any:
    with threads.limited(4):
        yield


def test_work_is_rows_times_weights() -> None:
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    some = batch(100, x=torch.zeros(100))
    assert threads.work(module, some, 32) == 32 * (8 * 16 + 16 * 2)
    assert threads.work(module, some, 64) == 2 * threads.work(module, some, 32)


def test_a_convolution_works_at_every_pixel() -> None:
    images = batch(3, scan=torch.zeros(3, 2, 10, 20))
    assert threads.work(nn.Conv2d(2, 4, 3), images, 1) == 200 * 2 * 4 * 9
    assert threads.work(nn.Linear(6, 5), images, 1) == 30, "a linear layer works once a row"


def test_a_recurrent_network_works_at_every_event() -> None:
    lists = batch(2, labs=Ragged(torch.zeros(14, 3), torch.tensor([0, 4, 14])))
    cell = 3 * 6 * 3 + 3 * 6 * 6
    assert threads.work(nn.GRU(3, 6), lists, 10) == 10 * 7 * cell


def test_small_work_takes_one_thread_and_large_work_more(four_threads: None) -> None:
    share = int(threads.SHARE)
    assert [threads.chosen(0, work) for work in (0, share - 1, share, 3 * share, 99 * share)] == [1, 1, 2, 4, 4]


def test_what_is_asked_for_holds(four_threads: None) -> None:
    assert [threads.chosen(n, 0) for n in (1, 2, 7)] == [1, 2, 7]


def test_a_machine_or_user_that_allows_one_thread_gets_one() -> None:
    with threads.limited(1):
        assert threads.chosen(0, 10**15) == 1


def made(training: Training, width: int) -> Loop:
    cls = registry.load("hard_sharing")
    system = cls.build(TABLE, make(cls.options_type, {"width": width, "depth": 3, "members": 1}, "hard_sharing"))
    rows = TABLE.example(64)
    source = Rows(rows, torch.arange(64), training.batch_size, 0)
    fabric = Fabric(accelerator="cpu", devices=1)
    return Loop(system, _balancer.make("equal", ["a", "b"]), training, fabric, source, rows, rows)


def test_the_loop_trains_on_as_many(four_threads: None) -> None:
    training = Training(epochs=1, steps=1, batch_size=32, accelerator="cpu")
    loop = made(training, 8)
    seen = []
    loop.report = lambda *at: seen.append(torch.get_num_threads())
    loop.run()
    assert seen == [1]
    assert torch.get_num_threads() == 4, "the caller keeps its own"
    assert made(replace(training, threads=3), 8).threads == 3


def test_a_wide_network_takes_more(four_threads: None) -> None:
    training = Training(batch_size=64, accelerator="cpu")
    assert made(training, 3000).threads == 2
    assert made(replace(training, batch_size=32), 3000).threads == 1, "half the rows are half the work"


def test_a_run_tells_on_how_many_it_was_trained(frame: pd.DataFrame, quick: dict[str, Any], four_threads: None) -> None:
    quick["training"] |= {"epochs": 1, "threads": 0}
    run = fit(frame, ["cost", "ill"], settings=quick)
    assert run.cost["threads"] == 1
    assert "ms on 1 processor thread (--threads" in tables.training(run)
    quick["training"]["threads"] = 2
    assert "on 2 processor threads (" in tables.training(fit(frame, ["cost", "ill"], settings=quick))
    assert torch.get_num_threads() == 4
