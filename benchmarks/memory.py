"""How much memory a large table takes, in memory and streamed: prepare, one epoch of training, scores.

Each case runs in a process of its own, after a fit of a small table has imported all that a fit imports; what counts is the
peak of resident memory above that. `python benchmarks/memory.py` prints a table and writes `benchmarks/memory.json`.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS, CATEGORIES = 40, 10
TASKS = {"ill": "binary", "grade": "multiclass", "cost": "regression"}
GROUP = 50_000


def table(rows: int, seed: int, dtype: str) -> pa.Table:
    """40 numbers, 10 categories of 20 codes as strings, and three tasks that depend on them."""
    random = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    total = np.zeros(rows)
    for number in range(NUMBERS):
        values = random.normal(size=rows).astype(dtype)
        total += values * (number % 5 == 0)
        columns[f"x{number}"] = pa.array(values)
    for number in range(CATEGORIES):
        codes = random.integers(0, 20, rows).astype(np.int32)
        total += (codes % 3 - 1) * (number < 2)
        column = pa.DictionaryArray.from_arrays(codes, [f"value {code}" for code in range(20)])
        columns[f"c{number}"] = column if dtype == "float32" else column.cast(pa.string())
    noisy = total + random.normal(size=rows)
    columns |= {"ill": pa.array(noisy > 1), "grade": pa.array(np.digitize(noisy, [-2, 0, 2])), "cost": pa.array(noisy)}
    return pa.table(columns)


def write(path: Path, rows: int, dtype: str) -> None:
    """A file of row groups of `GROUP` rows, made one at a time."""
    first = table(1, 0, dtype)
    with pq.ParquetWriter(path, first.schema) as writer:
        for start in range(0, rows, GROUP):
            writer.write_table(table(min(GROUP, rows - start), start, dtype))


def resident() -> float:
    """Bytes of resident memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))


def peak() -> float:
    """The most bytes of resident memory since the last `forget`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024.0


def forget() -> None:
    """Start the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")


def case(path: str, stream: bool) -> dict[str, float]:
    """Peak memory of a fit of the file above what a small fit left behind."""
    import polytask
    from polytask.engine import fit as fitting
    from polytask.engine.config import Config

    settings = {"training": {"epochs": 1, "steps": 1, "batch_size": 1024, "threads": 1}, "system": {"members": 4}}
    polytask.fit(table(2000, 0, "float64"), TASKS, settings=settings)
    forget()
    base, started = resident(), time.perf_counter()
    source = {"file": path} | ({"stream": True} if stream else {})
    config = Config.from_dict({"data": [source], "tasks": TASKS, **settings})
    prepared = fitting.prepare_for(config)
    prepare_peak, prepare_seconds = peak() - base, time.perf_counter() - started
    forget()
    with tempfile.TemporaryDirectory() as folder:
        run = fitting.train(config, prepared, Path(folder) / "run")
    found = {
        "prepare_peak": prepare_peak,
        "train_peak": peak() - base,
        "prepare_seconds": prepare_seconds,
        "train_seconds": time.perf_counter() - started - prepare_seconds,
        "step_seconds": run.cost["seconds"],
    }
    return found | {f"test/{name}": scores[run.schema.tasks[name].primary] for name, scores in run.scores["test"].items()}


def arrow_bytes(path: str) -> int:
    """The size of the file's table in memory."""
    return int(pq.read_table(path).nbytes)


def measure(path: Path, rows: int, stream: bool) -> dict[str, float]:
    """`case` in a process of its own, with the size of the table."""
    command = [sys.executable, __file__, "--case", str(path), str(int(stream))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "2"}
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    size = subprocess.run([sys.executable, __file__, "--size", str(path)], check=True, capture_output=True, text=True)
    found = {"rows": rows, "arrow": int(size.stdout), "file": path.stat().st_size, **found}
    return found | {"ratio": max(found["prepare_peak"], found["train_peak"]) / found["arrow"]}


def main() -> None:
    """All cases, or those asked for: `memory.py [ROWS in memory, 0 for none] [ROWS streamed, ...]`."""
    held = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    streamed = [int(rows) for rows in sys.argv[2:]] or ([500_000, 2_000_000] if len(sys.argv) < 2 else [])
    cases = [
        ("in memory, float64 and strings", held, "float64", False),
        ("in memory, float32 and dictionaries", held, "float32", False),
        *((f"streamed, {rows:,} rows", rows, "float64", True) for rows in streamed),
    ]
    file = Path(__file__).with_suffix(".json")
    content = json.loads(file.read_text()) if file.exists() else {"cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, rows, dtype, stream in cases:
            if not rows:
                continue
            path = Path(folder) / "table.parquet"
            write(path, rows, dtype)
            found = content["cases"][name] = measure(path, rows, stream)
            sizes = {key: f"{found[key] / 1e6:.0f} MB" for key in ("file", "arrow", "prepare_peak", "train_peak")}
            print(
                name, sizes, f"ratio {found['ratio']:.2f}", f"{found['prepare_seconds']:.0f} s, {found['train_seconds']:.0f} s"
            )
            content["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
            file.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(case(sys.argv[2], sys.argv[3] == "1")))
    elif sys.argv[1:2] == ["--size"]:
        print(arrow_bytes(sys.argv[2]))
    else:
        main()
