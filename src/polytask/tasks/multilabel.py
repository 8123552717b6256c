"""Several answers of yes or no."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from polytask.core import DataError, Task, arrow, fitted, opt
from polytask.core.errors import collect

from . import _cells, _classes
from ._metrics import MeanOf, log_loss_of_two, over_classes


@dataclass(frozen=True, kw_only=True)
class Multilabel(Task):
    """A logit a label: a column of two values each (positive as of `binary`), or one column of lists of strings.

    Targets are `(batch, labels)`: 1, 0, or -1 where a column is missing in a row that has others. A row's loss is the mean
    binary cross-entropy of the labels that it has. A list that is there says no to the labels that it lacks.

    Errors: `DataError` where a column is constant, missing, has a value in one row only, or more than two values; where no
    label of the lists is in `min_rows` rows. In lists, labels that training rows do not teach are ignored, with a warning.
    """

    kind: ClassVar[str] = "multilabel"
    primary: ClassVar[str] = "auroc"
    rank: ClassVar[int] = 20

    min_rows: int = opt(2, "training rows that a label of the lists needs", ours="one row teaches nothing", ge=1)
    labels: tuple[str, ...] = fitted(())
    values: tuple[tuple[_classes.Value, _classes.Value], ...] = fitted(())
    """The negative and the positive value of each column; empty for lists."""

    @classmethod
    def recognises(cls, columns: list[pa.ChunkedArray]) -> bool:
        """Several columns of two values, or one of lists of strings."""
        if len(columns) == 1:
            kind = columns[0].type
            return arrow.is_list(kind) and arrow.is_text(kind.value_type)
        return all(arrow.count_distinct(arrow.plain(column)) == 2 for column in columns)

    def fit(self, columns: list[pa.ChunkedArray]) -> "Multilabel":
        if arrow.is_list(columns[0].type):
            return replace(self, labels=self._listed(arrow.plain(columns[0])), values=())
        values = []
        with collect(DataError) as faults:
            for name, column in zip(self.columns, columns, strict=True):
                with faults.gather():
                    values.append(_classes.two(name, arrow.plain(column)))
        return replace(self, labels=self.columns, values=tuple(values))

    def _listed(self, lists: pa.Array) -> tuple[str, ...]:
        name = self.columns[0]
        _cells.require_some(name, lists)
        rows = _pairs(name, lists).group_by("label").aggregate([("row", "count_distinct")])
        labels = rows.filter(pc.greater_equal(rows["row_count_distinct"], self.min_rows))["label"].to_pylist()
        if not labels:
            raise DataError.of(f"column '{name}'", f"no label is in {self.min_rows} training rows", "Leave the task out")
        return tuple(sorted(labels))

    def encode(self, columns: list[pa.ChunkedArray]) -> tuple[Float32[Tensor, "rows labels"], Bool[Tensor, "rows"]]:
        if not self.values:
            return self._encode_lists(arrow.plain(columns[0]))
        each = [_classes.encode(*column) for column in zip(self.columns, columns, self.values, strict=True)]
        target = torch.stack([torch.where(labelled, code, -1) for code, labelled in each], dim=1).float()
        return target, (target >= 0).any(1)

    def _encode_lists(self, lists: pa.Array) -> tuple[Float32[Tensor, "rows labels"], Bool[Tensor, "rows"]]:
        target = np.zeros((len(lists), len(self.labels)), dtype=np.float32)
        if arrow.is_list(lists.type):
            pairs = _pairs(self.columns[0], lists).combine_chunks()
            code = pc.index_in(pairs["label"], value_set=pa.array(self.labels, pa.large_string()))
            known = np.array(code.is_valid())
            if not known.all():
                ignored = pc.unique(pairs["label"].filter(pa.array(~known))).to_pylist()
                shown = ", ".join(map(repr, ignored[:5])) + (", ..." if len(ignored) > 5 else "")
                where = f"column '{self.columns[0]}'"
                warnings.warn(f"{where}: {len(ignored)} labels that no training row has are ignored ({shown})", stacklevel=2)
            target[np.array(pairs["row"])[known], np.array(code.drop_null())] = 1.0
        labelled = torch.from_numpy(arrow.valid(lists))
        return torch.from_numpy(target), labelled

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.labels),)

    def row_losses(
        self,
        output: Float[Tensor, "*members batch labels"],
        target: Float[Tensor, "batch labels"],
        labelled: Bool[Tensor, "batch"],
    ) -> Float[Tensor, "*members batch"]:
        known = target >= 0
        logits = output.float()
        losses = binary_cross_entropy_with_logits(logits, target.clamp(min=0).expand_as(logits), reduction="none")
        return torch.where(known, losses, 0.0).sum(-1) / known.sum(-1).clamp(min=1)

    def activate(self, output: Float[Tensor, "*output"]) -> Float[Tensor, "*output"]:
        return output.sigmoid()

    def metrics(self) -> Mapping[str, Metric]:
        return {
            "auroc": over_classes(binary_auroc),
            "average_precision": over_classes(binary_average_precision),
            "accuracy": MeanOf(lambda p, y: ((p >= 0.5) == (y == 1))[y >= 0].float()),
            "log_loss": MeanOf(lambda p, y: log_loss_of_two(p[y >= 0], y[y >= 0])),
        }

    def decode(self, prediction: Float[Tensor, "rows labels"]) -> dict[str, pa.Array]:
        """`{name}_{label}`, the likelier value of each column (of lists: True or False), and `{name}_{label}_probability`."""
        values = self.values or ((False, True),) * len(self.labels)
        columns = {}
        for label, pair, chance in zip(self.labels, values, prediction.unbind(-1), strict=True):
            columns[f"{self.name}_{label}"] = _classes.decode((chance >= 0.5).long(), pair)
            columns[f"{self.name}_{label}_probability"] = _cells.array(chance)
        return columns

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Multilabel":
        _cells.check_sizes(name, cls.kind, sizes, (1,))
        labels = tuple(f"label_{i}" for i in range(sizes[0]))
        return cls(name=name, columns=tuple(f"{name}_{label}" for label in labels), labels=labels, values=((0, 1),) * sizes[0])

    def example_target(self, rows: int, generator: torch.Generator) -> Float32[Tensor, "rows labels"]:
        return torch.randint(0, 2, (rows, len(self.labels)), generator=generator).float()


def _pairs(name: str, lists: pa.Array) -> pa.Table:
    """The labels in all lists, each with its row."""
    labels = arrow.texts(name, arrow.plain(pa.chunked_array([pc.list_flatten(lists)])))
    pairs = pa.table({"row": pc.list_parent_indices(lists), "label": labels})
    return pairs.filter(pc.is_valid(pairs["label"]))
