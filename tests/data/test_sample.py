"""Batches: each row once an epoch, the same from the same seed, fair shares for processes and sources."""

from collections.abc import Iterable
from itertools import chain, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polytask.core import Batch, OptionError
from polytask.core.batch import Columns, found
from polytask.core.option import make
from polytask.data.sample import Mix, MixOptions, Rows


def batch(rows: int) -> Batch:
    true = Columns({"x": torch.ones(rows, dtype=torch.bool)}, rows)
    column = Columns({"x": torch.arange(rows)}, rows)
    return Batch(column, true, column, true, found(true))


def seen(batches: Iterable[Batch]) -> list[list[int]]:
    return [part.inputs.tensor("x").tolist() for part in batches]


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 200), st.integers(4, 64), st.integers(0, 2**40), st.integers(0, 5))
def test_each_row_once_in_even_batches(rows: int, size: int, seed: int, number: int) -> None:
    source = Rows(batch(rows + 10), torch.arange(10, rows + 10), size, seed)
    batches = seen(source.epoch(number))
    assert sorted(chain(*batches)) == list(range(10, rows + 10))
    assert len(source) == len(batches) == -(-rows // size)
    lengths = list(map(len, batches))
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= size
    assert batches == seen(source.epoch(number))


def test_epochs_and_seeds_differ() -> None:
    source = Rows(batch(100), torch.arange(100), 10, 3)
    assert seen(source.epoch(0)) != seen(source.epoch(1))
    assert seen(source.epoch(0)) != seen(Rows(batch(100), torch.arange(100), 10, 4).epoch(0))
    plain = Rows(batch(5), torch.tensor([4, 2, 0]), 2, 3, shuffle=False)
    assert seen(plain.epoch(0)) == seen(plain.epoch(1)) == [[4, 2], [0]]


def test_epoch_does_not_depend_on_the_global_generator() -> None:
    source = Rows(batch(50), torch.arange(50), 10, 3)
    torch.manual_seed(1)
    first = seen(source.epoch(2))
    torch.manual_seed(2)
    assert first == seen(source.epoch(2))


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_each_batch(world: int) -> None:
    whole = seen(Rows(batch(103), torch.arange(103), 16, 7).epoch(4))
    shares = [seen(Rows(batch(103), torch.arange(103), 16, 7, rank=rank, world=world).epoch(4)) for rank in range(world)]
    for number, rows in enumerate(whole):
        parts = [share[number] for share in shares]
        assert sorted(chain(*parts)) == sorted(rows)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"rank": 2, "world": 2}, {"world": 8, "batch_size": 4}])
def test_impossible_shares(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="batch"):
        Rows(batch(16), torch.arange(16), **({"batch_size": 4, "seed": 0} | wrong))
    with pytest.raises(ValueError, match="0 rows"):
        Rows(batch(16), torch.arange(0), 4, 0)


def groups(*sizes: int) -> list[Rows]:
    whole = batch(sum(sizes))
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    return [Rows(whole, torch.arange(a, b), 10, 5) for a, b in pairwise(ends)]


def test_proportional_mix_sees_each_row_once_and_batches_are_of_one_source() -> None:
    mix = Mix(groups(300, 100), MixOptions(), 1)
    batches = seen(mix.epoch(3))
    assert len(batches) == len(mix) == 40
    assert sorted(chain(*batches)) == list(range(400))
    assert {len({row < 300 for row in rows}) for rows in batches} == {1}
    order = mix.schedule(0)
    assert order != sorted(order)
    assert order != mix.schedule(1)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 0.9), (2.0, 0.75), (1e9, 0.5)])
def test_temperature(temperature: float, expected: float) -> None:
    mix = Mix(groups(900, 100), MixOptions("temperature", temperature), 1)
    counts = torch.tensor(mix.schedule(0)).bincount()
    assert counts.sum() == len(mix) == 100
    assert counts[0] / 100 == pytest.approx(expected, abs=0.01)


def test_round_robin_takes_turns() -> None:
    assert Mix(groups(50, 10, 10), MixOptions("round_robin"), 1).schedule(0) == [0, 1, 2, 0, 1, 2, 0]


def test_every_source_gives_a_batch() -> None:
    for policy in ("proportional", "temperature", "round_robin"):
        assert set(Mix(groups(2000, 1, 1, 1), MixOptions(policy), 1).schedule(0)) == {0, 1, 2, 3}


def test_over_epochs_all_rows_of_a_source_are_seen_equally_often() -> None:
    mix = Mix(groups(170, 30), MixOptions("round_robin"), 1)  # 17 and 3 batches of rows; 10 and 10 an epoch
    counts = torch.zeros(200, dtype=torch.long)
    for number in range(51):
        for rows in seen(mix.epoch(number)):
            counts[rows] += 1
    assert counts[:170].unique().tolist() == [30]
    assert counts[170:].unique().tolist() == [170]


def test_mix_repeats_an_epoch_without_the_ones_before() -> None:
    options = MixOptions("temperature", 3.0)
    one, other = Mix(groups(170, 30), options, 1), Mix(groups(170, 30), options, 1)
    for number in range(6):
        seen(one.epoch(number))
    assert seen(one.epoch(6)) == seen(other.epoch(6))


def test_mix_options_are_checked() -> None:
    with pytest.raises(OptionError, match=r"mix\.policy: must be one of .*round-robin"):
        make(MixOptions, {"policy": "round-robin"}, "mix")
    with pytest.raises(OptionError, match="temperature"):
        make(MixOptions, {"temperature": 0.5}, "mix")
