"""Every system passes the conformance suite; a broken one does not."""

import pytest
import torch

from polytask.core import Schema, registry
from polytask.testing import check_system

SCHEMA = Schema.parse({"inputs": {"x": "number", "y": "number"}, "tasks": {"a": "binary", "b": "regression"}})


@pytest.mark.parametrize("id", registry.systems())
def test_system_conforms(id: str) -> None:
    report = check_system(id)
    assert report.passed, report.failures()
    assert set(report.capabilities) == {"export", "compile", "half precision", "two processes"}


def _broken(**methods: object) -> type:
    return type("Broken", (registry.load("hard_sharing"),), methods)


def test_rows_that_mix_are_found() -> None:
    base = registry.load("hard_sharing")

    def forward(self, batch, tasks=None):  # type: ignore[no-untyped-def]
        return {name: output + output.mean() for name, output in base.forward(self, batch, tasks).items()}

    failed = {c.name for c in check_system(_broken(forward=forward), SCHEMA).checks if c.outcome == "failed"}
    assert "rows_independent" in failed


def test_unused_parameters_are_found() -> None:
    base = registry.load("hard_sharing")

    def init(self, *parts):  # type: ignore[no-untyped-def]
        base.__init__(self, *parts)
        self.unused = torch.nn.Parameter(torch.zeros(3))

    failed = {c.name for c in check_system(_broken(__init__=init), SCHEMA).checks if c.outcome == "failed"}
    assert "gradients" in failed


def test_expected_failures_are_strict() -> None:
    report = check_system(_broken(xfail={"partition": "it does not", "no_such_check": "?"}), SCHEMA)
    outcomes = {check.name: check.outcome for check in report.checks}
    assert outcomes["partition"] == "unexpected"
    assert outcomes["no_such_check"] == "failed"
    assert not report.passed
