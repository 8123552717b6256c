"""A moment: timestamps, dates, or ISO 8601 strings."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from polytask.core import DataError, Input, arrow, fitted

from ._example import check_sizes

_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?)?$"
_DAY = 86400.0
_FAR = 10.0
"""Linear time ends here: a mistyped century does not dwarf every other input."""


@dataclass(frozen=True, kw_only=True)
class DateTime(Input):
    """A moment; the column is float32 `(rows, size)`, zeros where it is absent.

    The first number is time on the training rows' scale (mean 0, deviation 1). Then come the sine and cosine of each of the
    `cycles` in which training rows vary: the time of day, the weekday, the day of the year.

    Moments with a timezone are read on the wall clock of the training column's timezone (UTC for strings with an offset);
    moments without one are read as they stand.

    Errors: `DataError` names the rows whose strings are no ISO 8601 date.
    """

    kind: ClassVar[str] = "datetime"
    rank: ClassVar[int] = 40

    timezone: str = fitted("")
    mean: float = fitted(0.0)
    """Seconds since 1970."""
    deviation: float = fitted(1.0)
    cycles: tuple[str, ...] = fitted(())

    @property
    def size(self) -> int:
        """Numbers a row."""
        return 1 + 2 * len(self.cycles)

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Timestamps, dates, and strings of which 99 % are ISO 8601."""
        array = arrow.plain(column)
        if arrow.is_text(array.type):
            return arrow.all_cells(array, lambda cells: pc.match_substring_regex(cells, _ISO), 0.99)
        moments = pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)
        return bool(moments) and array.null_count < len(array)

    def fit(self, column: pa.ChunkedArray) -> "DateTime":
        array = arrow.plain(column)
        zone = (array.type.tz or "") if pa.types.is_timestamp(array.type) else ""
        seconds = _seconds(self.name, array, zone)
        seconds = seconds[~np.isnan(seconds)]
        if not len(seconds):
            return replace(self, timezone=zone)
        cycles = tuple(name for name, turn in _turns(seconds).items() if turn.min() < turn.max())
        deviation = float(seconds.std()) if seconds.min() < seconds.max() else 1.0
        return replace(self, timezone=zone, mean=float(seconds.mean()), deviation=deviation, cycles=cycles)

    def encode(self, column: pa.ChunkedArray) -> tuple[Float[Tensor, "rows size"], Bool[Tensor, "rows"]]:
        seconds = _seconds(self.name, arrow.plain(column), self.timezone)
        present = ~np.isnan(seconds)
        known = np.where(present, seconds, self.mean)
        turns = _turns(known)
        features = [np.clip((known - self.mean) / self.deviation, -_FAR, _FAR)]
        for cycle in self.cycles:
            features += [np.sin(2 * math.pi * turns[cycle]), np.cos(2 * math.pi * turns[cycle])]
        stacked = np.where(present[:, None], np.stack(features, axis=1), 0.0).astype(np.float32)
        return torch.from_numpy(stacked), torch.from_numpy(present)

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "DateTime":
        check_sizes(name, sizes, not sizes, "datetime")
        return cls(name=name, mean=1.6e9, deviation=365.25 * _DAY, cycles=("day", "week", "year"))

    def example_column(self, rows: int, generator: torch.Generator) -> Float[Tensor, "rows size"]:
        angles = 2 * math.pi * torch.rand(rows, len(self.cycles), generator=generator)
        waves = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
        return torch.cat([torch.randn(rows, 1, generator=generator), waves], dim=1)


def _seconds(name: str, array: pa.Array, zone: str) -> Float64[np.ndarray, "rows"]:
    """Seconds since 1970 on the wall clock, NaN where the cell is null."""
    kind = array.type
    if arrow.is_text(kind):
        parsed = pd.to_datetime(array.to_pandas(), format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
        good = pc.or_(pa.array(parsed.notna().to_numpy()), pc.is_null(array))
        arrow.check(name, array, np.asarray(good), "no dates", "Write ISO 8601, as in 2026-01-31 or 2026-01-31T18:05:00")
        array = pa.array(parsed.to_numpy())
    elif pa.types.is_timestamp(kind) and kind.tz:
        array = pc.local_timestamp(array.cast(pa.timestamp("us", zone or "UTC"), safe=False))
    elif not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        raise DataError.of(f"column '{name}'", f"cells of type {kind} are not dates", "Declare it as another kind")
    micros = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
    seconds: Float64[np.ndarray, "rows"] = pc.divide(micros, 1e6).fill_null(math.nan).to_numpy()
    return seconds


def _turns(seconds: Float64[np.ndarray, "rows"]) -> dict[str, Float64[np.ndarray, "rows"]]:
    """How much of each cycle has gone by, 0 to 1: of the day, and in whole days of the week (from Monday) and the year."""
    days = np.floor(seconds / _DAY)
    dates = days.astype("datetime64[D]")
    day_of_year = (dates - dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.float64)
    # 1 January 1970 was a Thursday.
    return {"day": seconds / _DAY - days, "week": (days + 3) % 7 / 7, "year": day_of_year / 366}
