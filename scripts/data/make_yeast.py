"""Makes `yeast.parquet` from the R data in Debian's package r-cran-mlr, which is downloaded, not installed.

Needs Debian (apt-get, dpkg-deb) with a fresh package index, and the Python package rdata (tested with 1.1.0).

Run `python scripts/data/make_yeast.py`.
"""

import subprocess
import tempfile
import warnings
import zlib
from pathlib import Path

import pyarrow as pa
import rdata
from _write import write

PACKAGE = "r-cran-mlr=2.19.1+dfsg-1"
DATA = "usr/lib/R/site-library/mlr/data"
TASK = "env::16"  # the environment that `yeast.task` refers to
LABELS, NUMBERS = 14, 103


def download(folder: Path) -> Path:
    """The data folder of `PACKAGE`, unpacked below `folder`."""
    subprocess.run(["apt-get", "-qq", "download", PACKAGE], cwd=folder, check=True)
    subprocess.run(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder)], check=True)
    return folder / DATA


def main() -> None:
    """Download, decode, write: 14 labels as booleans, 103 numbers as float32 (the file has six decimals)."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rdata guesses the file type, and says so
        data = download(Path(folder))
        start, length = rdata.read_rds(data / "Rdata.rdx")["references"][TASK]
        # the first four bytes of an entry are its length before compression
        entry = zlib.decompress((data / "Rdata.rdb").read_bytes()[start + 4 : start + length])
        frame = rdata.conversion.convert(rdata.parser.parse_data(entry))["bindings"]["data"]
    labels = {f"label{i}": pa.array(frame[f"label{i}"].astype(bool), pa.bool_()) for i in range(1, LABELS + 1)}
    numbers = {f"x{i}": pa.array(frame[f"x{i}"].to_numpy(), pa.float32()) for i in range(1, NUMBERS + 1)}
    write("yeast", pa.table(numbers | labels), split_floats=True)


if __name__ == "__main__":
    main()
