"""Actions: read from numbers or lists, bounded, and scored as they are written."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import DataError
from polytask.tasks.control import Control
from polytask.testing.tasks import check_task


def chunked(values: list[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize("actions", [1, 3])
def test_conformance(actions: int) -> None:
    report = check_task("control", (actions,))
    assert report.passed, str(report)


def test_numbers_and_lists_give_the_same_targets() -> None:
    left, right = [0.5, None, -1.0, 1.0], [0.0, 0.25, None, -0.75]
    two = Control(name="y", columns=("a", "b")).fit([chunked(left), chunked(right)])
    lists = [[a, b] if a is not None else None for a, b in zip(left, right, strict=True)]
    one = Control(name="y", columns=("a",)).fit([chunked(lists)])
    assert two.actions == one.actions == 2
    assert two.size == one.size == pytest.approx(((0.5**2 + 1 + 0.75**2) / 4) ** 0.5)
    for task, columns in ((two, [chunked(left), chunked(right)]), (one, [chunked(lists)])):
        target, labelled = task.encode(columns)
        assert labelled.tolist() == [True, False, False, True]
        assert target[labelled].tolist() == [[0.5, 0.0], [1.0, -0.75]]


def test_fixed_size_lists_and_a_missing_column() -> None:
    lists = pa.chunked_array([pa.FixedSizeListArray.from_arrays(pa.array([0.1, 0.2, -0.3, 0.4]), 2)])
    task = Control(name="y", columns=("a",)).fit([lists])
    assert task.encode([lists])[0].numpy() == pytest.approx(np.array([[0.1, 0.2], [-0.3, 0.4]]))
    target, labelled = task.encode([pa.chunked_array([pa.nulls(3)])])
    assert target.shape == (3, 2)
    assert not labelled.any()


def test_faults_name_the_rows() -> None:
    task = Control(name="y", columns=("a",))
    with pytest.raises(DataError, match=r"1 of 3 cells are beyond \[-1, 1\]"):
        task.encode([chunked([0.0, 1.5, None])])
    with pytest.raises(DataError, match="not of length 2"):
        Control(name="y", columns=("a",), actions=2).encode([chunked([[0.0, 0.1], [0.0]])])
    with pytest.raises(DataError, match="missing"):
        task.fit([chunked([None, None], pa.float64())])


def test_the_loss_is_the_squared_error_of_the_bounded_action() -> None:
    task = Control(name="y", columns=("y",), actions=2, size=0.5)
    output, target = torch.tensor([[0.3, -2.0], [9.0, 9.0]]), torch.tensor([[1.0, -1.0], [0.0, 0.0]])
    loss = task.loss(output, target, torch.tensor([True, False]))
    expected = ((np.tanh(0.3) - 1) ** 2 + (np.tanh(-2.0) + 1) ** 2) / 2 / 0.5**2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_predictions_are_written_as_the_action_was() -> None:
    prediction = torch.tensor([[0.5, -0.5], [0.25, 1.0]])
    several = Control(name="arm", columns=("x", "y"), actions=2).decode(prediction)
    assert {name: column.to_pylist() for name, column in several.items()} == {"arm_x": [0.5, 0.25], "arm_y": [-0.5, 1.0]}
    assert Control(name="arm", columns=("a",), actions=2).decode(prediction)["arm"].to_pylist() == [[0.5, -0.5], [0.25, 1.0]]
