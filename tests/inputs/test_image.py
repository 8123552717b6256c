import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import DataError
from polytask.inputs import image as module
from polytask.inputs.image import Image

pillow = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYTASK_CACHE", str(tmp_path / "cache"))


def chunked(values):
    return pa.chunked_array([pa.array(values, pa.string())])


def write(path, pixels, **options):
    pillow.fromarray(np.asarray(pixels)).save(path, **options)
    return str(path)


def flat(*colour, height=8, width=8):
    return np.full((height, width, len(colour)), colour, np.uint8)


@pytest.mark.parametrize("extension", ["png", "bmp", "gif", "tif", "webp", "jpg"])
def test_formats_sizes_and_colours(tmp_path, extension):
    path = write(tmp_path / f"a.{extension}", flat(200, 100, 50, height=20, width=9))
    column, present = Image(name="x", size=5).encode(chunked([path]))
    assert column.shape == (1, 3, 5, 5)
    assert column.dtype == torch.uint8
    assert present.tolist() == [True]
    assert (column[0].float().mean((1, 2)) - torch.tensor([200.0, 100, 50])).abs().max() < 6


def test_grey_transparent_deep_and_turned_images(tmp_path):
    paths = [
        write(tmp_path / "grey.png", flat(90)[:, :, 0]),
        write(tmp_path / "transparent.png", flat(90, 90, 90, 0)),
        write(tmp_path / "deep.png", np.full((8, 8), 90 << 8, np.uint16)),
    ]
    column, _ = Image(name="x", size=2).encode(chunked(paths))
    assert (column == 90).all()
    grey, _ = Image(name="x", size=2, channels=1).encode(chunked(paths))
    assert grey.shape == (3, 1, 2, 2)
    assert (grey == 90).all()
    exif = pillow.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    halves = np.concatenate([flat(0, 0, 0), flat(255, 255, 255)])
    turned = write(tmp_path / "turned.png", halves, exif=exif)
    first = Image(name="x", size=4, channels=1).encode(chunked([turned]))[0][0, 0]
    assert first[:, 0].min() == 255
    assert first[:, -1].max() == 0


def test_relative_paths_repeated_files_and_empty_cells(tmp_path):
    write(tmp_path / "a.png", flat(1, 2, 3))
    write(tmp_path / "b.png", flat(4, 5, 6))
    column, present = Image(name="x", size=2, root=str(tmp_path)).encode(chunked(["b.png", None, "a.png", "b.png", " "]))
    assert present.tolist() == [True, False, True, True, False]
    assert column[:, 0, 0, 0].tolist() == [4, 0, 1, 4, 0]
    column, present = Image(name="x", size=2).encode(pa.chunked_array([pa.nulls(2)]))
    assert column.shape == (2, 3, 2, 2)
    assert not present.any()


def test_images_are_decoded_once_until_file_or_options_change(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", flat(1, 2, 3))
    calls = []
    read = module._read
    monkeypatch.setattr(module, "_read", lambda *args, **named: calls.append(args) or read(*args, **named))
    image = Image(name="x", size=2)
    first = image.encode(chunked([path, path]))[0]
    assert torch.equal(image.encode(chunked([path, path]))[0], first)
    assert len(calls) == 1
    Image(name="x", size=3).encode(chunked([path, path]))
    assert len(calls) == 2
    write(path, flat(7, 2, 3, height=30))
    assert image.encode(chunked([path, path]))[0][0, 0, 0, 0] == 7
    assert len(calls) == 3


def test_errors_name_all_rows_and_files(tmp_path, monkeypatch):
    good = write(tmp_path / "good.png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    write(tmp_path / "huge.png", flat(1, 2, 3, height=70, width=70))
    monkeypatch.setattr(module, "_MOST_PIXELS", 64 * 64)
    column = chunked(["good.png", None, "gone.png", "cut.png", "words.png", "huge.png", "empty.png", "a\0b.png", "gone.png"])
    with pytest.raises(DataError) as caught:
        Image(name="scan", size=4, root=str(tmp_path)).encode(column)
    said = str(caught.value)
    assert "column 'scan': 6 of 7 files cannot be read" in said
    assert f"row 2: '{tmp_path / 'gone.png'}' (no such file)" in said
    for row, name, why in [(3, "cut", ""), (4, "words", "cannot identify"), (5, "huge", "70 x 70 pixels are too many")]:
        assert f"row {row}: '{tmp_path / name}.png' ({why}" in said
    assert "set `root`" in said
    assert good not in said
    assert not list((tmp_path / "cache").glob("*"))
