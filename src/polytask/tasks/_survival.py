"""What the two kinds of survival task share: (time, event) columns with right censoring, and concordance."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from polytask.core import DataError, Task, arrow, opt

from . import _cells, _classes

_TIED = 1e-8
_LATEST = 1e30
"""So that times stay finite in float32."""


@dataclass(frozen=True, kw_only=True)
class Censored(Task):
    """Targets are `(batch, 2)`: the time, and 1 where the event happened then, 0 where the row was last seen without it.

    A row needs both columns; with a time alone, or no event and no time, it is unlabelled.
    Events are told by `event`; else by True, 1, or a word that says so (yes, dead, died, event, ...).

    Errors: `DataError` for other than two columns, negative times, text in times, events without a time, event values that are
    neither yes nor no, and training rows without events or with one time only.
    """

    primary: ClassVar[str] = "c_index"

    event: bool | int | float | str | None = opt(None, "the value that means the event happened", ours="1, True or a word")

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Two columns: non-negative numbers with more than two different values, and one that says yes and no."""
        if len(columns) != 2:
            return False
        times, events = (arrow.plain(column) for column in columns)
        if not arrow.numeric(times) or arrow.count_distinct(times) <= 2 or arrow.count_distinct(events) != 2:
            return False
        known = {str(value).lower() for value in arrow.texts("", events).unique().drop_null().to_pylist()}
        return bool(known <= (_classes.YES | _classes.NO) and np.min(arrow.numbers("", times.drop_null(), most=np.inf)) >= 0)

    def fit(self, columns: list[pa.ChunkedArray]) -> "Censored":
        self.observed_events(columns)
        return self

    def observed_events(self, columns: list[pa.ChunkedArray]) -> arrow.Numbers:
        """The times of the events of training rows. Raises `DataError` where nothing can be learnt."""
        times, events, labelled = self._read(columns)
        found: arrow.Numbers = times[labelled & events]
        where = f"columns {self.columns[0]}:{self.columns[1]}"
        if not labelled.any():
            raise DataError.of(where, "no row has both a time and an event value", "Leave the task out")
        if not len(found):
            raise DataError.of(where, f"no event in {labelled.sum()} rows", self._naming())
        if times[labelled].min() == times[labelled].max():
            raise DataError.of(where, f"the time is constant: {found[0]:g}", "Declare the event alone as a binary task")
        return found

    def _read(self, columns: list[pa.ChunkedArray]) -> tuple[arrow.Numbers, arrow.Flags, arrow.Flags]:
        """Times (NaN: missing), events, and which rows have both."""
        if len(columns) != 2:
            problem = f"a {self.kind} task has two columns; got {len(columns)}"
            raise DataError.of(f"task '{self.name}'", problem, "Write time:event")
        (time_name, event_name), (time_cells, event_cells) = self.columns, map(arrow.plain, columns)
        times = _cells.targets(time_name, time_cells)
        arrow.check(time_name, time_cells, ~(times > _LATEST), "infinite or too large", "Correct them or leave them empty")
        arrow.check(time_name, time_cells, ~(times < 0), "negative times", "Correct them or leave them empty")
        events, known = self._events(event_name, event_cells)
        arrow.check(event_name, event_cells, ~(events & np.isnan(times)), "events without a time", "Add the times")
        return times, events, known & ~np.isnan(times)

    def _events(self, name: str, array: pa.Array) -> tuple[arrow.Flags, arrow.Flags]:
        cells = arrow.texts(name, array).fill_null("").to_numpy(zero_copy_only=False).astype(str)
        known = arrow.valid(array)
        if self.event is not None:
            return cells == _classes.text(self.event), known
        lower = np.char.lower(cells)
        events = np.isin(lower, list(_classes.YES))
        good = events | ~known | np.isin(lower, list(_classes.NO))
        order = "" if (good & known).any() else "Write time:event, in this order. "
        arrow.check(name, array, good, "neither yes nor no", order + self._naming())
        return events, known

    def _naming(self) -> str:
        declared = f"kind: {self.kind}, columns: [{', '.join(self.columns)}], event: 1"
        return f"Declare the value that means the event happened, as in {{{declared}}}"

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows 2"], Bool[Tensor, "rows"]]:
        times, events, labelled = self._read(columns)
        both = np.stack([times, events], axis=1)
        return torch.from_numpy(np.where(labelled[:, None], both, 0.0).astype(np.float32)), torch.from_numpy(labelled)

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows 2"]:
        times = 10 * torch.rand(rows, generator=generator)
        return torch.stack([times, torch.randint(0, 2, (rows,), generator=generator).float()], dim=1)


