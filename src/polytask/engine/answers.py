"""Y of a `MultiTaskEstimator`: a table of labels on the way in, values and probabilities in Y's own form on the way out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from polytask.core import DataError, Task, nearest
from polytask.core.errors import collect
from polytask.data import infer, read

CLASSES = {"binary", "multiclass", "ordinal"}
"""The kinds of task whose value is one class."""
NUMBERS = {"regression", "count"}
"""The kinds of task whose value is a number that R2 can judge."""
_PLAIN = "biufSU"


@dataclass(frozen=True)
class Form:
    """How Y was given, so that predictions can be given back so.

    shape: a frame (also a dictionary), a matrix, or a vector (one column without a frame). types: the data type of each column.
    """

    shape: Literal["frame", "matrix", "vector"] = "frame"
    types: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"shape": self.shape, "types": {name: str(kind) for name, kind in self.types.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Form":
        """What `to_json` wrote; of an empty mapping, a frame of unknown types."""
        return cls(**values)

    def values(self, task: Task, prediction: Float[Tensor, "rows ..."]) -> dict[str, Any]:
        """The predicted value: one column, called as the task; of a multilabel task a column a label."""
        decoded = {name: column.to_pandas() for name, column in task.decode(prediction).items()}
        names = list(decoded)
        if task.kind in CLASSES:
            return {task.name: self._typed(task, decoded[task.name])}
        if task.kind in ("survival", "cox"):
            return {task.name: decoded[f"{task.name}_risk"]}
        if task.kind == "quantile":
            return {task.name: decoded[names[len(names) // 2]]}
        return {
            name: decoded[name] for name in (names[::2] if task.kind == "multilabel" else names)
        }  # probabilities lie between

    def _typed(self, task: Task, values: Any) -> Any:
        """Class values in the type of Y's column."""
        kind = self.types.get(task.columns[0])
        if self.shape == "frame":
            return values if kind is None else values.astype(kind)
        return np.asarray(values).astype(kind) if np.dtype(kind).kind in _PLAIN else np.asarray(values, dtype=object)

    def shaped(self, columns: Mapping[str, Any], index: Any = None) -> Any:
        """Predicted columns as Y was given; a frame has this index."""
        if self.shape == "frame":
            frame = pd.DataFrame(dict(columns))
            return frame if index is None else frame.set_axis(index)
        arrays = [np.asarray(column) for column in columns.values()]
        if self.shape == "vector" and len(arrays) == 1:
            return arrays[0]
        if len({array.dtype.kind in "biuf" for array in arrays}) > 1:
            arrays = [array.astype(object) for array in arrays]
        return np.column_stack(arrays)

    def classes(self, task: Task) -> NDArray[Any] | None:
        """The values of a task with classes, sorted; the labels of a multilabel task; else None."""
        if task.kind == "multilabel":
            return np.array(task.labels, dtype=object)  # type: ignore[attr-defined]
        if task.kind not in CLASSES:
            return None
        values = pd.Series(task.classes)  # type: ignore[attr-defined]
        typed = self._typed(task, values) if self.shape != "frame" else values
        return np.sort(np.asarray(typed))

    def probabilities(self, task: Task, prediction: Float[Tensor, "rows ..."]) -> NDArray[Any] | None:
        """The probability of each of `classes`."""
        if task.kind == "multilabel":
            return prediction.numpy()
        if task.kind not in CLASSES:
            return None
        found = prediction.numpy()
        if task.kind == "binary":
            found = np.concatenate([1 - found, found], axis=1)
        return np.take(found, np.argsort(np.array(task.classes)), axis=1)  # type: ignore[attr-defined]


def read_labels(y: Any, tasks: Any, name: str) -> tuple[pa.Table, dict[str, Any], Form]:
    """The columns of Y that `tasks` (None: all of them) are about, the declarations of the tasks, and Y's form.

    name: the estimator's, for scikit-learn's words. Raises `DataError` with all columns that Y lacks, and ValueError where Y is
    None, is no table, or has not as many columns as `tasks`.
    """
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    listed = [tasks] if isinstance(tasks, str) else tasks or ()
    declared = dict(listed) if isinstance(listed, Mapping) else dict.fromkeys(map(str, listed))
    wanted = [column for columns in infer.task_columns(declared).values() for column in columns]
    table, form = _read(y, list(dict.fromkeys(wanted)))
    if not declared:
        # A name with a colon would mean two columns.
        return table, {column: {"columns": [column]} if ":" in column else None for column in table.column_names}, form
    with collect(DataError) as faults:
        for column in wanted:
            if column not in table.column_names:
                faults.add("Y", f"no column '{column}'", nearest(column, table.column_names))
    return table.select(list(dict.fromkeys(wanted))), declared, form


def _read(y: Any, names: list[str]) -> tuple[pa.Table, Form]:
    """Y as a table; `names` are for the columns of an array, or a series."""
    if isinstance(y, pd.DataFrame):
        return read.table(y.reset_index(drop=True)), Form("frame", {str(column): y[column].dtype for column in y.columns})
    if isinstance(y, Mapping) or hasattr(y, "columns"):
        return read.table(y), Form()
    array = np.asarray(y)
    if array.dtype.kind not in "biuf" and not hasattr(y, "dtype"):
        array = np.array(y, dtype=object)  # numpy made strings of all cells of a list, of None and NaN too
    if array.ndim not in (1, 2):
        raise ValueError(f"y should be a 1d or 2d array, got an array of shape {array.shape} instead.")
    columns = [array] if array.ndim == 1 else list(array.T)
    default = [f"y{number}" for number in range(len(columns))] if array.ndim == 2 else [str(getattr(y, "name", None) or "y")]
    called = names or default
    if len(called) != len(columns):
        raise ValueError(f"y has {len(columns)} columns, but the tasks are of {len(called)}: {', '.join(called)}")
    shape: Literal["matrix", "vector"] = "vector" if array.ndim == 1 else "matrix"
    return read.table(dict(zip(called, columns, strict=True))), Form(shape, dict.fromkeys(called, array.dtype))
