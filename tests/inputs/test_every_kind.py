"""What holds for every kind of input."""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import OptionError, Ragged, Schema
from polytask.core.option import options_of
from polytask.core.registry import kind, kinds

LITERALS = {
    "number": "number",
    "category": "category 5",
    "boolean": "boolean",
    "datetime": "datetime",
    "text": "text 100",
    "image": "image 3 32 32",
    "audio": "audio 32 20",
    "vector": "vector 6",
}


@pytest.fixture
def columns(tmp_path, monkeypatch):
    """A real column a kind, the first row absent."""
    monkeypatch.setenv("POLYTASK_CACHE", str(tmp_path / "cache"))
    values = {
        "number": [1.5, 2.0, 7.0],
        "category": ["a", "a", "b"],
        "boolean": [True, False, True],
        "datetime": [dt.datetime(2026, 1, d, 5 * d) for d in (1, 2, 3)],
        "text": ["one text", "another", "a third text here"],
        "vector": [[float(i)] * 6 for i in range(3)],
    }
    pytest.importorskip("PIL.Image").fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    pytest.importorskip("soundfile").write(tmp_path / "a.wav", np.zeros(800), 8000)
    values |= {"image": [str(tmp_path / "a.png")] * 3, "audio": [str(tmp_path / "a.wav")] * 3}
    return {k: pa.chunked_array([pa.array([None, *cells])]) for k, cells in values.items()}


def test_the_literals_name_every_kind():
    assert sorted(LITERALS) == kinds("inputs")


@pytest.mark.parametrize("name", LITERALS)
def test_example_columns_look_like_encoded_ones(name, columns):
    example = Schema.parse({"inputs": {"x": LITERALS[name]}, "tasks": {}}).inputs["x"]
    made = example.example_column(7, torch.Generator().manual_seed(0))
    found, present = example.fit(columns[name]).encode(columns[name])
    assert present.tolist() == [False, True, True, True]
    assert type(made) is type(found)
    assert (len(made), len(found)) == (7, 4)
    if isinstance(made, Ragged):
        assert made.lengths.unique().numel() > 1
        made, found = made.values, found.values
    assert made.dtype == found.dtype
    if name != "datetime":  # keeps the cycles that vary
        assert made.shape[1:] == found.shape[1:]
    again = example.example_column(7, torch.Generator().manual_seed(0))
    assert torch.equal(made, again.values if isinstance(again, Ragged) else again)


@pytest.mark.parametrize("name", LITERALS)
def test_absent_cells_hold_finite_fillers(name, columns):
    column, _ = kind("inputs", name)(name="x").fit(columns[name]).encode(columns[name])
    values = column.values if isinstance(column, Ragged) else column
    assert values.double().isfinite().all()


@pytest.mark.parametrize("name", LITERALS)
def test_schemas_survive_json(name, columns):
    fitted = kind("inputs", name)(name="x").fit(columns[name])
    schema = Schema({"x": fitted}, {})
    text = json.dumps(schema.to_json(), allow_nan=False)
    assert Schema.from_json(json.loads(text)) == schema


@pytest.mark.parametrize("name", LITERALS)
def test_encoding_a_slice_is_slicing_the_encoding(name, columns):
    fitted = kind("inputs", name)(name="x").fit(columns[name])
    whole, _ = fitted.encode(columns[name])
    part, present = fitted.encode(columns[name].slice(2, 1))
    chosen = torch.tensor([2])
    if isinstance(whole, Ragged):
        assert torch.equal(whole.index(chosen).values, part.values)
    else:
        assert torch.equal(whole[chosen], part)
    assert present.tolist() == [True]


@pytest.mark.parametrize("name", LITERALS)
def test_a_literal_of_wrong_sizes_says_what_to_write(name):
    for sizes in [(2, 3, 4, 5), (0,)]:
        with pytest.raises(OptionError, match=f"input 'x': sizes .* do not fit kind '{name}'.*'{LITERALS[name]}'"):
            kind("inputs", name).example("x", sizes)


@pytest.mark.parametrize("name", LITERALS)
def test_options_say_where_their_default_comes_from(name):
    for option in options_of(kind("inputs", name)).values():
        assert option.paper or option.ours
