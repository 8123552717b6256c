"""How many processor threads training takes: few, by the work of a step.

Threads that share small work wait for one another, and beside a busy neighbour that wait is many times the work itself:
`benchmarks/speed.py threads` measures it. The number follows from the network, the data and the options alone, never from how
busy the machine is, so that a run can be repeated to the bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor, nn

from polytask.core import Batch, Graph, Ragged, Record
from polytask.core.batch import Column

SHARE = 1e9
"""Multiply-adds a step beyond which one more thread is worth its waits."""
_ROWS = 64
_ALONG = (nn.modules.conv._ConvNd, nn.RNNBase, nn.MultiheadAttention)
"""What uses its weights at every place of an image or series."""


def work(module: nn.Module, batch: Batch, rows: int) -> int:
    """About how many multiply-adds a forward pass of `rows` rows takes, told by the weights and some rows of the data."""
    some = batch.inputs.index(torch.arange(min(len(batch), _ROWS)))
    places = max((_places(some[name]) for name in some), default=1)
    weights = 0
    for part in module.modules():
        own = sum(p.numel() for name, p in part.named_parameters(recurse=False) if "weight" in name)
        weights += own * (places if isinstance(part, _ALONG) else 1)
    return rows * weights


def _places(column: Column) -> int:
    """The pixels, samples or events of a row; 1 where it is plain values."""
    if isinstance(column, Tensor):
        return prod(column.shape[2:])
    if isinstance(column, Record):
        return max(map(_places, column.parts.values()), default=1)
    values = column.values if isinstance(column, Ragged) else column.x if isinstance(column, Graph) else None
    return 1 if values is None else -(-len(values) // max(1, len(column)))


def chosen(asked: int, work: int, most: int | None = None) -> int:
    """`asked`, where it is not 0; else one thread, and one more for each `SHARE` of work, up to `most` (None: torch's own)."""
    return asked or min(1 + int(work // SHARE), most or torch.get_num_threads())


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Inside, torch works on that many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
