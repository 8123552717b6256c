"""Columns that give an answer away: near-perfect predictors by themselves, on training rows."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from polytask.core import Schema, Task, arrow

THRESHOLDS: Mapping[str, float] = {"auroc": 0.97, "r2": 0.95, "c_index": 0.97}
"""A column that alone reaches this is reported."""
ROWS = 10_000
"""Rows looked at, at most."""
PAIRED = 1000
"""Rows whose pairs make a concordance index, at most."""
FOLDS = 5
FEWEST = 10
"""Rows of a class, or labels of a task, below which a score means nothing."""
BINS = 100

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Leak:
    """A column that alone predicts a task; `missing`: which of its cells are missing suffices."""

    task: str
    column: str
    metric: str
    score: float
    missing: bool = False

    def __str__(self) -> str:
        what = f"whether '{self.column}' is missing" if self.missing else f"column '{self.column}'"
        return f"{what} alone predicts task '{self.task}' ({self.metric} {self.score:.3f}); is it known before the answer?"


def leaks(table: pa.Table, schema: Schema, rows: Int[Tensor, "train"]) -> list[Leak]:
    """The inputs that alone reach a threshold on a task, best first.

    An input's values, or its quantile bins, are coded; a row's score is the mean target of its code in the other folds of
    training rows. Scores are rated by AUROC (the mean over classes; of a multilabel task the best label's), R2, or for a
    survival task the concordance of the mean time, and the AUROC of the event.
    """
    random = np.random.default_rng(0)
    chosen = rows.cpu().numpy()
    if len(chosen) > ROWS:
        chosen = np.sort(random.choice(chosen, ROWS, replace=False))
    sample = table.take(pa.array(chosen))
    folds = random.integers(0, FOLDS, len(chosen))
    answers = [(name, answer) for name, task in schema.tasks.items() for answer in _answers(task, sample)]
    found = []
    for column in schema.inputs:
        cells = arrow.plain(sample[column])
        codes, absent = _codes(column, cells), (~arrow.valid(cells)).astype(np.int64)
        for task, answer in answers:
            score = answer.score(codes, folds)
            if score >= THRESHOLDS[answer.metric]:
                by_absence = answer.score(absent, folds) >= THRESHOLDS[answer.metric]
                found.append(Leak(task, column, answer.metric, score, by_absence))
    return sorted(found, key=lambda leak: -leak.score)


def _codes(name: str, cells: pa.Array) -> Codes:
    """A code for each value, or for each quantile bin of numbers; 0 is missing. Lists are there or missing."""
    valid = arrow.valid(cells)
    if pa.types.is_nested(cells.type) or not valid.any():
        return valid.astype(np.int64)
    if not arrow.numeric(cells):
        texts = arrow.texts(name, cells).dictionary_encode().indices.fill_null(-1)
        codes: Codes = texts.to_numpy(zero_copy_only=False).astype(np.int64) + 1
        return codes
    values = arrow.numbers(name, cells)
    known = np.unique(values[valid])
    if len(known) > BINS:
        bins = int(np.clip(valid.sum() // FEWEST, 2, BINS))
        known = np.unique(np.quantile(values[valid], np.linspace(0, 1, bins + 1))[:-1])
    return np.where(valid, np.searchsorted(known, np.where(valid, values, known[0]), side="right"), 0)


@dataclass(frozen=True)
class _Answer:
    """What a task asks: numbers, NaN where there is none, a column a class or label; for `c_index` times and events."""

    metric: str
    values: Floats
    best: bool = False

    def score(self, codes: Codes, folds: Codes) -> float:
        if self.metric == "c_index":
            return _c_index(self.values, codes, folds)
        scores = [_rate(self.metric, column, codes, folds) for column in self.values.T]
        return float((max if self.best else np.mean)(scores)) if scores else 0.0


def _answers(task: Task, sample: pa.Table) -> list[_Answer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what encoding has to say was said before
        target, labelled = task.encode([sample[column] for column in task.columns])
    values = target.numpy().astype(np.float64).reshape(len(target), -1)
    values[~labelled.numpy()] = np.nan
    if task.primary == "c_index":
        return [_Answer("c_index", values), _Answer("auroc", _frequent(values[:, 1:]))]
    if task.primary != "auroc":
        return [_Answer("r2", values)]
    if target.dim() == 2:
        return [_Answer("auroc", _frequent(np.where(values < 0, np.nan, values)), best=True)]
    classes = np.unique(values[labelled.numpy()])
    flags = values == (classes if len(classes) > 2 else classes[1:])
    return [_Answer("auroc", _frequent(np.where(np.isnan(values), np.nan, flags)))]


def _frequent(flags: Floats) -> Floats:
    """The columns with enough ones and enough zeros."""
    return flags[:, (np.nansum(flags, 0) >= FEWEST) & (np.nansum(1 - flags, 0) >= FEWEST)]


@dataclass(frozen=True)
class _Means:
    """Of each code in each fold: how many rows, the sum of their targets, and the mean target of the code in other folds."""

    count: Floats
    total: Floats
    score: Floats

    @classmethod
    def of(cls, y: Floats, codes: Codes, folds: Codes) -> "_Means":
        place, size = codes * FOLDS + folds, (int(codes.max()) + 1) * FOLDS
        sums = (np.bincount(place, weights, size).reshape(-1, FOLDS) for weights in (np.ones(len(y)), y))
        count, total = (part.astype(np.float64) for part in sums)
        others = count.sum(1, keepdims=True) - count
        return cls(count, total, (total.sum(1, keepdims=True) - total + y.mean()) / (others + 1))


def _rate(metric: str, y: Floats, codes: Codes, folds: Codes) -> float:
    has = ~np.isnan(y)
    if has.sum() < FEWEST:
        return 0.0
    means = _Means.of(y[has], codes[has], folds[has])
    if metric == "auroc":
        _, order = np.unique(means.score, return_inverse=True)
        ones = np.bincount(order.ravel(), means.total.ravel())
        zeros = np.bincount(order.ravel(), (means.count - means.total).ravel())
        return float((ones * (np.cumsum(zeros) - zeros / 2)).sum() / (ones.sum() * zeros.sum()))
    errors = (y[has] ** 2).sum() + (means.score * (means.score * means.count - 2 * means.total)).sum()
    spread = ((y[has] - y[has].mean()) ** 2).sum()
    return float(1 - errors / spread) if spread > 0 else 0.0


def _c_index(y: Floats, codes: Codes, folds: Codes) -> float:
    """Harrell's concordance of out-of-fold mean times with times and events."""
    has = ~np.isnan(y[:, 0])
    time, event, codes, folds = y[has, 0], y[has, 1], codes[has], folds[has]
    if event.sum() < FEWEST:
        return 0.0
    expected = _Means.of(time, codes, folds).score[codes, folds][:PAIRED]
    time, event = time[:PAIRED], event[:PAIRED]
    pairs = (time[:, None] < time) & (event[:, None] == 1)
    gain = (expected[:, None] < expected) + 0.5 * (expected[:, None] == expected)
    return float(gain[pairs].mean()) if pairs.any() else 0.0