def c_index(risk: Float[Tensor, "rows"], target: Float[Tensor, "rows 2"]) -> Float[Tensor, ""]:
    """Harrell's concordance: of the pairs of which one is known to have its event first, the share in which it has the higher
    risk; equal risks (to 1e-8) count half. NaN where no pair is comparable.

    A pair with equal times is comparable where one of the two is censored, as in scikit-survival's
    `concordance_index_censored`. In O(n log^2 n): of two different keys, the highest bit in which they differ decides which is
    the larger, so for each bit one merge counts, for every key without it, the keys with it and the same higher bits.
    """
    risk = risk.double()
    event = target[:, 1] > 0
    key = 2 * target[:, 0].unique(return_inverse=True)[1] + (~event)  # at equal times, events come before the censored
    levels = risk.unique()
    own = torch.searchsorted(levels, risk)
    low, high = torch.searchsorted(levels, risk - _TIED), torch.searchsorted(levels, risk + _TIED, right=True)
    span = len(levels) + 1
    concordant, tied, pairs = (torch.zeros((), dtype=torch.int64, device=risk.device) for _ in range(3))
    for bit in range(int(key.max()).bit_length() if len(key) else 0):
        group = (key >> (bit + 1)) * span
        has = (key >> bit) & 1 == 1
        later = (group + own)[has].sort().values
        first = event & ~has
        start, below, upto, end = (
            torch.searchsorted(later, group[first] + offset) for offset in (0, low[first], high[first], span)
        )
        concordant += (below - start).sum()
        tied += (upto - below).sum()
        pairs += (end - start).sum()
    return (concordant.double() + 0.5 * tied.double()) / pairs


def integrated_brier(
    survival: Float[Tensor, "rows ends"], target: Float[Tensor, "rows 2"], ends: Float[Tensor, "ends"]
) -> Float[Tensor, ""]:
    """The Brier score of survival at the times `ends`, averaged over time by trapezoids; less is better.

    Rows are weighted by the inverse probability of censoring (Graf et al. 1999), whose Kaplan-Meier curve is that of the same
    rows. Only times before the last one seen count; NaN where there are fewer than two.
    """
    times, event = target[:, 0].double(), target[:, 1] > 0
    inside = ends < times.max()
    ends, survival = ends[inside].double(), survival[:, inside].double()
    if len(ends) < 2:
        return torch.tensor(torch.nan)
    at_end, at_time = (_uncensored(times, event, t) for t in (ends, times))
    died = (times[:, None] <= ends) & event[:, None]
    alive = times[:, None] > ends
    weight = torch.where(died, 1 / at_time.clamp(min=1e-12)[:, None], alive / at_end)
    score = (weight * (survival - alive.double()) ** 2).mean(0)
    return torch.trapezoid(score, ends) / (ends[-1] - ends[0])


def _uncensored(
    times: Float[Tensor, "rows"], event: Bool[Tensor, "rows"], at: Float[Tensor, "points"]
) -> Float[Tensor, "points"]:
    """Kaplan-Meier estimate of P(not censored until `at`): at equal times, events come before censoring."""
    distinct, place = times.unique(return_inverse=True)
    none = times.new_zeros(len(distinct))
    events, all_rows = none.index_add(0, place, event.to(times)), none.index_add(0, place, torch.ones_like(times))
    at_risk = all_rows.flip(0).cumsum(0).flip(0) - events
    curve = (1 - (all_rows - events) / at_risk.clamp(min=1)).cumprod(0)
    before = torch.searchsorted(distinct, at, right=True)
    return torch.cat([curve.new_ones(1), curve])[before]
