"""Every kind of task passes the conformance suite; a broken one does not."""

from dataclasses import dataclass

import pytest
from torch import Tensor

from polytask.core import Task, registry
from polytask.tasks.multiclass import Multiclass
from polytask.tasks.regression import Regression
from polytask.testing import check_task


@pytest.mark.parametrize("kind", registry.kinds("tasks"))
def test_every_kind_conforms(kind: str) -> None:
    report = check_task(kind)
    assert report.passed, report.failures()


@pytest.mark.parametrize(
    ("kind", "size"), [("multiclass", 2), ("ordinal", 2), ("quantile", 1), ("survival", 20), ("multilabel", 1)]
)
def test_other_sizes_conform(kind: str, size: int) -> None:
    report = check_task(kind, (size,))
    assert report.passed, report.failures()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ordinal", {"link": "softmax"}),
        ("regression", {"criterion": "huber"}),
        ("regression", {"criterion": "mae"}),
        ("regression", {"log": True, "mean": 3.0, "deviation": 0.5}),
        ("count", {"distribution": "negative_binomial", "dispersion": 0.5}),
        ("multilabel", {"values": (), "columns": ("y",)}),
    ],
)
def test_other_settings_conform(kind: str, options: dict) -> None:
    report = check_task(kind, options=options)
    assert report.passed, report.failures()


def failures(cls: type[Task]) -> set[str]:
    return {check.name for check in check_task(cls).checks if check.outcome == "failed"}


@dataclass(frozen=True, kw_only=True)
class Counted(Multiclass):
    """Sums losses over rows, with label or without."""

    def loss(self, output: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        return self.row_losses(output, target, labelled).sum(-1).mean()


@dataclass(frozen=True, kw_only=True)
class Explosive(Regression):
    """Overflows, and decodes to other units."""

    def row_losses(self, output: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        return super().row_losses(output, target, labelled).expm1()

    def in_units(self, values: Tensor) -> Tensor:
        return 2 * values.double()


def test_broken_kinds_are_found() -> None:
    assert failures(Counted) >= {"missing_labels", "size_of_loss"}
    assert failures(Explosive) >= {"extremes", "decodes_back"}
