"""A small table with two tasks, gaps in both, and quick settings."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

QUICK: dict[str, Any] = {
    "system": {"members": 1, "width": 8, "embedding": "none"},
    "training": {"epochs": 4, "steps": 1, "batch_size": 32, "accelerator": "cpu", "threads": 1},
}


def small(rows: int = 160, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame["ward"] = draw.choice(["n", "s", "w"], rows)
    frame["cost"] = np.where(draw.random(rows) < 0.1, np.nan, x[:, 0] + 0.3 * draw.normal(size=rows))
    frame["ill"] = np.where(x[:, 1] + 0.5 * draw.normal(size=rows) > 0, "yes", "no")
    frame.loc[draw.choice(rows, rows // 8, replace=False), "ill"] = None
    return frame


@pytest.fixture
def frame() -> pd.DataFrame:
    return small()


@pytest.fixture
def quick() -> dict[str, Any]:
    return {key: dict(value) for key, value in QUICK.items()}
