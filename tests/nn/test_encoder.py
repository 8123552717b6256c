"""The encoder takes every kind of input, and reads nothing where a value is absent."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from polytask.core import Batch, Columns, OptionError, Schema, registry
from polytask.nn.encoder import Encoder, EncoderOptions
from polytask.nn.trunk import Stem

LITERALS = {
    "number": "number",
    "category": "category 4",
    "boolean": "boolean",
    "datetime": "datetime",
    "text": "text 50",
    "image": "image 3 9 9",
    "audio": "audio 8 6",
    "vector": "vector 3",
    "pixels": "pixels 1 9 9",
    "series": "series 3 12",
}
SPECIAL = {"links", "kspace"}
"""Refer to other rows, or are read by systems of their own; tested with these."""
ROWS = 6


def one(kind: str) -> Schema:
    return Schema.parse({"inputs": {"x": LITERALS[kind], "y": LITERALS[kind]}, "tasks": {}})


def gaps(batch: Batch, other: Batch) -> tuple[Batch, Batch]:
    """The batch with input x absent in even rows and y in row 1; and the same with other fillers for x there."""
    number = torch.arange(ROWS)
    absent = number % 2 == 0
    present = Columns({"x": ~absent, "y": number != 1}, ROWS)
    rows = torch.where(absent, number + ROWS, number)
    both = Columns({"x": joined(batch.inputs["x"], other.inputs["x"], rows), "y": batch.inputs["y"]}, ROWS)
    return replace(batch, present=present), replace(batch, inputs=both, present=present)


def joined(a: Any, b: Any, rows: torch.Tensor) -> Any:
    """Rows of two columns, one after the other."""
    if isinstance(a, torch.Tensor):
        return torch.cat([a, b])[rows]
    values, offsets = torch.cat([a.values, b.values]), torch.cat([a.offsets, b.offsets[1:] + a.offsets[-1]])
    return type(a)(values, offsets).index(rows)


def test_every_kind_is_tested() -> None:
    assert set(registry.kinds("inputs")) - SPECIAL == set(LITERALS)


@pytest.mark.parametrize("absent", ["learned", "zero"])
@pytest.mark.parametrize(
    ("kind", "embedding"), [(kind, "none") for kind in LITERALS] + [("number", "piecewise"), ("number", "periodic")]
)
def test_every_kind_is_encoded_without_reading_fillers(kind: str, embedding: Any, absent: Any) -> None:
    torch.manual_seed(0)
    schema = one(kind)
    encoder = Encoder(schema.inputs, EncoderOptions(embedding=embedding, absent=absent, rich_width=5)).eval()
    batch = schema.example(ROWS)
    first, second = gaps(batch, schema.example(ROWS, seed=1))
    complete, found = encoder(batch), encoder(first)
    assert complete.shape == (ROWS, encoder.width)
    assert torch.isfinite(complete).all()
    assert found.equal(encoder(second))
    torch.testing.assert_close(found[3::2], complete[3::2])
    assert not found[::2].equal(complete[::2])


@pytest.mark.parametrize("kind", LITERALS)
def test_every_parameter_learns(kind: str) -> None:
    torch.manual_seed(0)
    schema = one(kind)
    encoder = Encoder(schema.inputs, EncoderOptions(rich_width=5)).eval()
    out = encoder(gaps(schema.example(ROWS), schema.example(ROWS))[0])
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) and bool(p.grad.any()) for p in encoder.parameters())


def test_all_kinds_together_lie_side_by_side() -> None:
    schema = Schema.parse({"inputs": {f"a {kind}": literal for kind, literal in LITERALS.items()}, "tasks": {}})
    options = EncoderOptions(embedding_width=3, rich_width=5)
    encoder, batch = Encoder(schema.inputs, options).eval(), schema.example(ROWS)
    apart = [Encoder({name: item}, options).eval() for name, item in schema.inputs.items()]
    assert encoder.width == sum(part.width for part in apart)
    widths = {kind: part.width for kind, part in zip(LITERALS, apart, strict=True)}
    assert [widths[kind] for kind in ("number", "category", "boolean", "image")] == [3, 3, 1, 5]
    assert encoder(batch).shape == (ROWS, encoder.width)
    order = torch.tensor([3, 1])
    torch.testing.assert_close(encoder(batch.index(order)), encoder(batch)[order], rtol=1e-4, atol=1e-5)


def test_categories_of_different_columns_share_no_row() -> None:
    schema = one("category")
    encoder = Encoder(schema.inputs, EncoderOptions(embedding_width=2))
    (table,) = encoder.parameters()
    assert len(table) == 2 * (4 + 2)
    codes = torch.arange(ROWS) % 5
    batch = replace(schema.example(ROWS), inputs=Columns({"x": codes, "y": codes}, ROWS))
    found = encoder(batch)
    assert found[:, :2].equal(table[codes])
    assert found[:, 2:].equal(table[codes + 6])


def test_an_unknown_kind_is_refused() -> None:
    text = one("text").inputs["x"]
    strange = type("Strange", (type(text),), {"kind": "smell"})(name="nose")
    with pytest.raises(OptionError, match="input 'nose': is of kind 'smell', which this system cannot read"):
        Encoder({"nose": strange}, EncoderOptions())


def test_a_stem_has_one_vector_a_member() -> None:
    schema = one("number")
    stem, batch = Stem(schema, EncoderOptions(), members=3), schema.example(ROWS)
    assert stem(batch).shape == (ROWS, stem.width)
    assert stem.eval()(batch).shape == (3, ROWS, stem.width)
