"""A sound a row, named by the path of its file."""

from dataclasses import dataclass, replace
from functools import partial
from math import ceil, gcd
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32
from scipy.signal import resample_poly
from torch import Tensor

from polytask.core import Input, MissingExtra, opt

from . import _files
from ._example import check_sizes

_VERSION = 1
"""Raised when sounds are computed differently, so that what the cache holds is not used."""


@dataclass(frozen=True, kw_only=True)
class Audio(Input):
    """A sound as a log-mel spectrogram; the column is float32 `(rows, 1, mels, frames)`, silence where it is absent.

    The mean of all channels, resampled to `rate`, cut or padded with silence after `seconds`; windows of 25 ms, a frame
    every 10 ms. Loudness is scaled as Whisper does (Radford et al. 2022): log10 of the power, 8 below the sound's loudest at
    least, plus 4, over 4. Computed once: the result is kept on the disk.

    Errors: `DataError` names the rows and files that are missing, damaged or empty; `MissingExtra` without soundfile.
    """

    kind: ClassVar[str] = "audio"
    rank: ClassVar[int] = 11
    channels: ClassVar[int] = 1

    rate: int = opt(16000, "samples a second", ours="enough for speech", ge=1000)
    seconds: float = opt(2.0, "length that is heard, from the start", ours="short clips", gt=0)
    mels: int = opt(64, "mel bands", ours="usual for small networks", ge=1)
    root: str = opt("", "the folder that relative paths start from", ours="the folder of the data file")

    @property
    def frames(self) -> int:
        """Columns of the spectrogram."""
        return round(self.seconds * self.rate) // (self.rate // 100) + 1

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Strings of which 90 % end like a sound file."""
        return _files.have_extension(column, ("wav", "flac", "ogg", "mp3"))

    def fit(self, column: pa.ChunkedArray) -> "Audio":
        return self  # nothing to learn; unreadable files show when they are encoded

    def encode(self, column: pa.ChunkedArray) -> tuple[Float[Tensor, "rows 1 mels frames"], Bool[Tensor, "rows"]]:
        _soundfile()
        settings = ["audio", _VERSION, self.rate, self.seconds, self.mels]
        samples = round(self.seconds * self.rate)
        blank = log_mel(np.zeros(samples, np.float32), self.rate, self.mels)
        read = partial(_read, rate=self.rate, samples=samples, mels=self.mels)
        return _files.decode(self.name, column, self.root, settings, read, blank)

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Audio":
        check_sizes(name, sizes, len(sizes) == 2 and sizes[1] > 1, "audio 32 20")
        return replace(cls(name=name), mels=sizes[0], seconds=(sizes[1] - 1) / 100)

    def example_column(self, rows: int, generator: torch.Generator) -> Float[Tensor, "rows 1 mels frames"]:
        return torch.randn(rows, 1, self.mels, self.frames, generator=generator)


def log_mel(samples: Float32[np.ndarray, "samples"], rate: int, mels: int) -> Float32[np.ndarray, "1 mels frames"]:
    """The scaled log-mel spectrogram of a sound."""
    window, hop = rate // 40, rate // 100
    size = max(512, 1 << (window - 1).bit_length())
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (size // 2, size // 2))
    spectrum = torch.stft(
        padded, size, hop, window, torch.hann_window(window), center=False, return_complex=True
    )  # fmt: skip
    power = torch.from_numpy(mel_bands(rate, size, mels)) @ spectrum.abs().square()
    loudness = power.clamp(min=1e-10).log10()
    scaled: Float32[np.ndarray, "1 mels frames"] = ((loudness.maximum(loudness.max() - 8) + 4) / 4)[None].numpy()
    return scaled


def mel_bands(rate: int, size: int, mels: int) -> Float32[np.ndarray, "mels frequencies"]:
    """Triangles, evenly spaced in mels (2595 log10(1 + f / 700), O'Shaughnessy 1987) up to half the rate, over FFT bins."""
    frequencies = np.linspace(0, rate / 2, size // 2 + 1)
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    lower, middle, upper = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (frequencies - lower) / (middle - lower), (upper - frequencies) / (upper - middle)
    bands: Float32[np.ndarray, "mels frequencies"] = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return bands


def _soundfile() -> None:
    try:
        import soundfile  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("kind 'audio'", f"needs the package '{error.name}'", "pip install 'polytask[audio]'") from error


def _read(path: Path, rate: int, samples: int, mels: int) -> Float32[np.ndarray, "1 mels frames"]:
    import soundfile

    with path.open("rb") as file, soundfile.SoundFile(file) as sound:
        wanted = ceil(samples / rate * sound.samplerate) + sound.samplerate // 100
        wave = sound.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
        divisor = gcd(rate, sound.samplerate)
        up, down = rate // divisor, sound.samplerate // divisor
    if not len(wave):
        raise ValueError("holds no samples")
    if not np.isfinite(wave).all():
        raise ValueError("holds samples that are infinite or no numbers")
    heard = resample_poly(wave, up, down)[:samples].astype(np.float32)
    return log_mel(np.pad(heard, (0, samples - len(heard))), rate, mels)
