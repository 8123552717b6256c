"""Means, paired differences and their intervals over repeated splits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; NaN limits where there are fewer than two values."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def interval(values: Sequence[float], test_share: float = 0.0, level: float = 0.95) -> Interval:
    """The t interval of the mean of values from repeated random splits (undefined values are left out).

    Training parts of repeated splits overlap, so the values are not independent; their variance is multiplied by
    `1/n + test/train` in place of `1/n` (Nadeau and Bengio 2003, "Inference for the generalization error").
    `test_share`: test rows / training rows; 0 for independent values.
    """
    defined = np.asarray([value for value in values if not math.isnan(value)], dtype=float)
    n = len(defined)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(defined.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan)
    error = math.sqrt(float(defined.var(ddof=1)) * (1 / n + test_share))
    half = float(student.ppf(0.5 + level / 2, n - 1)) * error
    return Interval(mean, mean - half, mean + half)


def relative_gain(values: Sequence[float], reference: Sequence[float], directions: Sequence[int]) -> float:
    """Delta_m: the mean over tasks of the relative gain over the reference, in percent (Maninis et al. 2019, equation 4).

    Tasks whose metric is undefined on either side are left out.
    """
    gains = [
        100 * direction * (value - base) / abs(base)
        for value, base, direction in zip(values, reference, directions, strict=True)
        if not (math.isnan(value) or math.isnan(base)) and base != 0
    ]
    return sum(gains) / len(gains) if gains else math.nan
