"""Every claim is well stated and runs at its smallest size; what it finds is not asserted: that is the ledger's."""

import math
from pathlib import Path

import pytest

from polytask.core import registry
from polytask.ledger import claim as claims
from polytask.ledger import content
from polytask.ledger.book import Book
from polytask.ledger.claim import SIZES
from polytask.ledger.measured import Measured
from polytask.ledger.run import run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("id", claims.names())
def test_it_is_well_stated(id: str) -> None:
    claim = claims.get(id)
    assert id in {**registry.systems(), **registry.balancers()}
    assert any(check.decides for check in claim.checks)
    assert set(claim.seeds) == set(SIZES)
    assert claim.seeds["quick"] >= 3, "fewer seeds have no useful interval"
    assert all((content._data(name)) is not None for name in claim.data), claim.data
    assert all(name in {**registry.systems(), **registry.balancers()} for name in claim.systems), claim.systems
    simulated = any((ROOT / "src/polytask/data/worlds" / f"{name}.py").exists() for name in claim.data)
    assert not simulated or claim.simulated, "a claim on a simulator says so"
    assert claim.differs, "why a result may differ from the paper's"
    assert len(claim.path.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("id", claims.names())
def test_a_smoke_run_measures_every_arm(tmp_path: Path, id: str) -> None:
    claim = claims.get(id)
    assert run([id], "smoke", folder=tmp_path, jobs=1) == []
    records = Book(tmp_path).read(id)
    assert {record.arm for record in records} == set(claim.everything)
    for record in records:
        where = f"{id}, {record.arm}"
        assert record.metrics, where
        assert all(math.isfinite(value) for value in record.metrics.values()), (where, record.metrics)
        assert record.parameters >= 0, where
        assert record.steps >= 0, where
        loss = record.curves.get("loss", ())
        assert len(loss) < 2 or min(loss[1:]) < loss[0], f"{where}: the loss never falls: {loss}"
    measured = {name for record in records for name in record.metrics}
    assert {check.metric for check in claim.checks} <= measured


@pytest.mark.parametrize(("id", "arm"), [("mgp_tcn_dtw", "raw_tcn"), ("recurrent_varnet", "unet")])
def test_the_same_cell_gives_the_same_numbers(id: str, arm: str) -> None:
    measure = claims.get(id).measure()
    first, again = (measure(arm, 0, "smoke") for _ in range(2))
    assert isinstance(first, Measured)
    assert first.metrics == again.metrics
