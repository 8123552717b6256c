"""Splits: every row in one part, strata in proportion, groups whole, time in order."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polytask.core import DataError, OptionError, Task, registry
from polytask.data import _strata
from polytask.data.split import PARTS, Split, SplitOptions, split


def task(name: str, kind: str, *columns: str) -> dict[str, Task]:
    made: Task = registry.kind("tasks", kind)(name=name, columns=columns or (name,))
    return {name: made}


def parts(found: Split) -> list[np.ndarray]:
    return [getattr(found, name).numpy() for name in PARTS]


def table(rows: int = 1000, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    event = random.random(rows) < 0.3
    labels = {f"l{i}": pa.array((random.random(rows) < 0.01 * (i + 1)).astype(int)) for i in range(6)}
    return pa.table(
        {
            "rare": pa.array(random.random(rows) < 0.02, mask=random.random(rows) < 0.5),
            "value": pa.array(random.exponential(size=rows), mask=random.random(rows) < 0.03),
            "time": random.exponential(size=rows) * np.where(event, 1, 3),
            "event": event,
            "person": [f"p{i}" for i in random.geometric(0.01, rows)],
            "day": pa.array(random.integers(0, 90, rows).astype("datetime64[D]")),
            "tags": [["a"] * int(a) + ["b"] * int(b) for a, b in random.random((rows, 2)) < [0.02, 0.3]],
        }
        | labels
    )


TASKS = (
    task("rare", "binary")
    | task("value", "regression")
    | task("death", "survival", "time", "event")
    | task("labels", "multilabel", *(f"l{i}" for i in range(6)))
    | task("tags", "multilabel")
)
EVERY = [
    SplitOptions(),
    SplitOptions(how="random"),
    SplitOptions(how="group", column="person"),
    SplitOptions(how="time", column="day"),
    SplitOptions(test=0.5, validation=0.5),
]


@pytest.mark.parametrize("options", EVERY, ids=lambda options: options.how)
def test_every_row_is_in_one_part_near_the_shares(options: SplitOptions) -> None:
    data = table()
    found = split(data, TASKS, options)
    assert sorted(np.concatenate(parts(found)).tolist()) == list(range(1000))
    for rows, share in zip(parts(found), options.shares, strict=True):
        assert len(rows) == pytest.approx(1000 * share, abs=10)
        assert np.all(np.diff(rows) > 0)
    again = split(data, TASKS, options)
    assert all(map(np.array_equal, parts(found), parts(again)))


@pytest.mark.parametrize("how", ["random", "stratified"])
def test_seeds_differ(how: Any) -> None:
    first, second = (split(table(), TASKS, SplitOptions(how=how, seed=seed)) for seed in (0, 1))
    assert not torch.equal(first.test, second.test)


def imbalance(data: pa.Table, found: Split, shares: tuple[float, ...]) -> float:
    """The mean over strata of how far their share of a part is from the wanted one."""
    strata = _strata.of(data, TASKS)
    counts = np.bincount(strata.ravel())
    real = np.stack([np.bincount(strata[rows].ravel(), minlength=len(counts)) for rows in parts(found)]) / counts
    return float(np.abs(real - np.array(shares)[:, None]).mean())


@pytest.mark.parametrize("seed", range(3))
def test_strata_are_closer_to_the_shares_than_by_chance(seed: int) -> None:
    data = table(seed=seed)
    stratified, random = (SplitOptions(how=how, seed=seed) for how in ("stratified", "random"))
    by_strata = imbalance(data, split(data, TASKS, stratified), stratified.shares)
    by_chance = imbalance(data, split(data, TASKS, random), random.shares)
    assert by_strata < 0.5 * by_chance


def test_rare_labels_missing_labels_and_censoring_are_in_proportion() -> None:
    data, options = table(2000), SplitOptions()
    found = split(data, TASKS, options)
    rare = np.array([value is True for value in data["rare"].to_pylist()])
    missing = np.array([value is None for value in data["value"].to_pylist()])
    tagged = np.array(["a" in tags for tags in data["tags"].to_pylist()])
    for flags in (rare, missing, np.array(data["event"].to_pylist()), tagged):
        for rows, share in zip(parts(found), options.shares, strict=True):
            assert flags[rows].sum() == pytest.approx(flags.sum() * share, abs=2.5)
    values = data["value"].to_numpy()
    for rows in parts(found):
        assert np.nanmedian(values[rows]) == pytest.approx(np.nanmedian(values), abs=0.12)


def reference(strata: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Algorithm 1 of Sechidis et al., row by row: the counts of each stratum in each part."""
    left, counts = list(range(len(strata))), np.zeros((len(shares), strata.max() + 1))
    lacking = np.outer(shares, np.bincount(strata.ravel())).astype(float)
    total = np.array(shares) * len(strata)
    while left:
        remaining = np.bincount(strata[left].ravel(), minlength=counts.shape[1])
        stratum = min(np.flatnonzero(remaining), key=remaining.__getitem__)
        for row in [row for row in left if stratum in strata[row]]:
            part = max(range(len(shares)), key=lambda j: (round(lacking[j, stratum], 9), total[j]))
            lacking[part, strata[row]] -= 1
            counts[part, strata[row]] += 1
            total[part] -= 1
            left.remove(row)
    return counts


