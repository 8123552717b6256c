"""Targets of `fuzz.py`: mutated files of every format through the readers, and strange tables and declarations to batches."""

import json
import math
import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from polytask.core import Batch, Schema, registry
from polytask.core.batch import Graph, Ragged, Record
from polytask.data import infer, prepare, read
from polytask.data.split import SplitOptions, split

SUFFIXES = (
    ".csv", ".tsv", ".txt", ".csv.gz", ".csv.zst", ".parquet", ".arrow", ".arrows", ".jsonl", ".json", ".jsonl.gz", ".npz",
    ".graphml", ".gml", ".h5",
)  # fmt: skip
TOKENS = (
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b",", b";", b"\t", b"|", b"\n", b"\r\n", b"{", b"}", b"[", b"]",
    b"NaN", b"Infinity", b"1e308", b"-1e999", b"99999999999999999999999", b"1,234.5", b"1.234,56",
    b"null", b"0x1f", b"\xe9", b"\\u0000", b"\\ud800", "\N{SNOWMAN}".encode(), b"2024-02-30",
    b"PK\x03\x04", b"PAR1", b"a" * 70_000, b'{"a":{"b":[1,[2]]}}',
)  # fmt: skip


def table(rng: random.Random, rows: int = 30) -> pa.Table:
    """A plain table that every format holds."""
    return pa.table(
        {
            "age": [rng.gauss(50, 10) for _ in range(rows)],
            "ward": [rng.choice(["icu", "er", "surgery"]) for _ in range(rows)],
            "ill": [rng.randrange(2) for _ in range(rows)],
            "stay": [rng.randrange(1, 60) for _ in range(rows)],
            "dead": [rng.random() < 0.4 for _ in range(rows)],
        }
    )


def written(rng: random.Random, folder: Path) -> Path:
    """A file of some format."""
    rows, path = table(rng), folder / f"data{rng.choice(SUFFIXES)}"
    if path.suffix in (".graphml", ".gml"):
        ends = [[{"row": rng.randrange(rows.num_rows)}] for _ in range(rows.num_rows)]
        rows = rows.append_column("node", pa.array([str(i) for i in range(rows.num_rows)])).append_column(
            "edges", pa.array(ends)
        )
    elif path.suffix == ".h5":
        values = torch.tensor([rng.random() for _ in range(2 * 1 * 4 * 4 * 2)]).reshape(2, 1, 4, 4, 2).numpy()
        rows = pa.table({"kspace": pa.FixedShapeTensorArray.from_numpy_ndarray(values)})
    read.write(rows, path)
    return path


