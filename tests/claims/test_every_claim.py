"""Every claim is well stated and runs at its smallest size; what it finds is not asserted: that is the ledger's."""

import math
from pathlib import Path

import pytest
import torch

from polytask.core import registry
from polytask.engine.loop import Loop
from polytask.ledger import claim as claims
from polytask.ledger import content
from polytask.ledger.claim import SIZES
from polytask.ledger.measured import Measured

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


@torch.no_grad()
def total(loop: Loop) -> float:
    """The summed loss of all tasks on the training rows."""
    system = loop.system.eval()
    return float(torch.stack(list(system.task_losses(system(loop.train), loop.train).values())).sum())


def falls(loop: Loop) -> bool:
    """Whether the training losses of some stage fell from its first epoch to a later one."""
    stages: dict[str, list[float]] = {}
    for row in loop.progress.history:
        stages.setdefault(str(row["stage"]), []).append(sum(float(v) for k, v in row.items() if k.startswith("loss/")))
    return any(min(losses[1:], default=math.inf) < losses[0] for losses in stages.values())


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Filled with one flag a training: whether the loss on its training rows, or during its epochs, went down."""
    found: list[bool] = []
    whole = Loop.run

    def watched(loop: Loop) -> None:
        trainable = any(p.requires_grad for p in loop.system.parameters())
        before = total(loop) if trainable else math.nan
        whole(loop)
        if trainable:
            found.append(total(loop) < before or falls(loop))

    monkeypatch.setattr(Loop, "run", watched)
    return found


@pytest.mark.parametrize("id", claims.names())
def test_at_its_smallest_size_every_arm_runs_and_learns(id: str, learnt: list[bool]) -> None:
    claim = claims.get(id)
    measure = claim.measure()
    measured: set[str] = set()
    for arm in claim.everything:
        learnt.clear()
        found = measure(arm, 0, "smoke")
        assert found.metrics, arm
        assert all(math.isfinite(value) for value in found.metrics.values()), (arm, found.metrics)
        assert min(found.parameters, found.steps) >= 0, arm
        # Without a training here the arm is a closed form, or shares those of an arm before it.
        assert found.steps == 0 or not learnt or any(learnt), f"{arm} does not learn"
        measured |= found.metrics.keys()
    assert {check.metric for check in claim.checks} <= measured


@pytest.mark.parametrize(("id", "arm"), [("mgp_tcn_dtw", "raw_tcn"), ("recurrent_varnet", "unet")])
def test_the_same_cell_gives_the_same_numbers(id: str, arm: str) -> None:
    measure = claims.get(id).measure()
    first, again = (measure(arm, 0, "smoke") for _ in range(2))
    assert isinstance(first, Measured)
    assert first.metrics == again.metrics
