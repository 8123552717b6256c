"""Dynamic time warping of many pairs of series at once."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_CELLS = 2**18
"""Numbers that one step of the recurrence holds, about: they stay in the processor's cache."""


@torch.no_grad()
def dtw(
    queries: Float[Tensor, "channels queries points"],
    query_lengths: Int[Tensor, "queries"],
    others: Float[Tensor, "channels others points2"],
    other_lengths: Int[Tensor, "others"],
) -> Float[Tensor, "channels queries others"]:
    """The dynamic-time-warping distance of every query to every other series, channel by channel.

    `D[i, j] = (a_i - b_j)^2 + min(D[i-1, j], D[i, j-1], D[i-1, j-1])` (Sakoe and Chiba 1978, without weights or window); the
    distance is D at both ends, without a root. Series may have any length; what lies beyond it is not looked at. Without
    gradient.
    """
    channels, count, points = queries.shape
    found = queries.new_zeros(channels, count, others.shape[1])
    turn = max(1, _CELLS // max(1, channels * others.shape[1] * points))
    for rows in query_lengths.argsort().split(turn):  # alike in length: none waits for a longer one
        longest = int(query_lengths[rows].max())
        found[:, rows] = _dtw(queries[:, rows, :longest], query_lengths[rows], others, other_lengths)
    return found


def _dtw(
    a: Float[Tensor, "channels queries points"],
    a_lengths: Int[Tensor, "queries"],
    b: Float[Tensor, "channels others points2"],
    b_lengths: Int[Tensor, "others"],
) -> Float[Tensor, "channels queries others"]:
    """All pairs, one anti-diagonal `i + j = d` after another: cells of a diagonal do not depend on each other."""
    rows, columns = a.shape[2], b.shape[2]
    shape = (a.shape[1], a.shape[0], b.shape[1])
    # Row i of the matrix lies at i + 1, between rows that are out of reach.
    before, last, now = (torch.full((rows + 2, *shape), torch.inf, dtype=a.dtype, device=a.device) for _ in range(3))
    before[0] = 0.0  # the corner that the first cell comes from
    a = a.permute(2, 1, 0)[..., None]
    b = b.permute(2, 0, 1).flip(0)[:, None].contiguous()
    ends = (a_lengths[:, None] + b_lengths - 2)[:, None]
    each, reached = torch.arange(shape[0], device=a.device), torch.zeros(shape, dtype=a.dtype, device=a.device)
    for d in range(rows + columns - 1):
        low, high = max(0, d - columns + 1), min(d, rows - 1)
        cells = now[low + 1 : high + 2]
        torch.sub(a[low : high + 1], b[columns - 1 - d + low : columns - d + high], out=cells)
        cells.square_()
        best = torch.minimum(last[low : high + 1], last[low + 1 : high + 2])
        cells += torch.minimum(best, before[low : high + 1], out=best)
        now[low], now[high + 2] = torch.inf, torch.inf
        reached = torch.where(ends == d, now[a_lengths, each], reached)
        before, last, now = last, now, before
    return reached.transpose(0, 1)
