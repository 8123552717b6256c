"""Every balancer's rule passes the conformance suite and has the properties of its paper; a broken one does not."""

import pytest
import torch

from polytask.core import registry
from polytask.testing import Report, check_weighting
from polytask.testing.weightings import available

DRAWING = {"rlw", "pcgrad", "gradvac", "graddrop"}
ORDERED = {"pcd"}
SIGNED = {"imtlg", "alignedmtl", "config"}
SCALED = {"nashmtl", "fairgrad", "pcd", "excessmtl"}
HARMLESS = {"mgda", "upgrad", "dualproj"}


@pytest.mark.parametrize("id", available())
def test_every_rule_conforms(id: str) -> None:
    report = check_weighting(id)
    assert report.passed, report.failures()
    yes = {name for name, outcome in report.capabilities.items() if outcome == "yes"}
    assert id in DRAWING | ORDERED or "keeps the order of tasks" in yes, report.capabilities
    assert id in SCALED or "ignores the scale of gradients" in yes, report.capabilities
    assert id in SIGNED or "never negative" in yes, report.capabilities
    assert id not in HARMLESS or "never conflicts" in yes, report.capabilities


def test_a_rule_with_memory_conforms() -> None:
    report = check_weighting("dbmtl", {"beta": 0.5, "at": "parameters"})
    assert report.passed, report.failures()


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if check.outcome == "failed"}


def test_broken_rules_are_found() -> None:
    equal = registry.weighting("equal")

    class Forgetful(equal):
        """Keeps a state that is not saved."""

        steps = 0

        def forward(self, losses, seen, present):  # type: ignore[no-untyped-def]
            self.steps += 1
            return torch.full_like(losses, float(self.steps))

    class Unscaled(registry.weighting("mgda")):
        """Divides by what may be zero."""

        def forward(self, losses, seen, present):  # type: ignore[no-untyped-def]
            return 1 / seen.diagonal()

    class Backward(equal):
        """Grows with the number of a task, and climbs."""

        def forward(self, losses, seen, present):  # type: ignore[no-untyped-def]
            return -1.0 - present.float()

    assert failed(check_weighting(Forgetful)) == {"state"}
    assert "finite" in failed(check_weighting(Unscaled))
    report = check_weighting(Backward)
    assert failed(report) == {"one_task"}
    assert all(report.capabilities[name].startswith("no: ") for name in ("keeps the order of tasks", "never negative"))
