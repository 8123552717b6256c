"""k-space: which lines are kept, scales, what a column tells, and faults."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polytask.core import DataError, OptionError, Record
from polytask.inputs.kspace import KSpace
from polytask.nn.fourier import ifft2c, rss
from polytask.tasks.map import Map
from polytask.testing.inputs import check_input

SHAPE = (3, 8, 16, 2)
SIZES: dict[str, Any] = {"coils": 3, "height": 8, "width": 16}


def raw(rows: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, *SHAPE)).astype(np.float32)


def lists(values: np.ndarray) -> pa.ChunkedArray:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))])


def tensors(values: np.ndarray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))])


def encoded(item: KSpace, column: pa.ChunkedArray) -> Record:
    record, _ = item.encode(column)
    assert isinstance(record, Record)
    return record


def item(acceleration: float = 1.0, centre: float = 0.08, seed: int = 0) -> KSpace:
    return KSpace(name="k", acceleration=float(acceleration), centre=centre, seed=seed, **SIZES)


@pytest.mark.parametrize("column", [None, lists(raw(12)), tensors(raw(12))])
def test_conformance(column: pa.ChunkedArray | None) -> None:
    report = check_input("kspace", (3, 8, 16), column)
    assert report.passed, report.failures()


def test_values_times_scale_are_the_measured_numbers() -> None:
    record = encoded(item(), lists(raw()))
    torch.testing.assert_close(record["kspace"] * record["scale"][:, None, None, None, None], torch.from_numpy(raw()))
    assert bool(record["mask"].all())
    power = (rss(ifft2c(record["kspace"])) ** 2).mean((1, 2))
    torch.testing.assert_close(power, torch.ones(5), rtol=1e-4, atol=1e-4)


@given(st.integers(1, 8), st.floats(0, 1), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_masks_hold_the_middle_and_the_asked_for_number(acceleration: int, centre: float, seed: int) -> None:
    record = encoded(item(acceleration, centre, seed), lists(raw()))
    middle = round(centre * 16)
    low = (16 - middle + 1) // 2
    assert bool(record["mask"][:, low : low + middle].all())
    assert record["mask"].sum(1).tolist() == [max(round(16 / acceleration), middle)] * 5
    assert not record["kspace"].movedim(3, 1)[~record["mask"]].any(), "a line that was left out is zero in every coil"
    assert bool((record["kspace"].movedim(3, 1)[record["mask"]] != 0).all())


def test_a_row_keeps_its_mask_wherever_it_stands() -> None:
    masks = encoded(item(4), lists(raw()))["mask"]
    order = [3, 1, 4]
    assert torch.equal(encoded(item(4), lists(raw()[order]))["mask"], masks[order])
    assert not torch.equal(encoded(item(4, seed=1), lists(raw()))["mask"], masks), "another seed, other lines"
    assert len({tuple(mask) for mask in masks.tolist()}) > 1, "rows have masks of their own"


def test_lines_are_drawn_evenly() -> None:
    masks = encoded(item(4, 0.0), lists(raw(2000)))["mask"].float()
    share = masks.mean(0)
    assert float((share - 0.25).abs().max()) < 5 * (0.25 * 0.75 / 2000) ** 0.5
    together = float((masks[:, 3] * masks[:, 4]).mean())
    assert abs(together - 4 * 3 / (16 * 15)) < 5 * (0.05 * 0.95 / 2000) ** 0.5


def test_zero_lines_were_not_measured() -> None:
    values = raw()
    values[:, :, :, 5] = 0
    values[0] = 0
    record = encoded(item(), lists(values))
    assert record["mask"][1].nonzero().flatten().tolist() == [i for i in range(16) if i != 5]
    assert not record["mask"][0].any()
    assert record["scale"][0] == 1


def test_the_scale_does_not_know_what_was_left_out() -> None:
    values = raw()
    mask = encoded(item(4), lists(values))["mask"].numpy()
    values *= mask[:, None, None, :, None]
    torch.testing.assert_close(encoded(item(4), lists(raw()))["scale"], encoded(item(), lists(values))["scale"])


def test_tensors_tell_their_sizes_and_lists_do_not() -> None:
    assert KSpace.recognises("k", tensors(raw()))
    assert not KSpace.recognises("k", lists(raw()))
    assert not KSpace.recognises("k", tensors(raw()[..., 0]))
    found = KSpace(name="k").fit(tensors(raw()))
    assert (found.coils, found.height, found.width) == (3, 8, 16)
    square = KSpace(name="k", coils=4).fit(lists(np.ones((2, 4, 6, 6, 2), np.float32)))
    assert (square.height, square.width) == (6, 6)


def test_faults_name_their_rows() -> None:
    with pytest.raises(DataError, match=r"not 3 coils x 8 x 16 x 2 numbers"):
        item().encode(pa.chunked_array([pa.array([[1.0, 2.0]])]))
    holes = raw()
    holes[0, 0, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="gaps or infinities"):
        item().encode(lists(holes))
    with pytest.raises(DataError, match="not lists of numbers"):
        item().encode(pa.chunked_array([["a"]]))
    with pytest.raises(DataError, match="no row holds a measurement"):
        item().fit(pa.chunked_array([pa.nulls(3)]))
    with pytest.raises(OptionError, match="kspace 4 16 16"):
        KSpace.example("k", (4,))


def test_the_example_measures_the_example_of_map() -> None:
    example = replace(KSpace.example("k", (2, 12, 12)))
    record = example.example_column(9, torch.Generator().manual_seed(0))
    target = Map.example("image", (12, 12)).example_target(9, torch.Generator())
    image = rss(ifft2c(record["kspace"])) * record["scale"][:, None, None]
    assert float((image - target).abs().mean() / target.mean()) < 0.6, "lines are missing"
    assert float(torch.corrcoef(torch.stack([image.flatten(), target.flatten()]))[0, 1]) > 0.7
