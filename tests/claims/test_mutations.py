"""A claim that holds stops holding when what it rests on is taken away: the ledger can say no."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from polytask.claims import mmoe
from polytask.data.worlds import correlated_tasks
from polytask.ledger import claim as claims
from polytask.ledger.book import Record
from polytask.ledger.claim import Check
from polytask.ledger.verdict import judge

LEARNS = Check("learns", "mmoe", ("linear",), "log_error_0.5", -1, 0.02, "MMoE against a line")


def outcome(check: Check = LEARNS) -> str:
    """The verdict on whether MMoE beats a linear model on waves, at a small size, from six seeds."""
    claim = replace(claims.get("mmoe"), checks=(check,), test_share=0.0)
    records = []
    for seed in range(6):
        for arm in ("mmoe", "linear"):
            error = mmoe.log_error(arm, 0.5, seed, "smoke")[0]
            records.append(Record("mmoe", arm, seed, "quick", "key", {"log_error_0.5": error}, 1, 1, 1, 0.1))
    return judge(claim, "quick", records).checks[0].outcome


def shuffled(table: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """The world with its answers in random order."""

    def made(correlation: float, rows: int, seed: int) -> pa.Table:
        found = table(correlation, rows, seed)
        order = pa.array(np.random.default_rng(seed).permutation(rows))
        for name in correlated_tasks.tasks:
            found = found.set_column(found.column_names.index(name), name, found[name].take(order))
        return found

    return made


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlated_tasks, "WIDTH", 4)  # waves in few dimensions are learnt at once
    monkeypatch.setattr(mmoe, "ROWS", {"smoke": 800})
    monkeypatch.setattr(mmoe, "EPOCHS", {"smoke": 4})
    monkeypatch.setattr(mmoe, "RATES", (1e-2,))


def test_it_holds_as_it_is() -> None:
    assert outcome() == "reproduced"


def test_arms_swapped() -> None:
    assert outcome(replace(LEARNS, arm="linear", against=("mmoe",))) == "not reproduced"


def test_labels_shuffled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlated_tasks, "table", shuffled(correlated_tasks.table))
    assert outcome() != "reproduced"


def test_gates_and_experts_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmoe, "RATES", (1e-9,))
    assert outcome() == "not reproduced"
