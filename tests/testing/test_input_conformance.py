"""Every kind of input passes the conformance suite; a broken one does not."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from polytask.core import registry
from polytask.inputs.number import Number
from polytask.testing import check_input


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYTASK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, pa.ChunkedArray]:
    """A column of files for each kind that reads them."""
    pytest.importorskip("PIL.Image").fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    pytest.importorskip("soundfile").write(tmp_path / "a.wav", np.zeros(800), 8000)
    return {
        kind: pa.chunked_array([[None, *[str(tmp_path / name)] * 8]]) for kind, name in (("image", "a.png"), ("audio", "a.wav"))
    }


@pytest.mark.parametrize("kind", registry.kinds("inputs"))
def test_every_kind_conforms(kind: str, files: dict[str, pa.ChunkedArray]) -> None:
    report = check_input(kind, column=files.get(kind))
    assert report.passed, report.failures()


@dataclass(frozen=True, kw_only=True)
class Ranked(Number):
    """Encodes a cell by the others of its column, absent ones as NaN."""

    def encode(self, column: pa.ChunkedArray) -> tuple[Tensor, Tensor]:
        values, present = super().encode(column)
        return torch.where(present, values - values.mean(), torch.nan), present


def test_broken_kinds_are_found() -> None:
    failed = {check.name for check in check_input(Ranked).checks if check.outcome == "failed"}
    assert failed == {"missing_everywhere", "encoded", "row_order"}