def test_division_is_as_even_as_the_row_by_row_algorithm() -> None:
    random, shares = np.random.default_rng(0), (0.6, 0.25, 0.15)
    for _ in range(10):
        strata = np.stack([random.choice(4, 150, p=[0.7, 0.2, 0.07, 0.03]) for _ in range(4)], 1) + 4 * np.arange(4)
        found = _strata.divide(strata, shares, random)
        ours = np.stack([np.bincount(strata[found == part].ravel(), minlength=16) for part in range(3)])
        wanted = np.outer(shares, ours.sum(0))
        theirs = reference(strata[random.permutation(150)], shares)
        assert np.abs(ours - wanted).mean() <= np.abs(theirs - wanted).mean() + 0.4


def test_one_stratum_at_a_time_is_exactly_the_reference() -> None:
    for rows in range(1, 40):
        strata, shares = np.zeros((rows, 1), dtype=np.int64), (0.68, 0.12, 0.2)
        found = np.bincount(_strata.divide(strata, shares, np.random.default_rng(0)), minlength=3)
        assert found.tolist() == reference(strata, shares)[:, 0].tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=40), st.integers(0, 99))
def test_groups_are_whole_and_no_part_is_empty(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    data = pa.table({"g": [None if group == 0 else f"g{group}" for group in groups], "y": np.arange(len(groups))})
    if len(groups) < 5:
        return
    found = parts(split(data, {}, SplitOptions(how="group", column="g", seed=seed)))
    homes = [set(groups[rows].tolist()) for rows in found]
    assert all(homes)
    assert sum(map(len, homes)) == len(sizes)


def test_time_is_in_order_and_moments_are_whole() -> None:
    data = table(500)
    days = data["day"].to_numpy()
    train, validation, test = parts(split(data, {}, SplitOptions(column="day")))
    assert days[train].max() < days[validation].min()
    assert days[validation].max() < days[test].min()
    texts = pa.table({"day": [str(day) for day in days]})
    assert torch.equal(split(texts, {}, SplitOptions(how="time", column="day")).test, torch.from_numpy(test))
    numbers = pa.table({"day": [str(day) for day in days.astype(int)]})
    assert torch.equal(split(numbers, {}, SplitOptions(how="time", column="day")).test, torch.from_numpy(test))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=60).filter(lambda moments: len(set(moments)) >= 3))
def test_any_three_moments_can_be_split(moments: list[int]) -> None:
    times = np.array(moments)
    train, validation, test = parts(split(pa.table({"t": times}), {}, SplitOptions(how="time", column="t")))
    assert times[train].max() < times[validation].min() <= times[validation].max() < times[test].min()


