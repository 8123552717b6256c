"""Large tables: encoded piece by piece as if whole, parts that copy nothing, statistics from a sample."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import Batch, Columns, DataError, Ragged, Record
from polytask.core.batch import concat, found
from polytask.data import prepare
from polytask.data.prepare import Prepared
from polytask.data.split import SplitOptions

ROWS = 1000


def table() -> pa.Table:
    random = np.random.default_rng(0)
    words = [" ".join(random.choice(["sun", "rain", "wind", "snow", "fog"], 6)) for _ in range(ROWS)]
    return pa.table(
        {
            "number": pa.array(np.where(random.random(ROWS) < 0.1, np.nan, random.normal(size=ROWS)), from_pandas=True),
            "place": random.choice(["a", "b", "c"], ROWS).tolist(),
            "words": words,
            "day": (3600 * np.arange(ROWS)).astype("datetime64[s]"),
            "y": random.random(ROWS) < 0.4,
            "rare": ["one", "two"] * (ROWS // 2 - 1) + ["never", "seen"],
        }
    )


def prepared(data: pa.Table, **more: Any) -> Prepared:
    inputs = {"words": "text", "number": "number"}
    return prepare.prepare([{"file": data}], {"y": "binary", "rare": "multiclass"}, inputs, (), SplitOptions(), **more)


def same(one: Batch, other: Batch) -> None:
    assert one.tasks == other.tasks
    for place in ("inputs", "present", "targets", "labelled"):
        left, right = getattr(one, place), getattr(other, place)
        assert list(left) == list(right)
        for name in left:
            parts = [[c.values, c.offsets] if isinstance(c, Ragged) else [c] for c in (left[name], right[name])]
            assert all(torch.equal(a, b) for a, b in zip(*parts, strict=True)), name


def test_pieces_are_encoded_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(UserWarning, match="rows count as unlabelled"):
        whole = prepared(table())
    monkeypatch.setattr(prepare, "PIECE", 130)
    with pytest.warns(UserWarning, match="rows count as unlabelled") as told:
        pieces = prepared(table(), whole=False)
    assert len(told) == 1
    assert isinstance(pieces.batch.inputs["words"], Ragged)
    same(whole.batch, pieces.batch)
    assert pieces.table.column_names == ["y", "rare"]
    assert (pieces.digest, pieces.schema, pieces.leaks) == (whole.digest, whole.schema, whole.leaks)


def test_a_fault_is_told_by_its_row_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "PIECE", 130)
    monkeypatch.setattr(prepare, "SAMPLE", 50)  # the row is not among those that teach
    data = table()
    cells = [str(value) for value in range(ROWS)]
    cells[777] = "many"
    with pytest.raises(DataError, match="row 777: 'many'"):
        prepared(data.set_column(0, "number", pa.array(cells)))


def test_statistics_of_large_tables_come_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "SAMPLE", 200)
    found = prepared(table().drop_columns(["rare"]).append_column("rare", pa.array(["one", "two"] * (ROWS // 2))))
    assert "kinds and statistics come from 200 of 680 training rows, drawn by chance" in found.notes
    assert len(found.rows("train")) == 680


def test_parts_are_views(recwarn: pytest.WarningsRecorder) -> None:
    data = prepared(table())
    part, copy = data.rows("validation"), data.batch.index(data.split.validation)
    assert part.inputs._blocks[torch.float32] is data.batch.inputs._blocks[torch.float32]
    same(part, copy)
    rows = torch.tensor([5, 3, 3, 0])
    same(part.index(rows), copy.index(rows))
    same(part.view(rows), copy.index(rows))
    same(part.to("cpu"), copy)
    same(concat([part, part.view(rows)], len(part) + 4), concat([copy, copy.index(rows)], len(part) + 4))
    names = tuple(part.labelled)
    assert torch.equal(part.labelled.stack(names[::-1]), copy.labelled.stack(names[::-1]))


def test_records_are_joined_and_rows_of_one_table_are_not() -> None:
    def batch(column: Any) -> Batch:
        mask = Columns({"x": torch.ones(3, dtype=torch.bool)}, 3)
        return Batch(Columns({"x": column}, 3), mask, Columns({}, 3), Columns({}, 3), found(Columns({}, 3)))

    image = torch.arange(12).reshape(3, 2, 2)
    both = concat([batch(Record({"image": image})), batch(Record({"image": image + 12}))], 6)
    assert torch.equal(both.inputs["x"]["image"], torch.arange(24).reshape(6, 2, 2))
    assert both.inputs.nbytes == 24 * 8
    from polytask.core.links import Links

    with pytest.raises(TypeError, match="rows of a Links belong to one table"):
        concat([batch(Links.of(torch.zeros(2, 0, dtype=torch.int64), 3))] * 2, 6)