def mutated(rng: random.Random, content: bytes) -> bytes:
    """Some bytes changed, cut, doubled, moved, or replaced by what readers stumble over."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        a, b = sorted(rng.randrange(len(found) + 1) for _ in range(2))
        near = min(b, a + rng.randrange(1, 12))
        match rng.randrange(7):
            case 0 if found:
                found[min(a, len(found) - 1)] = rng.randrange(256)
            case 1:
                del found[a:near]
            case 2:
                del found[a:]
            case 3:
                found[a:a] = found[a:b]
            case 4:
                found[a:near] = rng.choice(TOKENS)
            case 5:
                found[a:a] = rng.choice(TOKENS)
            case _:
                found[:] = found[b:] + found[:b] if rng.random() < 0.2 else found
    return bytes(found)


def reader(rng: random.Random, folder: Path) -> None:
    """A damaged file of any format, sometimes under the name of another."""
    damage(rng, written(rng, folder))


def damage(rng: random.Random, path: Path) -> pa.Table:
    content = path.read_bytes()
    if rng.random() < 0.1:
        path = path.with_name(f"data{rng.choice(SUFFIXES)}")
    if rng.random() < 0.05:
        content = content.decode("latin-1").encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "utf-8"]))
    path.write_bytes(mutated(rng, content))
    return read.table(path)


def cells(rng: random.Random, rows: int) -> pa.Array:
    """A column of some type, with what may lie in one."""
    when = datetime(2024, 1, 31)
    draws: list[Any] = [
        lambda: rng.gauss(0, 1),
        lambda: rng.choice([1e308, -1e308, 5e-324, 0.0, -0.0, 1e30, 1.5]),
        lambda: rng.choice([math.inf, -math.inf, 1.0, 2.0]),
        lambda: rng.randrange(2),
        lambda: rng.randrange(4),
        lambda: rng.randrange(-(2**63), 2**63),
        lambda: rng.random() < 0.5,
        lambda: rng.choice(["yes", "no"]),
        lambda: rng.choice(["a", "b", " c ", ""]),
        lambda: rng.choice(["1", "2.5", "x", "1e400", "nan"]),
        lambda: "".join(rng.choice("ab \0\n\u20ac\U0001f600") for _ in range(rng.randrange(40))),
        lambda: f"id{rng.randrange(10**9)}",
        lambda: rng.choice(["a.png", "b.jpg", "/nowhere/c.png"]),
        lambda: rng.choice(["2024-01-31", "2024-02-30", "0001-01-01", "9999-12-31"]),
        lambda: when + timedelta(days=rng.randrange(3000)),
        lambda: date(rng.choice([1, 1970, 2024, 9999]), 1, 1),
        lambda: timedelta(seconds=rng.randrange(10**6)),
        lambda: Decimal(rng.randrange(10**6)) / 100,
        lambda: b"\0\xff",
        lambda: [rng.gauss(0, 1) for _ in range(3)],
        lambda: [rng.choice([math.inf, 1.0]) for _ in range(rng.randrange(3))],
        lambda: [rng.choice(["u", "v", "w"]) for _ in range(rng.randrange(3))],
        lambda: [{"time": rng.random(), "name": rng.choice("xy"), "value": rng.gauss(0, 1)} for _ in range(rng.randrange(4))],
        lambda: [{"time": when, "a": rng.choice([1.0, 1e308, math.nan])} for _ in range(rng.randrange(3))],
        lambda: [{"row": rng.randrange(-2, rows + 2)} for _ in range(rng.randrange(3))],
        lambda: {"x": 1},
        lambda: None,
    ]
    draw, gaps = rng.choice(draws), rng.choice((0.0, 0.0, 0.3, 0.95))
    values = [None if rng.random() < gaps else draw() for _ in range(rows)]
    column = pa.array(values)
    return column.dictionary_encode() if pa.types.is_string(column.type) and rng.random() < 0.1 else column


def strange(rng: random.Random, names: list[str]) -> pa.Table:
    rows = rng.choice((1, 3, 6, 20, 60))
    return pa.table({name: cells(rng, rows) for name in names})


def declaration(rng: random.Random, place: str) -> Any:
    """None, a kind, or a kind with an option."""
    kind = rng.choice(registry.kinds(place))
    option = rng.choice(["scale", "bins", "min_rows", "positive", "event", "levels", "size", "nonsense"])
    value = rng.choice([0, 1, 3, "auto", "log", "yes", [1, 2], None, -1.5])
    return rng.choice([None, None, kind, {"kind": kind}, {"kind": kind, option: value}])


def schema(rng: random.Random, folder: Path) -> None:
    """A strange table, strange declarations: the batch is finite, and the schema the same after JSON."""
    names = rng.sample(["age", "id", "row", "time", "event", "name", "x y", "", "a.b", "\u00fc"], rng.randrange(1, 8))
    rows = strange(rng, names)
    columns = rng.sample(names, min(len(names), rng.randrange(1, 3)))
    declared = {name: declaration(rng, "tasks") for name in columns}
    if len(names) > 2 and rng.random() < 0.3:
        pair = rng.sample(names, 2)
        declared = (
            {":".join(pair): None}
            if rng.random() < 0.5
            else {"both": {"kind": rng.choice(["survival", "cox"]), "columns": pair}}
        )
    inputs = {name: declaration(rng, "inputs") for name in names if rng.random() < 0.2}
    kinds = infer.tasks(rows, declared)
    how = rng.choice(["auto", "random", "stratified", "group", "time", "given"])
    parts = split(rows, kinds, SplitOptions(how=how, column=rng.choice([None, None, *names])))
    known, _ = infer.schema(rows, kinds, inputs, (), parts.train)
    again = Schema.from_json(json.loads(json.dumps(known.to_json())))
    for found in (known.encode(rows), again.encode(rows), again.encode(strange(rng, names))):
        finite(found)


def prepared(rng: random.Random, folder: Path) -> None:
    """A damaged file, all the way to tensors."""
    path = written(rng, folder)
    if path.suffix == ".h5":
        return
    names = damage(rng, path).column_names
    tasks = rng.sample(["ill", "stay", "ward", "stay:dead", *names], 2)
    found = prepare.prepare([{"file": path}], dict.fromkeys(tasks), {}, (), SplitOptions())
    finite(found.batch)


def finite(batch: Batch) -> None:
    """Raise `ArithmeticError` where a number of the batch is not finite."""
    for place in (batch.inputs, batch.targets):
        for name, column in place.items():
            for part in tensors(column):
                if part.is_floating_point() and not bool(part.isfinite().all()):
                    raise ArithmeticError(f"'{name}' is not finite")


def tensors(column: Any) -> list[torch.Tensor]:
    match column:
        case torch.Tensor():
            return [column]
        case Ragged():
            return [column.values]
        case Graph():
            return [part for part in (column.x, column.edge_attr) if part is not None]
        case Record():
            return [part for value in column.parts.values() for part in tensors(value)]
        case _:
            raise TypeError(type(column).__name__)


TARGETS = {"reader": reader, "schema": schema, "prepared": prepared}
