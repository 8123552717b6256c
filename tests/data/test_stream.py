"""Streams: each row once an epoch, the same from the same seed, well mixed, few rows alive, splits that stay as they are."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import polytask
from polytask.core import Batch, DataError, OptionError, PolytaskError
from polytask.data import _memory, _pool, prepare, stream
from polytask.data.sample import MixOptions
from polytask.data.split import SplitOptions
from polytask.data.stream import Stream, Streamed

ROWS, GROUP = 6000, 500
TASKS = {"y": "binary", "z": "regression"}
SMALL = {"members": 1, "width": 32}
INPUTS = {"x": {"kind": "number", "scale": "standard"}}


def table(rows: int = ROWS) -> pa.Table:
    """Sorted by its label; `x` is the number of the row."""
    random = np.random.default_rng(0)
    y = np.arange(rows) >= rows // 2
    signal = random.normal(size=rows) + 1.5 * y
    z = np.where(random.random(rows) < 0.1, np.nan, signal + random.normal(size=rows))
    names = random.choice(["a", "b", "c"], rows).tolist()
    names[7] = None
    return pa.table(
        {
            "x": np.arange(rows, dtype=np.float64),
            "signal": signal,
            "name": names,
            "person": (np.arange(rows) // 7).astype(str),
            "day": np.arange(rows).astype("datetime64[s]"),
            "y": y,
            "z": pa.array(z, from_pandas=True),
        }
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "table.parquet"
    pq.write_table(table(), path, row_group_size=GROUP)
    return path


def prepared(file: Path | str, ignore: tuple[str, ...] = ("person", "day"), **options: Any) -> Streamed:
    return stream.prepare_stream([{"file": str(file)}], TASKS, INPUTS, ignore, SplitOptions(**options))


def source(found: Streamed, pool: int = 2000, **shares: int) -> Stream:
    assert isinstance(found.split, stream.Parts)
    return Stream(found.groups, found.split.everywhere, found.schema, 100, 3, pool=pool, **shares)


def seen(found: Streamed, batches: Iterator[Batch]) -> list[list[int]]:
    item: Any = found.schema.inputs["x"]
    return [item.decode(batch.inputs.tensor("x")).round().astype(int).tolist() for batch in batches]


def parts(found: Streamed) -> list[str | None]:
    names: list[str | None] = found.split.to_table()["part"].to_pylist()
    return names


def test_each_training_row_once_an_epoch_in_another_order(file: Path) -> None:
    found = prepared(file)
    train = [row for row, part in enumerate(parts(found)) if part == "train"]
    batches = source(found)
    first, again, second = (seen(found, batches.epoch(number)) for number in (0, 0, 1))
    assert sorted(chain(*first)) == sorted(chain(*second)) == train
    assert first == again != second
    assert len(first) == len(batches) == -(-len(train) // 100)
    lengths = list(map(len, first))
    assert max(lengths) - min(lengths) <= 1


def test_a_stream_goes_on_where_it_stopped(file: Path) -> None:
    found = prepared(file)
    stopped = source(found)
    epoch = stopped.epoch(0)
    next(epoch)
    epoch.close()  # the thread that reads ahead ends too
    assert seen(found, stopped.epoch(1)) == seen(found, source(found).epoch(1))


def test_processes_share_the_row_groups(file: Path) -> None:
    found = prepared(file)
    shares = [seen(found, source(found, rank=rank, world=3).epoch(2)) for rank in range(3)]
    rows = [set(chain(*share)) for share in shares]
    assert len(set(map(len, shares))) == 1
    assert sum(map(len, rows)) == len(set.union(*rows)) == found.counts["train"]
    assert max(map(len, rows)) - min(map(len, rows)) < 2 * GROUP
    with pytest.raises(DataError, match="12 row groups in batches of 100 rows cannot be shared by 13 processes"):
        source(found, rank=0, world=13)


def test_rows_are_encoded_as_in_memory(file: Path) -> None:
    found = prepared(file)
    whole = found.schema.encode(table())
    for batch in source(found).epoch(0):
        rows = torch.tensor(seen(found, iter([batch]))[0])
        for place in ("inputs", "present", "targets", "labelled"):
            for name, column in getattr(whole.index(rows), place).items():
                assert torch.equal(getattr(batch, place)[name], column), name
    assert found.numbers is not None
    kept = whole.index(found.numbers[found.split.test])
    assert torch.equal(found.rows("test").inputs.tensor("signal"), kept.inputs.tensor("signal"))


def test_a_sorted_file_is_well_mixed(file: Path) -> None:
    found = prepared(file)
    orders = [list(chain(*seen(found, source(found, pool=2000).epoch(number)))) for number in range(8)]
    place = np.arange(len(orders[0]))
    assert abs(np.mean([np.corrcoef(place, order)[0, 1] for order in orders])) < 0.2
    shares = [np.mean(np.array(batch) >= ROWS // 2) for batch in seen(found, source(found).epoch(0))]
    assert 0 < min(shares) < 0.5 < max(shares) < 1  # the file holds one label, then the other


def test_few_rows_are_alive() -> None:
    came = gone = most = 0

    def blocks() -> Iterator[Batch]:
        nonlocal came, most
        for start in range(0, 20_000, 250):
            came += 250
            most = max(most, came - gone)
            yield small.index(torch.arange(start, start + 250) % len(small))

    small = polytask.core.Schema.parse({"inputs": {"a": "number"}, "tasks": {"b": "binary"}}).example(500)
    for batch in _pool.batches(blocks(), 1000, 20_000, 313, np.random.default_rng(0)):
        gone += len(batch)
    assert gone == came == 20_000
    assert most <= 1000 + 250


def test_batches_may_be_larger_than_the_pool() -> None:
    small = polytask.core.Schema.parse({"inputs": {"a": "number"}, "tasks": {"b": "binary"}}).example(100)
    batches = list(_pool.batches(iter([small] * 10), 50, 1000, 3, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [333, 333, 334]


def test_splits_stay_as_a_file_grows(file: Path, tmp_path: Path) -> None:
    found = prepared(file)
    assert parts(found) == parts(prepared(file)) != parts(prepared(file, seed=1))
    shares = [count / ROWS for count in found.counts.values()]
    assert shares == pytest.approx([0.68, 0.12, 0.2], abs=0.02)
    pq.write_table(table(), tmp_path / "1.parquet", row_group_size=700)
    pq.write_table(table(1000), tmp_path / "2.parquet")
    grown = prepared(tmp_path)
    assert parts(grown)[:ROWS] == parts(found)
    assert grown.digest != found.digest


def test_groups_stay_together_and_time_goes_on(file: Path) -> None:
    by_group = np.array(parts(prepared(file, column="person", ignore=("day",))))
    assert all(len(set(by_group[start : start + 7])) == 1 for start in range(0, ROWS - 7, 7))
    assert set(by_group) == {"train", "validation", "test"}
    by_time = parts(prepared(file, column="day", ignore=("person",)))
    assert by_time == sorted(by_time, key=["train", "validation", "test"].index)
    assert by_time.count("test") == pytest.approx(0.2 * ROWS, abs=2)


def test_parts_that_are_kept_in_memory_are_drawn(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEPT", 300)
    found = prepared(file)
    assert [len(found.rows(part)) for part in ("train", "validation", "test")] == [300] * 3
    assert found.counts["train"] > 4000
    assert found.counts["test"] == parts(found).count("test") == 300
    assert any("scores come from 300 of 1," in note for note in found.notes)
    assert found.numbers is not None
    rows = [set(found.numbers[places].tolist()) for places in (found.split.train, found.split.test)]
    assert not rows[0] & rows[1]
    assert np.mean(list(rows[1])) == pytest.approx(ROWS / 2, rel=0.15)


def test_a_large_row_group_is_read_in_blocks(tmp_path: Path) -> None:
    pq.write_table(table(20_000), tmp_path / "one.parquet")
    found = prepared(tmp_path / "one.parquet")
    assert any("write smaller ones" in note for note in found.notes)
    assert sum(map(len, seen(found, source(found).epoch(0)))) == found.counts["train"]


def test_a_fit_is_as_good_as_in_memory(file: Path, tmp_path: Path) -> None:
    settings = {
        "training": {"epochs": 2, "steps": 1, "batch_size": 100},
        "system": SMALL,
        "ignore": ["person", "day", "x"],
    }
    scores = []
    for place in ({"file": str(file)}, {"file": str(file), "stream": True}):
        run = polytask.fit([place], TASKS, settings=settings, out=tmp_path / str(len(scores)))
        scores.append([run.scores["test"]["y"]["auroc"], run.scores["test"]["z"]["r2"]])
    assert scores[1] == pytest.approx(scores[0], abs=0.06)
    written = pq.read_table(tmp_path / "1" / "predictions.parquet")
    assert written["true_y"].to_pylist() == table()["y"].take(written["row"]).to_pylist()


def test_a_stopped_fit_goes_on_to_the_same_numbers(file: Path, tmp_path: Path) -> None:
    settings: Any = {"training": {"epochs": 3, "steps": 1, "save_every": 0}, "system": SMALL, "ignore": ["person"]}
    whole = polytask.fit([{"file": str(file), "stream": True}], TASKS, settings=settings)

    def stop(progress: Any, stage: Any, epochs: int) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        polytask.fit([{"file": str(file), "stream": True}], TASKS, settings=settings, out=tmp_path / "run", report=stop)
    assert polytask.resume(tmp_path / "run").scores == whole.scores


def test_what_cannot_be_streamed_is_told(file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="only those are streamed"):
        prepared(tmp_path / "a.csv")
    with pytest.raises(DataError, match="no such file"):
        prepared(tmp_path / "none.parquet")
    with pytest.raises(DataError, match="holds no Parquet file"):
        prepared(tmp_path)
    with pytest.raises(OptionError, match="stratified needs all rows at once"):
        prepared(file, how="stratified")
    with pytest.raises(OptionError, match="a stream has one source"):
        stream.prepare_stream([{"file": file}, {"file": file}], TASKS, {}, (), SplitOptions())
    with pytest.raises(PolytaskError, match=r"'trees'.*needs all training rows in memory"):
        polytask.fit([{"file": str(file), "stream": True}], TASKS, system="trees")
    pq.write_table(table(600), tmp_path / "1.parquet")
    pq.write_table(table(600).drop_columns(["z"]), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: has other columns or types than 1\.parquet"):
        prepared(tmp_path)


def test_a_bad_cell_is_named_by_its_row_in_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = table(3000)
    cells = [str(value) for value in good["signal"].to_pylist()]
    cells[2345] = "much"
    path = tmp_path / "bad.parquet"
    pq.write_table(good.set_column(1, "signal", pa.array(cells)), path, row_group_size=GROUP)
    with pytest.raises(DataError, match="row 2345: 'much'"):
        stream.prepare_stream([{"file": path}], TASKS, {**INPUTS, "signal": "number"}, ("person", "day"), SplitOptions())
    monkeypatch.setattr(stream, "KEPT", 50)  # the row is not among those that are drawn
    found = stream.prepare_stream([{"file": path}], TASKS, {**INPUTS, "signal": "number"}, ("person", "day"), SplitOptions())
    with pytest.raises(DataError, match="row 2345: 'much'"):
        list(found.training_source(100, 0, MixOptions()).epoch(0))


def test_a_file_larger_than_memory_asks_to_be_streamed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "total", lambda: 100_000)
    with pytest.raises(DataError, match="--stream"):
        prepare.prepare([{"file": str(file)}], TASKS, INPUTS, (), SplitOptions())
    assert len(prepared(file).rows("test")) > 1000
