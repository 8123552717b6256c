"""`polytask predict` reads and writes large Parquet files piece by piece, to the same predictions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import polytask
from polytask.cli import _use
from polytask.cli._app import app


def test_pieces_give_the_same_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=300)
    data = pa.table({"x": x, "y": x + random.normal(size=300) > 0, "z": 2 * x})
    pq.write_table(data, tmp_path / "data.parquet", row_group_size=70)
    settings = {"training": {"epochs": 1, "steps": 1}, "system": {"members": 1, "width": 8}}
    run = polytask.fit(
        [{"file": str(tmp_path / "data.parquet"), "stream": True}], ["y", "z"], settings=settings, out=tmp_path / "run"
    )
    monkeypatch.setattr(_use, "PIECE", 50)
    called = CliRunner().invoke(
        app, ["predict", str(tmp_path / "run"), str(tmp_path / "data.parquet"), "--out", str(tmp_path / "out.parquet")]
    )
    assert called.exit_code == 0, called.output
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 9  # 50 + 20 rows of four groups, 20 of the last
    found = pq.read_table(tmp_path / "out.parquet").to_pandas()
    pd.testing.assert_frame_equal(found, run.predict(data), check_exact=False, atol=1e-6)
