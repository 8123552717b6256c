"""Every kind of input becomes plain columns; rivals that take a matrix learn from them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD

from polytask.baselines._features import PLACES, TOPICS, Features
from polytask.core import Batch, Columns, Ragged, Schema, registry
from polytask.core.option import make

ROWS = 60
INPUTS = {
    "number": "number",
    "text": "text 100",
    "category": "category 4",
    "image": "image 3 16 16",
    "boolean": "boolean",
    "vector": "vector 3",
    "audio": "audio 16 8",
    "datetime": "datetime",
    "pixels": "pixels 1 16 16",
    "series": "series 3 12",
    "links": "links",
}


@pytest.fixture
def schema() -> Schema:
    return Schema.parse({"inputs": INPUTS, "tasks": {"y": "binary"}})


def gaps(schema: Schema) -> Batch:
    torch.manual_seed(0)
    masks = {name: torch.rand(ROWS) > 0.2 for name in schema.inputs}
    return replace(schema.example(ROWS), present=Columns(masks, ROWS))


def test_every_kind_is_tested() -> None:
    special = {"kspace"}  # no table of numbers
    assert set(registry.kinds("inputs")) - special == set(INPUTS)


def test_columns_lie_in_order_and_absent_ones_are_nan(schema: Schema) -> None:
    features, batch = Features(schema.inputs), gaps(schema)
    features.fit(batch, 0)
    x = features(batch)
    dates: Any = schema.inputs["datetime"]
    widths = {
        "category": 1, "number": 1, "boolean": 1, "text": TOPICS, "image": 3 * PLACES**2, "vector": 3,
        "audio": PLACES**2, "datetime": dates.size, "pixels": PLACES**2, "series": 9, "links": 1,
    }  # fmt: skip
    assert x.shape == (ROWS, sum(widths.values()))
    blocks = dict(zip(widths, x.split(list(widths.values()), dim=1), strict=True))
    for name, block in blocks.items():
        there = batch.present.tensor(name)
        assert block[~there].isnan().all()
        assert block[there].isfinite().all()
    for name in ("category", "number", "boolean"):
        there = batch.present.tensor(name)
        assert blocks[name][there, 0].equal(batch.inputs.tensor(name)[there].float())


def test_images_are_averaged_over_places(schema: Schema) -> None:
    features, batch = Features({"image": schema.inputs["image"]}), schema.example(ROWS)
    pixels = batch.inputs.tensor("image").float()
    by_hand = pixels.unflatten(3, (8, 2)).mean(4).unflatten(2, (8, 2)).mean(3)
    torch.testing.assert_close(features(batch), by_hand.flatten(1))


def test_texts_become_latent_directions(schema: Schema) -> None:
    features, batch = Features({"text": schema.inputs["text"]}), schema.example(ROWS)
    features.fit(batch, 0)
    ids = batch.inputs["text"]
    assert isinstance(ids, Ragged)
    shares = np.zeros((ROWS, 100))
    for row, (start, end) in enumerate(zip(ids.offsets[:-1].tolist(), ids.offsets[1:].tolist(), strict=True)):
        for bucket in ids.values[start:end].tolist():
            shares[row, bucket] += 1 / (end - start)
    expected = TruncatedSVD(TOPICS, random_state=0).fit_transform(shares)
    np.testing.assert_allclose(features(batch).numpy(), expected, atol=1e-4)
    other = Features({"text": schema.inputs["text"]})
    other.load_state_dict(features.state_dict())
    assert other(batch).equal(features(batch))


@pytest.mark.parametrize("id", ["trees", "linear"])
def test_rivals_learn_from_every_kind_at_once(id: str, schema: Schema) -> None:
    cls, batch = registry.load(id), gaps(schema)
    signal = batch.inputs.tensor("vector")[:, 0] > 0
    batch = replace(batch, targets=Columns({"y": signal.float()}, ROWS))
    options = {"rates": [0.1], "leaves": [8], "columns": 1.0} if id == "trees" else {}
    system = cls.build(schema, make(cls.options_type, options, id))
    system.solve(batch, batch, 0)
    task, there = schema.tasks["y"], batch.present.tensor("vector")
    prediction = task.predict(system(batch)["y"]).detach()
    assert task.evaluate(prediction[there], batch.targets.tensor("y")[there])["auroc"] > 0.9
