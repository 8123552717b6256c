"""What every kind of input must hold, asked of its example and of a real column."""

import datetime as dt
import json
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import torch
from torch import Tensor

from polytask.core import Batch, Column, Columns, Graph, Input, OptionError, Ragged, Record, Schema, registry
from polytask.nn.encoder import Encoder, EncoderOptions

from ._example import example_of
from ._report import Report, checks_in, run_checks

ROWS = 12
_SAMPLES: tuple[list[object], ...] = (
    [0.5 * i for i in range(ROWS)],
    [i % 3 == 0 for i in range(ROWS)],
    ["red", "green", "blue"] * (ROWS // 3),
    [dt.datetime(2026, 1, 1) + dt.timedelta(hours=31 * i) for i in range(ROWS)],
    [[float(i), 1.0 - i, 0.5] for i in range(ROWS)],
    [f"a sentence of {i} words and {i} more" for i in range(2 * ROWS)],
)
"""Real columns; a kind is asked about the first one that it recognises."""


@dataclass(frozen=True)
class Case:
    """The example of a kind, and a real column (with an absent cell in front) where one is known."""

    example: Input
    column: pa.ChunkedArray | None

    def made(self, item: Input, rows: int = ROWS) -> Column:
        return item.example_column(rows, torch.Generator().manual_seed(1))

    @cached_property
    def fitted(self) -> Input:
        assert self.column is not None
        return self.example.fit(self.column)

    @cached_property
    def encoded(self) -> tuple[Column, Tensor]:
        assert self.column is not None
        return self.fitted.encode(self.column)


def tensors(column: Column) -> dict[str, Tensor]:
    """The tensors that a column consists of, by name."""
    match column:
        case Tensor():
            return {"values": column}
        case Record():
            return dict(column.parts)
        case Ragged() | Graph():
            return {name: value for name, value in vars(column).items() if value is not None}
    raise AssertionError(f"a {type(column).__name__} is no column")


def _alike(a: Column, b: Column, what: str) -> None:
    """Both columns are of one container, of tensors of the same types and shapes behind the rows."""
    assert type(a) is type(b), f"{what}: a {type(a).__name__} and a {type(b).__name__}"
    for name, part in tensors(a).items():
        other = tensors(b)[name]
        assert part.dtype == other.dtype, f"{what}: {name} are {part.dtype} and {other.dtype}"
        assert part.shape[1:] == other.shape[1:], f"{what}: {name} are {tuple(part.shape)} and {tuple(other.shape)}"


def _finite(column: Column, what: str) -> None:
    for name, part in tensors(column).items():
        assert bool(part.double().isfinite().all()), f"{name} of {what} are not finite"


def _equal(a: Column, b: Column, what: str) -> None:
    _alike(a, b, what)
    for name, part in tensors(a).items():
        torch.testing.assert_close(part, tensors(b)[name], msg=lambda text, name=name: f"{what}: {name}: {text}")


def _chosen(column: Column, rows: Tensor) -> Column:
    return column[rows] if isinstance(column, Tensor) else column.index(rows)


def check_example(case: Case) -> None:
    """The example makes finite columns that a seed repeats, as many rows as asked for."""
    column = case.made(case.example)
    assert len(column) == ROWS, f"{len(column)} rows, not {ROWS}"
    _finite(column, "the example")
    _equal(column, case.made(case.example), "the same generator")


def check_missing_everywhere(case: Case) -> None:
    """A column without any cell encodes to finite fillers of the example's shape, absent in every row."""
    found, present = case.example.encode(pa.chunked_array([pa.nulls(ROWS)]))
    assert len(found) == ROWS, f"{len(found)} rows, not {ROWS}"
    assert not present.any(), "a null cell is present"
    _alike(case.made(case.example), found, "example and encoded column")
    _finite(found, "absent cells")


def check_encoded(case: Case) -> None:
    """A real column encodes to what the fitted input's example looks like, finite, absent where the cell is missing."""
    if case.column is None:
        return
    found, present = case.encoded
    assert len(found) == len(case.column), f"{len(found)} rows, not {len(case.column)}"
    assert present.tolist() == case.column.is_valid().to_pylist(), "present is not where the cells are"
    _alike(case.made(case.fitted), found, "example and encoded column")
    _finite(found, "the encoded column")


def check_row_order(case: Case) -> None:
    """Each row encodes by itself: encoding some rows in another order gives those rows in that order."""
    if case.column is None:
        return
    rows = torch.randperm(len(case.column), generator=torch.Generator().manual_seed(2))[: ROWS // 2]
    found, present = case.fitted.encode(case.column.take(pa.array(rows.tolist())))
    assert torch.equal(present, case.encoded[1][rows]), "presence does not follow the rows"
    _equal(_chosen(case.encoded[0], rows), found, "the order of rows")


def check_json(case: Case) -> None:
    """The input survives JSON, as example and fitted."""
    for item in (case.example,) if case.column is None else (case.example, case.fitted):
        schema = Schema({item.name: item}, {})
        back = Schema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False))).inputs[item.name]
        assert vars(back) == vars(item), f"{back} is not {item}"


def check_encoder(case: Case) -> None:
    """The encoder of rows takes the example: finite vectors of its width, other ones where the input is absent.

    A kind that only its own systems can read is refused with their names.
    """
    torch.manual_seed(0)
    try:
        encoder = Encoder({case.example.name: case.example}, EncoderOptions())
    except OptionError:
        assert registry.readers(case.example.kind), "neither the encoder nor any system reads the kind"
        return
    found = []
    for there in (True, False):
        present = Columns({case.example.name: torch.full((ROWS,), there)}, ROWS)
        batch = Batch(
            Columns({case.example.name: case.made(case.example)}, ROWS), present, Columns({}, ROWS), Columns({}, ROWS)
        )
        found.append(encoder(batch))
    for vectors in found:
        assert vectors.shape == (ROWS, encoder.width), f"vectors are {tuple(vectors.shape)}, not {(ROWS, encoder.width)}"
        assert bool(vectors.isfinite().all()), "a vector is not finite"
    assert not torch.equal(*found), "absent inputs encode as present ones"


CHECKS = checks_in(globals())


def check_input(kind: str | type[Input], sizes: tuple[int, ...] | None = None, column: pa.ChunkedArray | None = None) -> Report:
    """Run every check on a kind of input, or on a class.

    sizes: as in a literal (None: the first that fit). column: a real one (None: one of a few usual ones, where the kind
    recognises it; without any, two checks hold of nothing).
    """
    cls = registry.kind("inputs", kind) if isinstance(kind, str) else kind
    if column is None:
        usual = (pa.chunked_array([pa.array([None, *cells])]) for cells in _SAMPLES)
        column = next((cells for cells in usual if cls.recognises("x", cells)), None)
    return Report(cls.kind, run_checks(CHECKS, Case(example_of(cls, "x", sizes), column)))
