"""A continuous action: what an expert did at an observation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torchmetrics import Metric

from polytask.core import DataError, Task, arrow, fitted
from polytask.core.errors import collect

from . import _cells
from ._metrics import R2, MeanOf

_SMALLEST = 1e-3
"""The least root mean square by which errors are divided: an expert that hardly acts."""
_ROUNDING = 1e-6
"""How far beyond [-1, 1] an action may be written."""
_EXAMPLE = 0.7
"""The largest action of the example."""


@dataclass(frozen=True, kw_only=True)
class Control(Task):
    """A vector of `actions` numbers in [-1, 1]: a column of numbers for each, or one column of lists of one length.

    Outputs are taken through tanh. The loss is the squared error to the logged action (behaviour cloning) over the mean square
    of the training actions, so that tasks of gentle and of rough actions weigh alike. A row that lacks a number has no label.

    Errors: `DataError` for actions beyond [-1, 1], lists of unequal length, text, and columns without any action.
    """

    kind: ClassVar[str] = "control"
    primary: ClassVar[str] = "r2"

    actions: int = fitted(1)
    size: float = fitted(1.0)
    """The root mean square of the training actions."""

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Never: numbers in [-1, 1] may be anything, so actions are declared."""
        return False

    def fit(self, columns: list[pa.ChunkedArray]) -> "Control":
        cells = [arrow.plain(column) for column in columns]
        for name, array in zip(self.columns, cells, strict=True):
            _cells.require_some(name, array)
        listed = len(cells) == 1 and arrow.is_list(cells[0].type)
        actions = int(pc.mode(pc.list_value_length(cells[0]))[0]["mode"].as_py()) if listed else len(cells)
        if not actions:
            raise DataError.of(f"column '{self.columns[0]}'", "holds empty lists", "Give each row an action")
        task = replace(self, actions=actions)
        target, labelled = task.encode(columns)
        mean_square = float((target[labelled] ** 2).mean()) if labelled.any() else 1.0
        return replace(task, size=max(mean_square**0.5, _SMALLEST))

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows actions"], Bool[Tensor, "rows"]]:
        cells = [arrow.plain(column) for column in columns]
        if len(cells) == 1 and arrow.is_list(cells[0].type):
            values = self._listed(self.columns[0], cells[0])
        else:
            values = np.stack([_bounded(*column) for column in zip(self.columns, cells, strict=True)], axis=1)
        if values.shape[1] != self.actions:  # a table without the task's list column has one column of nulls
            values = np.full((len(values), self.actions), np.nan)
        labelled = ~np.isnan(values).any(1)
        target = np.where(labelled[:, None], values, 0.0).clip(-1, 1).astype(np.float32)
        return torch.from_numpy(target), torch.from_numpy(labelled)

    def _listed(self, name: str, lists: pa.Array) -> Float[np.ndarray, "rows actions"]:
        good = pc.fill_null(pc.equal(pc.list_value_length(lists), self.actions), True)
        arrow.check(name, lists, np.asarray(good), f"not of length {self.actions}", "Give each row an action of one length")
        values = np.full((len(lists), self.actions), np.nan)
        inner = arrow.plain(pa.chunked_array([lists.drop_null().flatten()]))
        rows = np.repeat(np.flatnonzero(arrow.valid(lists)), self.actions)
        with collect(DataError) as faults, faults.gather(rows.tolist()):  # a faulty number is called by its row
            values[arrow.valid(lists)] = _bounded(name, inner).reshape(-1, self.actions)
        return values

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.actions,)

    def row_losses(
        self,
        output: Float[Tensor, "*members batch actions"],
        target: Float[Tensor, "batch actions"],
        labelled: Bool[Tensor, "batch"],
    ) -> Float[Tensor, "*members batch"]:
        return ((output.float().tanh() - target) ** 2).mean(-1) / self.size**2

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output.tanh()

    def metrics(self) -> Mapping[str, Metric]:
        return {"r2": R2(), "mse": MeanOf(lambda p, y: (p - y) ** 2)}

    def decode(self, prediction: Float[Tensor, "rows actions"]) -> dict[str, pa.Array]:
        """`{name}`: the action; a column of lists where it was one; of several columns `{name}_{column}` each."""
        if len(self.columns) > 1:
            each = zip(self.columns, prediction.unbind(-1), strict=True)
            return {f"{self.name}_{column}": _cells.array(values) for column, values in each}
        flat = _cells.array(prediction.flatten())
        return {self.name: flat if self.actions == 1 else pa.FixedSizeListArray.from_arrays(flat, self.actions)}

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Control":
        _cells.check_sizes(name, cls.kind, sizes, (1,))
        return cls(name=name, columns=(name,), actions=sizes[0], size=_EXAMPLE * 0.5**0.5)

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows actions"]:
        return _EXAMPLE * torch.sin(10 * torch.rand(rows, self.actions, generator=generator))


def _bounded(name: str, cells: pa.Array) -> arrow.Numbers:
    """Cells as numbers. Raises `DataError` naming those beyond [-1, 1]."""
    values = _cells.targets(name, cells)
    good = np.isnan(values) | (np.abs(values) <= 1 + _ROUNDING)
    if not good.all() and len(values):
        arrow.check(name, cells, good, "beyond [-1, 1]", "Divide actions by their largest size")
    return values
