"""Pairs of digits: composed as stated, and no digit's image on both sides of a split."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from polytask.core import registry
from polytask.data import shipped
from polytask.data.real import multi_mnist
from polytask.data.split import SplitOptions, split


@cache
def table() -> pa.Table:
    return multi_mnist.load()


def images() -> np.ndarray:
    return table()["image"].combine_chunks().flatten().to_numpy().reshape(-1, 36, 36)


def test_it_is_what_it_states() -> None:
    assert shipped.get("multi_mnist") is multi_mnist
    assert table().num_rows == multi_mnist.about["rows"] == 5000
    assert table()["image"].type == pa.list_(pa.uint8(), 36 * 36)
    assert set(multi_mnist.ignore) == set(table().column_names) - {"image"}
    assert registry.kind("inputs", "pixels").recognises("image", table()["image"])


def test_parts_are_alike_and_every_digit_is_once_on_each_side() -> None:
    data = table().to_pandas().drop(columns="image")
    for side in multi_mnist.tasks:
        assert (data.groupby(["part", side]).size() == 10).all()
        assert data.groupby(["part", side]).ngroups == 500
    chance = (data["left"] == data["right"]).mean()
    assert chance == pytest.approx(0.09, abs=0.03)  # of the 99 other images of a part, 9 show the same digit


@pytest.mark.parametrize("seed", [0, 1])
def test_a_split_by_part_never_shares_a_digit(seed: int) -> None:
    """By the images themselves: what the left digit alone inks, the upper 8 rows, occurs in one part of the split."""
    options = SplitOptions(**multi_mnist.split, test=0.4, seed=seed)
    parts = split(table(), {}, options)
    part = table()["part"].to_numpy()
    groups = [set(part[rows]) for rows in (parts.train.numpy(), parts.validation.numpy(), parts.test.numpy())]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 50
    left, right = sides(part)
    for side in (left, right):
        owners: dict[int, set[int]] = {}
        for image, home in zip(side, part, strict=True):
            owners.setdefault(int(image), set()).add(int(home))
        assert len(owners) == 5000
        assert all(len(homes) == 1 for homes in owners.values())
    assert {(i, p) for i, p in zip(left, part, strict=True)} == {(i, p) for i, p in zip(right, part, strict=True)}
    assert (left != right).all()


def sides(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = multi_mnist.mnist5k.load()["digit"].to_numpy().astype(np.int64)
    again, left, right = multi_mnist.pairs(labels, np.random.default_rng(0))
    assert (again == part).all()
    assert (labels[left] == table()["left"].to_numpy()).all()
    assert (labels[right] == table()["right"].to_numpy()).all()
    return left, right


def test_images_are_the_larger_of_both_digits() -> None:
    left, right = np.zeros((1, 28, 28), np.uint8), np.zeros((1, 28, 28), np.uint8)
    left[0, 10, 12], left[0, 27, 27], right[0, 0, 0], right[0, 2, 4] = 200, 50, 90, 220
    canvas = multi_mnist.blend(left, right)
    assert canvas.shape == (1, 36, 36)
    assert {(int(r), int(c)): int(canvas[0, r, c]) for r, c in zip(*canvas[0].nonzero(), strict=True)} == {
        (10, 12): 220, (27, 27): 50, (8, 8): 90,
    }  # fmt: skip


def test_the_composition_is_always_the_same() -> None:
    assert multi_mnist.load().equals(table())
    corner = images()[:, 28:, :8]
    assert not corner.any()  # where neither digit reaches
    assert 20 < images().mean() < 60
