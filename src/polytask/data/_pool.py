"""A pool of encoded rows in which the rows of several blocks mix."""

from collections.abc import Iterator

import numpy as np
import torch

from polytask.core import Batch
from polytask.core.batch import concat

from . import _memory

BYTES = 128_000_000
"""Of encoded rows in a pool, at most; mixing takes twice as much for a moment."""
MOST = 262_144
LEAST = 8192


def size_for(row_bytes: float) -> int:
    """Rows of a pool whose rows take so many bytes."""
    return int(np.clip(BYTES / max(row_bytes, 1), LEAST, MOST))


def batches(blocks: Iterator[Batch], size: int, rows: int, count: int, random: np.random.Generator) -> Iterator[Batch]:
    """The `rows` rows of the blocks in `count` batches, whose sizes differ by one at most.

    Blocks gather until the pool holds `size` rows. These are permuted, the first half leaves in batches, the rest stays to mix
    with the next blocks. So a row leaves soon, but with rows of many blocks before and after its own.
    """
    ends = np.arange(count + 1) * rows // count
    sizes = np.diff(ends).tolist()
    pool: list[Batch] = []
    done = held = came = 0
    for block in blocks:
        pool.append(block)
        held, came = held + len(block), came + len(block)
        if held < size and came < rows:
            continue
        mixed, order = concat(pool, held), torch.from_numpy(random.permutation(held))
        stays = 0 if came == rows else size // 2
        pool.clear()  # what was joined is not held twice
        at = 0
        while held > stays and sizes[done] <= held:
            yield mixed.index(order[at : at + sizes[done]])
            at, held, done = at + sizes[done], held - sizes[done], done + 1
        pool.append(mixed.index(order[at:]))
        del mixed
        _memory.release()
