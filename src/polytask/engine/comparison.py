"""What a comparison found: scores with intervals, gains over one model a task, costs, and which model to ship."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from polytask.core import registry

from .statistics import Interval, interval, relative_gain

Key = tuple[str, str]
"""A system and a balancer."""


def label(system: str, balancer: str) -> str:
    """How people call it: a baseline has no balancer."""
    stem = Path(system).stem
    return stem if registry.is_baseline(system) else f"{stem} + {balancer}"


@dataclass(frozen=True)
class Result:
    """One trained cell of the grid."""

    system: str
    balancer: str
    seed: int
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    cost: Mapping[str, float]
    primary: Mapping[str, str]
    directions: Mapping[str, int]
    test_share: float
    folder: str

    def values(self, part: str) -> list[float]:
        """The primary metric of each task on `validation` or `test`."""
        return [self.scores[part].get(task, {}).get(metric, float("nan")) for task, metric in self.primary.items()]


@dataclass(frozen=True)
class Row:
    """A line of the leaderboard: a system with a balancer, over all seeds."""

    system: str
    balancer: str
    tasks: Mapping[str, Interval]
    """Primary test metric of each task."""
    gain: Interval
    """Delta_m over `single_task` on the test rows, in percent, paired by seed."""
    validation_gain: float
    """Mean Delta_m on the validation rows: what the choice is made by."""
    cost: Mapping[str, float]

    @property
    def key(self) -> Key:
        return self.system, self.balancer

    @property
    def name(self) -> str:
        return label(self.system, self.balancer)


@dataclass(frozen=True)
class Comparison:
    """The leaderboard, best validation gain first; `results` hold every cell behind it."""

    results: Sequence[Result]
    rows: Sequence[Row]
    reference: str
    primary: Mapping[str, str]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Systems that cannot learn these tasks, with the reason."""
    tuned: int = 0
    """Trials by which each system's options were chosen first, on the validation rows of seed 0; 0: none."""

    @classmethod
    def of(
        cls, results: Sequence[Result], reference: str, skipped: Mapping[str, str] | None = None, tuned: int = 0
    ) -> "Comparison":
        """Pair the results by seed with those of `reference` and sum them up."""
        cells: dict[Key, list[Result]] = {}
        for result in results:
            cells.setdefault((result.system, result.balancer), []).append(result)
        base = {r.seed: r for r in results if r.system == reference}
        rows = [_row(cell, base) for cell in cells.values()]
        rows.sort(key=lambda row: (math.isnan(row.validation_gain), -row.validation_gain))
        return cls(list(results), rows, reference, results[0].primary, skipped or {}, tuned)

    @property
    def winner(self) -> Key:
        """The system and balancer to ship: the best on the validation rows. Test rows choose nothing."""
        return self.rows[0].key

    def difference(self, first: Key, second: Key) -> Interval:
        """The paired difference of Delta_m on the test rows, `first` minus `second`, in percentage points."""
        base = {r.seed: r for r in self.results if r.system == self.reference}

        def gains(key: Key) -> dict[int, float]:
            return {r.seed: _gain(r, base, "test") for r in self.results if (r.system, r.balancer) == key}

        ours, theirs = gains(first), gains(second)
        return interval([ours[seed] - theirs[seed] for seed in ours], self.results[0].test_share)

    def verdict(self) -> list[str]:
        """Plain sentences: what to ship, how sure that is, and what a simpler choice would cost."""
        best = self.rows[0]
        sentences = [f"Ship {best.name}: it has the best mean gain on the validation rows ({best.validation_gain:+.2f} %)."]
        if best.system == self.reference:
            sentences = ["Ship single_task: no way of sharing was better on the validation rows. Keep one model a task."]
        elif registry.is_baseline(best.system):
            sentences.append(f"No shared network was better than the baseline '{best.system}' here.")
        if self.tuned:
            sentences.append(f"Every system was tuned first: {self.tuned} trials each, on the validation rows of seed 0.")
        sentences += [
            self._against(row) for row in self.rows[1:] if registry.is_baseline(row.system) and row.system != "majority"
        ]
        cheap = [row for row in self.rows[1:] if self._tied(row) and row.cost["bytes"] < best.cost["bytes"] / 2]
        if cheap:
            least = min(cheap, key=lambda row: row.cost["bytes"])
            share = least.cost["bytes"] / best.cost["bytes"]
            sentences.append(f"{least.name} is not told apart from it by these seeds, at {share:.0%} of its size.")
        return sentences + [f"{name} does not apply here: {reason}." for name, reason in self.skipped.items()]

    def _tied(self, row: Row) -> bool:
        difference = self.difference(self.winner, row.key)
        return row.system not in ("majority", "linear") and difference.low <= 0 <= difference.high

    def _against(self, row: Row) -> str:
        difference = self.difference(self.winner, row.key)
        told = "better" if difference.low > 0 else "worse" if difference.high < 0 else "not told apart"
        seeds = len({result.seed for result in self.results})
        limits = f"{seeds} seeds, 95 % interval {difference.low:+.2f} to {difference.high:+.2f}"
        how = f"{limits}): {told}" if seeds > 1 else "one seed, so no interval)"
        return f"On the test rows, against {row.name}: {difference.mean:+.2f} points of mean gain ({how}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is undefined is null."""
        found: dict[str, Any] = _defined(self._values())
        return found

    def _values(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "primary": dict(self.primary),
            "winner": list(self.winner),
            "verdict": self.verdict(),
            "skipped": dict(self.skipped),
            "tuned": self.tuned,
            "rows": [asdict(row) | {"name": row.name} for row in self.rows],
            "cells": [asdict(result) for result in self.results],
        }


def _defined(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _defined(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_defined(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _gain(result: Result, base: Mapping[int, Result], part: str) -> float:
    return relative_gain(result.values(part), base[result.seed].values(part), list(result.directions.values()))


def _row(cell: Sequence[Result], base: Mapping[int, Result]) -> Row:
    first, share = cell[0], cell[0].test_share
    values = [result.values("test") for result in cell]
    tasks = {name: interval([v[i] for v in values], share) for i, name in enumerate(first.primary)}
    gain = interval([_gain(result, base, "test") for result in cell], share)
    validation = [_gain(result, base, "validation") for result in cell]
    defined = [gain for gain in validation if not math.isnan(gain)]
    cost = {name: sum(result.cost[name] for result in cell) / len(cell) for name in first.cost}
    return Row(first.system, first.balancer, tasks, gain, sum(defined) / len(defined) if defined else math.nan, cost)
