"""What the report computes from predictions and gradients; no HTML here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform
from scipy.stats import norm

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
_Z = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Bin:
    """Rows whose predictions are alike: the mean prediction, what happened (with a 95 % interval), and how many they are."""

    predicted: float
    observed: float
    low: float
    high: float
    rows: int


def bins(values: Floats, most: int = 10, fewest: int = 20) -> list[NDArray[np.intp]]:
    """The rows in groups of about as many, by value: at most `most`, of at least `fewest` rows each; equal values stay together."""
    if not len(values):
        return []
    shares = np.linspace(0, 1, max(1, min(most, len(values) // fewest)) + 1)[1:-1]
    edges = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    place = np.searchsorted(edges, values, side="left")
    return [np.flatnonzero(place == group) for group in np.unique(place)]


def reliability(chance: Floats, happened: Flags, most: int = 10) -> list[Bin]:
    """Predicted chances against shares, in groups of as many rows; intervals are Wilson's (1927)."""
    found = []
    for rows in bins(chance, most):
        share, n = float(happened[rows].mean()), len(rows)
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * float(np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))) / (1 + _Z**2 / n)
        found.append(
            Bin(float(chance[rows].mean()), share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)), n)
        )
    return found


def calibration_error(found: Sequence[Bin]) -> float:
    """The expected calibration error: the mean distance of predicted and observed shares, weighted by rows; NaN without rows."""
    rows = sum(one.rows for one in found)
    return sum(one.rows * abs(one.predicted - one.observed) for one in found) / rows if rows else float("nan")


def mean_by_prediction(predicted: Floats, true: Floats, most: int = 10) -> list[Bin]:
    """Predicted numbers against the mean of the true ones, in groups of as many rows, with 95 % intervals of the mean."""
    found = []
    for rows in bins(predicted, most):
        mean, n = float(true[rows].mean()), len(rows)
        half = _Z * float(true[rows].std(ddof=1)) / float(np.sqrt(n)) if n > 1 else float("nan")
        found.append(Bin(float(predicted[rows].mean()), mean, mean - half, mean + half, n))
    return found


@dataclass(frozen=True)
class Curve:
    """A Kaplan-Meier curve: survival just after each time of an event, with 95 % limits (Greenwood, log-log scale)."""

    times: Floats
    survival: Floats
    low: Floats
    high: Floats

    def at(self, time: float) -> tuple[float, float, float]:
        """Survival at a time, with its limits."""
        place = int(np.searchsorted(self.times, time, side="right")) - 1
        return (1.0, 1.0, 1.0) if place < 0 else (float(self.survival[place]), float(self.low[place]), float(self.high[place]))


def kaplan_meier(times: Floats, events: Flags) -> Curve:
    """Kaplan and Meier (1958); at equal times, events come before censoring."""
    distinct = np.unique(times[events])
    deaths = np.array([np.sum(events & (times == time)) for time in distinct], dtype=float)
    at_risk = np.array([np.sum(times >= time) for time in distinct], dtype=float)
    survival = np.cumprod(1 - deaths / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.sqrt(np.cumsum(deaths / (at_risk * (at_risk - deaths))))
        logarithm = np.log(survival)
        half = _Z * greenwood / np.abs(logarithm)
        low, high = survival ** np.exp(half), survival ** np.exp(-half)
    certain = ~np.isfinite(low) | (survival <= 0)
    return Curve(distinct, survival, np.where(certain, survival, low), np.where(certain, survival, high))


def confusion(true: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Rows of each true class (down) by predicted class (across)."""
    found = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(found, (true, predicted), 1)
    return found


@dataclass(frozen=True)
class Conflict:
    """Cosines of the tasks' gradients. tasks: in an order that puts what pulls together side by side. epochs: those measured.

    cosine: (epochs, tasks, tasks), norm: (epochs, tasks); NaN where a task had no gradient. tree: merges as (first, second,
    cosine), where numbers from len(tasks) up name earlier merges; empty where a pair was never measured.
    """

    tasks: tuple[str, ...]
    epochs: tuple[int, ...]
    cosine: Floats
    norm: Floats
    tree: tuple[tuple[int, int, float], ...]

    @property
    def mean(self) -> Floats:
        """The mean over epochs, by pair."""
        return _nanmean(self.cosine)

    def pairs(self) -> list[tuple[str, str, float, float]]:
        """Each pair with its mean cosine and the share of epochs in which it was negative; what pulls apart most first."""
        found = []
        mean = self.mean
        for i in range(len(self.tasks)):
            for j in range(i):
                values = self.cosine[:, i, j]
                values = values[np.isfinite(values)]
                if len(values):
                    found.append((self.tasks[j], self.tasks[i], float(mean[i, j]), float((values < 0).mean())))
        return sorted(found, key=lambda pair: pair[2])


def conflict(frames: Sequence[pd.DataFrame]) -> Conflict | None:
    """The conflict of a run, or the mean of several (one a seed); None where nothing was measured.

    frames: columns stage, epoch, task, other, cosine, norm. Epochs of later stages count on from the earlier ones.
    """
    counted = [_counted(frame) for frame in frames if len(frame)]
    if not counted:
        return None
    rows = pd.concat(counted)
    tasks = list(dict.fromkeys(rows["task"]))
    epochs = sorted(rows["epoch"].unique())
    place = {name: number for number, name in enumerate(tasks)}
    cosine = np.full((len(epochs), len(tasks), len(tasks)), np.nan)
    norms = np.full((len(epochs), len(tasks)), np.nan)
    means = rows.groupby(["epoch", "task", "other"], sort=False)[["cosine", "norm"]].mean().reset_index()
    at = np.searchsorted(epochs, means["epoch"].to_numpy())
    first, second = means["task"].map(place).to_numpy(), means["other"].map(place).to_numpy()
    cosine[at, first, second] = means["cosine"].to_numpy()
    same = first == second
    norms[at[same], first[same]] = means["norm"].to_numpy()[same]
    order, tree = cluster(_nanmean(cosine))
    ordered = cosine[:, order][:, :, order]
    return Conflict(tuple(tasks[i] for i in order), tuple(int(epoch) for epoch in epochs), ordered, norms[:, order], tree)


def _nanmean(values: Floats) -> Floats:
    counts = np.isfinite(values).sum(0)
    mean: Floats = np.where(counts > 0, np.nansum(values, 0) / np.maximum(counts, 1), np.nan)
    return mean


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    last = frame.groupby("stage", sort=False)["epoch"].max()
    before = dict(zip(last.index, last.cumsum() - last, strict=True))
    return frame.assign(epoch=frame["epoch"] + frame["stage"].map(before))


def cluster(cosine: Floats) -> tuple[list[int], tuple[tuple[int, int, float], ...]]:
    """The order of tasks and the tree that average linkage of 1 - cosine gives; as they are where a pair is undefined."""
    count = len(cosine)
    if count < 3 or not np.isfinite(cosine).all():
        return list(range(count)), ((0, 1, float(cosine[0, 1])),) if count == 2 else ()
    distance = np.clip(1 - (cosine + cosine.T) / 2, 0, 2)
    np.fill_diagonal(distance, 0)
    condensed = squareform(distance, checks=False)
    merges = optimal_leaf_ordering(linkage(condensed, "average"), condensed)
    order = [int(leaf) for leaf in leaves_list(merges)]
    renamed = {leaf: number for number, leaf in enumerate(order)}
    tree = tuple((renamed.get(int(a), int(a)), renamed.get(int(b), int(b)), float(1 - height)) for a, b, height, _ in merges)
    return order, tree