def test_each_source_is_split_by_itself() -> None:
    source = torch.cat([torch.zeros(900, dtype=torch.long), torch.ones(100, dtype=torch.long)])
    by_chance, by_strata = (split(table(), TASKS, SplitOptions(how=how), source) for how in ("random", "stratified"))
    assert [int((rows >= 900).sum()) for rows in parts(by_chance)] == [68, 12, 20]
    assert [int((rows >= 900).sum()) for rows in parts(by_strata)] == pytest.approx([68, 12, 20], abs=4)


def test_table_and_back() -> None:
    found = split(table(), TASKS, SplitOptions())
    saved = found.to_table()
    assert saved.column_names == ["part"]
    assert saved["part"].to_pylist()[int(found.test[0])] == "test"
    assert saved["part"].to_pylist().count("test") == len(found.test)
    assert all(map(np.array_equal, parts(Split.from_table(saved)), parts(found)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (SplitOptions(how="group"), OptionError, "split.column: none is given, and how=group needs one"),
        (SplitOptions(how="random", column="day"), OptionError, "split.column: 'day' is of no effect with how=random"),
        (SplitOptions(column="persn"), DataError, "split.column: no column 'persn'. Did you mean 'person'?"),
        (SplitOptions(column="event"), DataError, "column 'event': has 2 groups, and each of the three parts needs one"),
        (SplitOptions(how="time", column="event"), DataError, "column 'event': has 2 different times"),
        (SplitOptions(how="time", column="value"), DataError, "rows have no time (first in row "),
        (SplitOptions(how="time", column="person"), DataError, "column 'person': holds no times"),
        (SplitOptions(how="time", column="tags"), DataError, "column 'tags': cells of type list<"),
    ],
)
def test_faults(options: SplitOptions, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as found:
        split(table(200), {}, options)
    assert message in str(found.value)


def test_too_few_rows() -> None:
    with pytest.raises(DataError, match=r"4 rows are too few for validation=0.15 and test=0.2. Give at least 5 rows"):
        split(table(4), {}, SplitOptions())
    assert list(map(len, parts(split(table(5), {}, SplitOptions())))) == [3, 1, 1]


def test_every_task_without_a_training_label_is_named() -> None:
    data = pa.table({"day": np.arange(10), "late": [None] * 9 + [1], "never": pa.nulls(10), "y": np.arange(10)})
    tasks = task("late", "regression") | task("never", "regression") | task("y", "regression")
    with pytest.raises(DataError) as error:
        split(data, tasks, SplitOptions(how="time", column="day"))
    assert [fault.where for fault in error.value.faults] == ["task 'late'", "task 'never'"]
    assert "none of its 1 labels is in a training row" in str(error.value)


def test_given_parts_are_taken_as_they_are() -> None:
    parts = ["test", "train", "validation", "train", " test ", "train"]
    found = split(pa.table({"part": parts, "x": range(6)}), {}, SplitOptions(how="given", column="part"))
    assert (found.train.tolist(), found.validation.tolist(), found.test.tolist()) == ([1, 3, 5], [2], [0, 4])


@pytest.mark.parametrize("cell", ["tests", None])
def test_a_cell_that_names_no_part_is_told(cell: str | None) -> None:
    table = pa.table({"part": ["train", "validation", "test", cell]})
    with pytest.raises(DataError, match=r"1 cells that name no part.*in row 3"):
        split(table, {}, SplitOptions(how="given", column="part"))


def test_given_parts_need_their_column_and_all_three() -> None:
    table = pa.table({"part": ["train", "train", "test"]})
    with pytest.raises(OptionError, match="how=given needs one"):
        split(table, {}, SplitOptions(how="given"))
    with pytest.raises(DataError, match="no row is left for validation"):
        split(table, {}, SplitOptions(how="given", column="part"))
