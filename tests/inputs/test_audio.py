import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import DataError
from polytask.inputs import audio as module
from polytask.inputs.audio import Audio, mel_bands

soundfile = pytest.importorskip("soundfile")
AUDIO = Audio(name="x", seconds=0.5, mels=40)


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYTASK_CACHE", str(tmp_path / "cache"))


def chunked(values):
    return pa.chunked_array([pa.array(values, pa.string())])


def tone(path, hertz, rate=16000, seconds=0.5, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate)
    return str(path)


def test_bands_are_triangles_that_share_each_frequency():
    bands = mel_bands(16000, 512, 20)
    assert bands.shape == (20, 257)
    assert bands.min() == 0
    peaks = bands.argmax(1)
    assert (np.diff(peaks) > 0).all()
    assert (np.diff(np.diff(peaks)) >= -1).all()  # wider towards the top
    np.testing.assert_allclose(bands[:, peaks[0] : peaks[-1]].sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("hertz", [500, 1500, 3500])
def test_a_tone_lies_in_the_band_of_its_frequency_whatever_the_file(tmp_path, hertz):
    paths = [
        tone(tmp_path / "a.wav", hertz),
        tone(tmp_path / "b.flac", hertz, rate=44100, channels=2),
        tone(tmp_path / "c.ogg", hertz, rate=8000),
        tone(tmp_path / "d.mp3", hertz, rate=48000),
    ]
    column, present = AUDIO.encode(chunked(paths))
    assert column.shape == (4, 1, 40, AUDIO.frames)
    assert present.all()
    band = mel_bands(16000, 512, 40)[:, round(hertz / 16000 * 512)].argmax()
    middle = column[:, 0, :, AUDIO.frames // 2]
    assert (middle.argmax(1) - int(band)).abs().max() <= 1


def test_long_sounds_are_cut_and_short_ones_padded(tmp_path):
    column, _ = AUDIO.encode(
        chunked([tone(tmp_path / "a.wav", 440, seconds=2), tone(tmp_path / "b.wav", 440, seconds=0.1), None])
    )
    assert column.shape == (3, 1, 40, AUDIO.frames)
    assert column.isfinite().all()
    assert column[1, 0, :, -1].max() < column[1, 0, :, 4].max() - 1
    assert column[2].unique().numel() == 1  # silence


def test_sounds_are_read_once(tmp_path, monkeypatch):
    column = chunked([tone(tmp_path / "a.wav", 440), None])
    first = AUDIO.encode(column)[0]
    monkeypatch.setattr(module, "_read", lambda path, **_: pytest.fail(f"{path} is read again"))
    assert torch.equal(AUDIO.encode(column)[0], first)


def test_errors_name_all_rows_and_files(tmp_path):
    (tmp_path / "words.wav").write_text("no sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    column = chunked([tone(tmp_path / "a.wav", 440), "words.wav", "gone.wav", "empty.wav"])
    with pytest.raises(DataError) as caught:
        Audio(name="cough", root=str(tmp_path)).encode(column)
    said = str(caught.value)
    assert "column 'cough': 3 of 4 files cannot be read" in said
    for row, name, why in [(1, "words", ""), (2, "gone", "no such file"), (3, "empty", "holds no samples")]:
        assert f"row {row}: '{tmp_path / name}.wav' ({why}" in said


def test_a_column_of_nulls_is_absent():
    column, present = AUDIO.encode(pa.chunked_array([pa.nulls(2)]))
    assert column.shape == (2, 1, 40, AUDIO.frames)
    assert not present.any()
