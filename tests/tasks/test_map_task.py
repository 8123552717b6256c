"""Images as answers: metrics against torchmetrics and scikit-image's definition, sizes, faults."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.ndimage import uniform_filter
from torchmetrics.functional.image import peak_signal_noise_ratio

from polytask.core import DataError
from polytask.tasks.map import Map, nmse, psnr, ssim
from polytask.testing.tasks import check_task


def pictures(rows: int = 3, height: int = 20, width: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(rows, height, width, generator=torch.Generator().manual_seed(seed))


def column(values: np.ndarray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(values.reshape(len(values), -1)))])


@pytest.mark.parametrize("sizes", [(16, 16), (12, 9), (5, 4)])
def test_conformance(sizes: tuple[int, ...]) -> None:
    report = check_task("map", sizes)
    assert report.passed, report.failures()


def reference(x: np.ndarray, y: np.ndarray, largest: float) -> float:
    """Wang et al. 2004 with uniform windows, as scikit-image with `use_sample_covariance=False`."""

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(uniform_filter(values, 7)[3:-3, 3:-3])

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * largest) ** 2, (0.03 * largest) ** 2
    score = ((2 * mx * my + c1) * (2 * both + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(score.mean())


def test_ssim_is_wangs() -> None:
    target = pictures().double()
    image = target + 0.2 * pictures(seed=1).double()
    for found, x, y in zip(ssim(image, target), image.numpy(), target.numpy(), strict=True):
        assert float(found) == pytest.approx(reference(x, y, y.max()), abs=1e-9)
    torch.testing.assert_close(ssim(target, target), torch.ones(3, dtype=torch.float64))


def test_ssim_of_members_is_that_of_each() -> None:
    target, members = pictures(), torch.stack([pictures(seed=1), pictures(seed=2)])
    torch.testing.assert_close(ssim(members, target), torch.stack([ssim(member, target) for member in members]))


def test_psnr_and_nmse() -> None:
    target, image = pictures(), pictures(seed=1)
    for i in range(3):
        expected = peak_signal_noise_ratio(image[i], target[i], data_range=float(target[i].max()))
        torch.testing.assert_close(psnr(image, target)[i], expected)
    torch.testing.assert_close(nmse(2 * target, target), torch.ones(3))
    torch.testing.assert_close(nmse(0 * target, target), torch.ones(3))


def test_scores_do_not_depend_on_the_unit() -> None:
    target, image = pictures(), pictures(seed=1)
    for score in (ssim, psnr, nmse):
        torch.testing.assert_close(score(100 * image, 100 * target), score(image, target), rtol=1e-4, atol=1e-5)


def test_the_loss_is_mean_error_plus_dissimilarity() -> None:
    task, target, image = Map.example("image", (20, 16)), pictures(), pictures(seed=1)
    rows = task.row_losses(image, target, torch.ones(3, dtype=torch.bool))
    torch.testing.assert_close(rows, (image - target).abs().mean((1, 2)) + 1 - ssim(image, target))


def test_sizes_and_scale_are_learnt() -> None:
    values = pictures(height=6, width=6).numpy() * 7
    task = Map(name="image", columns=("image",)).fit([column(values)])
    assert task.output_shape == (6, 6)
    assert task.scale == pytest.approx(values.max((1, 2)).mean(), rel=1e-6)
    target, labelled = task.encode([column(values)])
    assert bool(labelled.all())
    back = task.decode(target)["image"]
    np.testing.assert_allclose(np.array(back.to_pylist()).reshape(3, 6, 6), values, rtol=1e-5)


def test_a_tensor_column_tells_its_sizes() -> None:
    values = pictures(height=4, width=9).numpy()
    tensors = pa.chunked_array([pa.FixedShapeTensorArray.from_numpy_ndarray(values)])
    assert Map(name="image", columns=("image",)).fit([tensors]).output_shape == (4, 9)
    assert Map(name="image", columns=("image",), height=4).fit([column(values)]).output_shape == (4, 9)


def test_images_with_gaps_have_no_label() -> None:
    task = Map.example("image", (2, 2))
    cells = pa.chunked_array([pa.array([[1.0, 2, 3, 4], None, [1.0, None, 3, 4], [1.0, float("nan"), 3, 4]])])
    target, labelled = task.encode([cells])
    assert labelled.tolist() == [True, False, False, False]
    assert not target[1:].any()


def test_faults() -> None:
    task = Map(name="image", columns=("image",))
    with pytest.raises(DataError, match="8 numbers are no 3 x 2 pixels"):
        task.fit([column(np.ones((2, 8)))])
    with pytest.raises(DataError, match="are no lists"):
        task.fit([pa.chunked_array([[1.0, 2.0]])])
    with pytest.raises(DataError, match="column 'image': holds empty lists"):
        task.fit([pa.chunked_array([pa.array([[], []], pa.list_(pa.float32()))])])
    with pytest.raises(DataError, match="all of its 2 cells are missing"):
        task.fit([pa.chunked_array([pa.nulls(2)])])
    with pytest.raises(DataError, match="not 2 x 2 numbers"):
        Map.example("image", (2, 2)).encode([column(np.ones((2, 8)))])
