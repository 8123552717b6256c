"""Irregular series as tensors: padded events, a grid of equal steps, and the causal convolutions that read it.

A series is a `Ragged` of events `(time, number of the variable, value)`, sorted by time, as the input kind `series` gives them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from polytask.core import Ragged


@dataclass(frozen=True)
class Events:
    """The events of a batch side by side, padded after each row's last one up to the longest row.

    time: in the unit of the data, 0 where padded. variable: its number. mask: what is an event.
    """

    time: Float[Tensor, "batch events"]
    variable: Int[Tensor, "batch events"]
    value: Float[Tensor, "batch events"]
    mask: Bool[Tensor, "batch events"]


@dataclass(frozen=True)
class Grid:
    """Points `step` apart for each row of a batch: `first`, `first + 1`, ... steps from zero, `length` of them."""

    step: float
    first: Int[Tensor, "batch"]
    length: Int[Tensor, "batch"]
    most: int
    """Points of the longest row."""

    @property
    def points(self) -> Float[Tensor, "batch points"]:
        """Each row's points, counted in steps; those beyond its length go on likewise."""
        return (self.first[:, None] + torch.arange(self.most, device=self.first.device)).float()


def pad(column: Ragged, present: Bool[Tensor, "batch"], most: int) -> Events:
    """The last `most` events of each row that is present; at least one place, so that nothing is empty."""
    lengths = torch.where(present, column.lengths, 0)
    kept = lengths.clamp(max=most)
    width = max(int(kept.max()), 1) if len(kept) else 1
    place = torch.arange(width, device=kept.device)
    mask = place < kept[:, None]
    index = torch.where(mask, (column.offsets[:-1] + lengths - kept)[:, None] + place, 0)
    values = column.values.float() if len(column.values) else column.values.new_zeros(1, 3)
    time, variable, value = torch.where(mask[..., None], values[index], 0.0).unbind(-1)
    return Events(time, variable.long(), value, mask)


def grid(events: Events, step: float, most: int) -> Grid:
    """The points 0, step, 2 step, ... up to each row's last event, from an earlier start where events lie before zero.

    A row with more points than `most` keeps the last `most`. A row without events has one point.
    """
    steps = (events.time / step).floor().long()
    last = torch.where(events.mask, steps, torch.iinfo(torch.int64).min).amax(1)
    last = torch.where(events.mask.any(1), last, 0)
    first = torch.maximum(torch.where(events.mask, steps, 0).amin(1).clamp(max=0), last + 1 - most)
    first = torch.minimum(first, last)  # all events may lie before zero
    length = last - first + 1
    return Grid(step, first, length, max(int(length.max()), 1) if len(length) else 1)


def carry_forward(events: Events, on: Grid, variables: int) -> Float[Tensor, "batch points variables"]:
    """Each variable's mean in `[point, point + step)`, the last one known where a step has none, 0 (the mean) before the first.

    Events before the first point count in it.
    """
    batch, points = len(events.time), on.most
    bin = ((events.time / on.step).floor().long() - on.first[:, None]).clamp(0, points - 1)
    place = (torch.arange(batch, device=bin.device)[:, None] * points + bin) * variables + events.variable
    weight = events.mask.float()
    sums, counts = (
        torch.zeros(batch * points * variables, device=bin.device).index_add(0, place.flatten(), part.flatten())
        for part in (events.value * weight, weight)
    )
    means = (sums / counts.clamp(min=1)).view(batch, points, variables)
    known = (counts > 0).view(batch, points, variables)
    steps = torch.arange(points, device=bin.device)[None, :, None]
    latest = torch.where(known, steps, -1).cummax(1).values
    return torch.where(latest >= 0, means.gather(1, latest.clamp(min=0)), 0.0)


def summary(column: Ragged, variables: int) -> Float[Tensor, "batch columns"]:
    """A series in plain columns: the last value, the mean and the logarithm of 1 + the count of each variable; else 0."""
    rows, device = len(column), column.offsets.device
    place = torch.arange(rows, device=device).repeat_interleave(column.lengths) * variables + column.values[:, 1].long()
    value = column.values[:, 2].float()
    nothing = torch.zeros(rows * variables, device=device)
    count = nothing.index_add(0, place, torch.ones_like(value))
    mean = nothing.index_add(0, place, value) / count.clamp(min=1)
    order = torch.arange(1, len(value) + 1, device=device)
    latest = torch.zeros_like(nothing, dtype=order.dtype).scatter_reduce(0, place, order, "amax")
    last = torch.cat([value.new_zeros(1), value])[latest]
    return torch.cat([part.view(rows, variables) for part in (last, mean, count.log1p())], dim=1)


class SeriesVector(nn.Module):
    """A series as one vector, for systems of tables: a linear layer on its `summary`."""

    def __init__(self, variables: int, width: int) -> None:
        super().__init__()
        self.variables = variables
        self.linear = nn.Linear(3 * variables, width)

    def forward(self, column: Ragged) -> Float[Tensor, "batch width"]:
        y: Tensor = self.linear(summary(column, self.variables))
        return y


class CausalConvolution(nn.Module):
    """`y_t = b + sum_j W_j x_(t - j dilation)` for j = 0 ... kernel - 1, zeros before the first step.

    One matrix product, which is several times as fast on a processor as a convolution over so few channels.
    """

    def __init__(self, inputs: int, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.kernel, self.dilation = kernel, dilation
        self.linear = nn.Linear(kernel * inputs, width)

    def forward(self, x: Float[Tensor, "batch points inputs"]) -> Float[Tensor, "batch points width"]:
        points = x.shape[1]
        shifted = [F.pad(x[:, : max(points - back, 0)], (0, 0, min(back, points), 0)) for back in self._backs]
        y: Tensor = self.linear(torch.cat(shifted, dim=2))
        return y

    @property
    def _backs(self) -> range:
        return range(0, self.kernel * self.dilation, self.dilation)


class TemporalBlock(nn.Module):
    """Twice causal convolution, ReLU, layer norm, dropout of whole channels; then the input is added, and ReLU.

    The layer norm is over the channels of a step. Deviation: the authors' code takes it over all steps too, by which a step
    sees later ones, and a row the padding of its batch.
    """

    def __init__(self, inputs: int, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(CausalConvolution(n, width, kernel, dilation) for n in (inputs, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = dropout
        self.skip = nn.Linear(inputs, width) if inputs != width else nn.Identity()

    def forward(self, x: Float[Tensor, "batch points inputs"]) -> Float[Tensor, "batch points width"]:
        y = x
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            y = norm(torch.relu(convolution(y)))
            if self.training and self.dropout:
                y = y * F.dropout(torch.ones_like(y[:, :1]), self.dropout)
        return torch.relu(y + self.skip(x))


class CausalTCN(nn.Module):
    """A temporal convolutional network: blocks of dilation 1, 2, 4, ...; an output depends on its own step and earlier ones.

    Bai, Kolter, Koltun, "An empirical evaluation of generic convolutional and recurrent networks for sequence modeling" (2018),
    https://arxiv.org/abs/1803.01271.
    """

    def __init__(self, inputs: int, width: int, levels: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        blocks = [TemporalBlock(width if b else inputs, width, kernel, 2**b, dropout) for b in range(levels)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Float[Tensor, "batch points inputs"]) -> Float[Tensor, "batch points width"]:
        y: Tensor = self.blocks(x)
        return y
