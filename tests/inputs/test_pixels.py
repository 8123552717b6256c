"""Images that lie in the table."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import DataError
from polytask.inputs.pixels import Pixels


def column(images: np.ndarray, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    cells = images.reshape(len(images), -1).tolist()
    return pa.chunked_array([pa.array(cells, kind or pa.list_(pa.uint8()))])


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)


def test_images_come_back_in_their_shape() -> None:
    item = Pixels(name="x", channels=3, height=4, width=6).fit(column(IMAGES))
    found, present = item.encode(column(IMAGES))
    assert torch.equal(found, torch.from_numpy(IMAGES))
    assert bool(present.all())


def test_square_sizes_are_found_and_missing_images_are_black() -> None:
    grey = IMAGES[:, 0, :, :4]
    cells = column(grey).to_pylist()
    item = Pixels(name="x").fit(column(grey))
    assert (item.height, item.width) == (4, 4)
    found, present = item.encode(pa.chunked_array([pa.array([None, *cells], pa.list_(pa.uint8()))]))
    assert present.tolist() == [False, True, True, True, True, True]
    assert not found[0].any()
    assert torch.equal(found[1:, 0], torch.from_numpy(grey))


def test_whole_numbers_of_other_types_do() -> None:
    item = Pixels(name="x", channels=3, height=4, width=6)
    assert torch.equal(item.encode(column(IMAGES, pa.list_(pa.int64())))[0], torch.from_numpy(IMAGES))
    assert not Pixels.recognises("x", column(IMAGES, pa.list_(pa.int64())))
    assert Pixels.recognises("x", column(IMAGES[:, :1, :, :4]))
    assert not Pixels.recognises("x", column(IMAGES))


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([[1, 2, 3, 4], [1, 2]], r"not 1 x 2 x 2 numbers \(row 1"),
        ([[1, 2, 3, 300]], "holds numbers outside of 0 to 255"),
        ([[1, 2, 3, None]], "holds images with missing pixels"),
        ([["a", "b", "c", "d"]], "are not lists of whole numbers"),
    ],
)
def test_faults_name_what_is_wrong(cells: list, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Pixels(name="x", height=2, width=2).encode(pa.chunked_array([pa.array(cells)]))


def test_sizes_that_do_not_fit_say_which_options_to_write() -> None:
    with pytest.raises(DataError, match=r"lists of 72 numbers are no images of 1 x 8 x 8. Write inputs.x.channels"):
        Pixels(name="x").fit(column(IMAGES))


def test_tensor_columns_have_their_own_shape() -> None:
    cells = pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES)
    column = pa.chunked_array([cells])
    assert Pixels.recognises("x", column)
    item = Pixels(name="x").fit(column)
    assert (item.channels, item.height, item.width) == (3, 4, 6)
    assert torch.equal(item.encode(column)[0], torch.from_numpy(IMAGES))
