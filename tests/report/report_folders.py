"""Small runs and a small comparison for the tests of the report's pages; names of columns are hostile."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import polytask

EVIL = "</script><b>'\"&"
TASKS = {
    f"ill {EVIL}": {"kind": "binary", "columns": ["ill"]},
    "grade": "multiclass",
    "days": "regression",
    "spread": {"kind": "quantile", "columns": ["days"]},
    "life": {"kind": "survival", "columns": ["time", "event"]},
    "signs": {"kind": "multilabel", "columns": ["ill", "event"]},
}
SETTINGS = {
    "training": {"epochs": 3, "steps": 2},
    "system": {"members": 2, "width": 16},
    "inputs": {
        f"age {EVIL}": {"modality": "person"},
        "ward": {"modality": f"place {EVIL}"},
        "dose": {"modality": f"place {EVIL}"},
    },
}


def data(folder: Path, rows: int = 400) -> Path:
    """A file in which one input tells nearly all."""
    random = np.random.default_rng(0)
    age, dose = random.normal(60, 10, rows), random.normal(size=rows)
    strength = (age - 60) / 10 + 0.5 * random.normal(size=rows)
    time = random.exponential(np.exp(-0.5 * strength) * 10)
    frame = pd.DataFrame(
        {
            f"age {EVIL}": age,
            "dose": np.where(random.random(rows) < 0.2, np.nan, dose),
            "ward": random.choice([f"a{EVIL}", "b", "c"], rows),
            "ill": np.where(strength > 0, f"yes {EVIL}", "no"),
            "grade": np.where(strength > 0.7, f"high {EVIL}", np.where(strength > -0.5, "mid", "low")),
            "days": np.exp(1.5 + strength),
            "time": time.round(2),
            "event": np.where(random.random(rows) < 0.7, 1, 0),
        }
    )
    frame.to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


@cache
def run(folder: Path) -> Path:
    """A run of every kind of task that has a figure; one for all tests of a process."""
    out = folder / "run"
    polytask.fit(data(folder), TASKS, settings=SETTINGS, out=out)
    return out


@cache
def comparison(folder: Path) -> Path:
    """Networks and a baseline on two splits; one for all tests of a process."""
    out = folder / "compared"
    tasks = {name: TASKS[name] for name in (f"ill {EVIL}", "days", "life")}
    settings = {"training": SETTINGS["training"], "inputs": SETTINGS["inputs"]}
    small = dict.fromkeys(("hard_sharing", "single_task"), SETTINGS["system"])
    polytask.compare(
        data(folder), tasks, systems=["hard_sharing", "linear"], balancers=["equal", "mgda"], seeds=2, settings=settings,
        options=small, out=out, jobs=1,
    )  # fmt: skip
    return out
