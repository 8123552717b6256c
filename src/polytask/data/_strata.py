"""Iterative stratification over the labels of several tasks.

Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data", 2011, algorithm 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from polytask.core import Task, arrow

BINS = 10
"""Quantile bins of a column with more different numbers than classes are likely to be."""
CLASSES = 20
"""Numbers with at most so many different values are taken as they are."""
LABELS = 50
"""Strings of a column of lists that are kept in proportion."""
_MOST = 1e100


def of(table: pa.Table, tasks: Mapping[str, Task]) -> NDArray[np.int64]:
    """A matrix `(rows, columns of all tasks)`: the stratum of each label, no two columns sharing one.

    A missing label is a stratum. A task of two columns (time and event) adds the stratum of both at once.
    """
    columns: list[NDArray[np.int64]] = [np.zeros(table.num_rows, dtype=np.int64)]
    for task in tasks.values():
        own = [codes for name in task.columns for codes in _codes(name, table[name])]
        columns += own
        if len(own) == 2:
            columns.append(own[0] * (own[1].max(initial=0) + 1) + own[1])
    starts, after = [], 0
    for number, codes in enumerate(columns):
        _, columns[number] = np.unique(codes, return_inverse=True)
        starts.append(after)
        after += int(columns[number].max(initial=-1)) + 1
    strata: NDArray[np.int64] = np.stack(columns, axis=1) + np.array(starts)
    return strata


def _codes(name: str, column: pa.ChunkedArray) -> list[NDArray[np.int64]]:
    """Classes, or quantile bins, by number, 0 where there is none; for lists of strings, a column for each frequent string."""
    cells = arrow.plain(column)
    valid = arrow.valid(cells)
    if arrow.is_list(cells.type) and arrow.is_text(cells.type.value_type):
        return [valid.astype(np.int64), *_members(cells)]
    if pa.types.is_nested(cells.type) or not valid.any():
        return [valid.astype(np.int64)]
    if not arrow.numeric(cells):
        encoded = cells.dictionary_encode().indices.fill_null(-1)
        return [encoded.to_numpy(zero_copy_only=False).astype(np.int64) + 1]
    values = arrow.numbers(name, cells, most=np.inf).clip(-_MOST, _MOST)  # infinities are told when the task is fitted
    known = np.unique(values[valid])
    if len(known) > CLASSES:
        known = np.unique(np.quantile(values[valid], np.linspace(0, 1, BINS + 1))[:-1])
    return [np.where(valid, np.searchsorted(known, np.where(valid, values, known[0]), side="right"), 0)]


def _members(lists: pa.Array) -> NDArray[np.int64]:
    """A row for each of the most frequent strings: 1 in the columns of the lists that hold it."""
    strings = lists.flatten().dictionary_encode()
    codes, parents = strings.indices.fill_null(-1).to_numpy(), pc.list_parent_indices(lists).to_numpy()
    often = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(strings.dictionary)), kind="stable")[:LABELS]
    members = np.zeros((len(strings.dictionary) + 1, len(lists)), dtype=np.int64)
    members[codes, parents] = 1
    return members[often]


def divide(strata: NDArray[np.int64], shares: Sequence[float], random: np.random.Generator) -> NDArray[np.int64]:
    """Each row's part, with the rows of every stratum near the shares; rows of rare strata are placed first.

    The rows of the rarest stratum go to the part that lacks most of that stratum, one by one; the order of those choices
    does not depend on the rows, so whole strata are placed at once. Deviation: ties go to the part that lacks most rows as the
    stratum starts, not anew after each row.
    """
    rows, parts = len(strata), np.full(len(strata), -1)
    counts = np.bincount(strata.ravel())
    left = counts.copy()
    lacking = np.outer(shares, counts)
    total = np.array(shares) * rows
    column_of = np.zeros(len(counts), dtype=np.int64)
    column_of[strata.ravel()] = np.tile(np.arange(strata.shape[1]), rows)
    while left.any():
        rarest = int(np.where(left > 0, left, rows + 1).argmin())
        own = random.permutation(np.flatnonzero((strata[:, column_of[rarest]] == rarest) & (parts < 0)))
        given = _largest(lacking[:, rarest], total, len(own))
        parts[own] = np.repeat(np.arange(len(shares)), given)
        left -= np.bincount(strata[own].ravel(), minlength=len(counts))
        for part in range(len(shares)):
            lacking[part] -= np.bincount(strata[own[parts[own] == part]].ravel(), minlength=len(counts))
        total -= given
    return parts


def _largest(lacking: NDArray[np.float64], total: NDArray[np.float64], rows: int) -> NDArray[np.int64]:
    """How many of `rows` go to each part, if each in turn goes to the part that lacks most."""
    parts = np.repeat(np.arange(len(lacking)), rows)
    wants = lacking[parts] - np.tile(np.arange(rows), len(lacking))
    order = np.lexsort((-total[parts], -wants.round(9)))
    return np.bincount(parts[order[:rows]], minlength=len(lacking))
