"""What every kind of task must hold, asked of its example."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from polytask.core import Schema, Task, arrow, registry

from ._example import example_of
from ._report import Report, checks_in, run_checks

ROWS = 24


@dataclass(frozen=True)
class Case:
    """A fitted task with random targets and outputs of two members."""

    task: Task

    def targets(self, rows: int = ROWS) -> Tensor:
        return self.task.example_target(rows, torch.Generator().manual_seed(1))

    @cached_property
    def target(self) -> Tensor:
        return self.targets()

    @cached_property
    def members(self) -> Tensor:
        return torch.randn(2, ROWS, *self.task.output_shape, generator=torch.Generator().manual_seed(2))

    @property
    def output(self) -> Tensor:
        return self.members[0]

    @cached_property
    def labelled(self) -> Tensor:
        """Two rows in three have a label."""
        return torch.arange(ROWS) % 3 > 0

    @cached_property
    def all(self) -> Tensor:
        return torch.ones(ROWS, dtype=torch.bool)

    @cached_property
    def learnt(self) -> Tensor:
        """Outputs that descended on the loss of the targets."""
        output = torch.zeros_like(self.output).requires_grad_()
        optimizer = torch.optim.Adam([output])
        for step in range(200):
            optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 200)
            optimizer.zero_grad()
            self.task.loss(output, self.target, self.all).backward()
            optimizer.step()
        return output.detach()


def check_example(case: Case) -> None:
    """The example has targets that a seed repeats, as many as rows were asked for."""
    assert len(case.target) == ROWS, f"{len(case.target)} targets, not {ROWS}"
    assert torch.equal(case.target, case.targets()), "the same generator gives other targets"


def check_loss(case: Case) -> None:
    """The loss is a finite scalar in float32, with members and without."""
    for output in (case.output, case.members):
        loss = case.task.loss(output, case.target, case.labelled)
        assert loss.shape == (), f"the loss is no scalar: {tuple(loss.shape)}"
        assert loss.dtype == torch.float32, f"the loss is {loss.dtype}"
        assert bool(loss.isfinite()), f"the loss is {float(loss)}"


def check_size_of_loss(case: Case) -> None:
    """Outputs of zero, which know nothing, pay about 1, as in other tasks: 0.3 to 2.5."""
    target = case.targets(512)
    output, labelled = torch.zeros(512, *case.task.output_shape), torch.ones(512, dtype=torch.bool)
    loss = float(case.task.loss(output, target, labelled))
    assert 0.3 < loss < 2.5, f"the loss of outputs of zero is {loss:.3g}"


def check_missing_labels(case: Case) -> None:
    """Outputs and fillers of rows without a label change neither the loss nor its gradient; without any label it is 0."""
    found = []
    for there in (True, False):
        output, target = case.members.clone(), case.target.clone()
        if not there:
            output[:, ~case.labelled], target[~case.labelled] = 37.0, torch.zeros_like(target[~case.labelled])
        loss, gradient = _gradient(case.task, output, target, case.labelled)
        assert not gradient[:, ~case.labelled].any(), "a row without label gets a gradient"
        found.append((loss, gradient[:, case.labelled]))
    torch.testing.assert_close(found[0], found[1])
    loss, gradient = _gradient(case.task, case.members, case.target, torch.zeros(ROWS, dtype=torch.bool))
    assert loss == 0, f"the loss without labels is {float(loss)}"
    assert not gradient.any(), "the gradient without labels is not zero"


def _gradient(task: Task, output: Tensor, target: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    output = output.clone().requires_grad_()
    loss = task.loss(output, target, labelled)
    return loss.detach(), torch.autograd.grad(loss, output)[0]


def check_members(case: Case) -> None:
    """The loss of several members is the mean of theirs, the prediction the mean of their predictions."""
    losses = torch.stack([case.task.loss(member, case.target, case.labelled) for member in case.members])
    torch.testing.assert_close(case.task.loss(case.members, case.target, case.labelled), losses.mean())
    predictions = torch.stack([case.task.predict(member) for member in case.members])
    torch.testing.assert_close(case.task.predict(case.members), predictions.mean(0))


def check_row_order(case: Case) -> None:
    """The order of rows changes no loss and no metric; predictions follow their rows."""
    order, task = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3)), case.task
    straight = task.loss(case.output, case.target, case.labelled)
    torch.testing.assert_close(task.loss(case.output[order], case.target[order], case.labelled[order]), straight)
    prediction = task.predict(case.output)
    torch.testing.assert_close(task.predict(case.output[order]), prediction[order])
    scores, others = task.evaluate(prediction, case.target), task.evaluate(prediction[order], case.target[order])
    torch.testing.assert_close(others, scores, rtol=1e-4, atol=1e-5, equal_nan=True)


def check_extremes(case: Case) -> None:
    """Outputs of about +-1e4 have a finite loss, gradient and prediction."""
    extreme = 1e4 * case.members
    loss, gradient = _gradient(case.task, extreme, case.target, case.all)
    for name, value in {"loss": loss, "gradient": gradient, "prediction": case.task.predict(extreme)}.items():
        assert bool(value.isfinite().all()), f"the {name} is not finite"


def check_half_precision(case: Case) -> None:
    """The loss of outputs in half precision is computed in float32."""
    for dtype in (torch.float16, torch.bfloat16):
        loss = case.task.loss(case.output.to(dtype), case.target, case.labelled)
        torch.testing.assert_close(loss, case.task.loss(case.output.to(dtype).float(), case.target, case.labelled))


def check_predictions(case: Case) -> None:
    """Predictions are `(rows, *output_shape)`; decoded, they are columns of as many cells, named after the task."""
    prediction = case.task.predict(case.members)
    assert prediction.shape == case.output.shape, f"predictions are {tuple(prediction.shape)}"
    decoded = case.task.decode(prediction)
    assert decoded, "predictions decode to no column"
    for name, column in decoded.items():
        assert name.startswith(case.task.name), f"column '{name}' does not begin with '{case.task.name}'"
        assert len(column) == ROWS, f"column '{name}' has {len(column)} cells"


def check_learns(case: Case) -> None:
    """Gradient descent on outputs at least halves the loss, and betters the primary metric."""
    task, blank = case.task, torch.zeros_like(case.output)
    before, after = (float(task.loss(output, case.target, case.all)) for output in (blank, case.learnt))
    assert after < 0.5 * before, f"the loss goes from {before:.3f} to {after:.3f}"
    start, end = (task.evaluate(task.predict(output), case.target)[task.primary] for output in (blank, case.learnt))
    assert task.direction * (end - start) > 0, f"'{task.primary}' goes from {start:.3f} to {end:.3f}"


def check_decodes_back(case: Case) -> None:
    """Where predictions decode to the task's own columns, those of outputs that learnt the targets encode to the targets."""
    task, decoded = case.task, case.task.decode(case.task.predict(case.learnt))
    if not set(task.columns) <= set(decoded):
        return
    columns = [pa.chunked_array([_rounded(decoded[name])]) for name in task.columns]
    target, labelled = task.encode(columns)
    assert bool(labelled.all()), "a decoded prediction is no label"
    torch.testing.assert_close(target, case.target, rtol=0.0, atol=0.1)


def _rounded(cells: pa.Array) -> pa.Array:
    """Numbers to one decimal: an expected count of 2.99 is the count 3."""
    return pc.round(cells, 1) if arrow.numeric(cells) and pa.types.is_floating(cells.type) else cells


def check_metrics(case: Case) -> None:
    """The primary metric is among the metrics, which are numbers here, and NaN, not an error, without rows."""
    prediction = case.task.predict(case.output)
    scores = case.task.evaluate(prediction, case.target)
    assert case.task.primary in scores, f"no '{case.task.primary}' among {list(scores)}"
    assert case.task.direction in (-1, 1), f"direction is {case.task.direction}"
    assert all(map(math.isfinite, scores.values())), f"a metric is not finite: {scores}"
    empty = case.task.evaluate(prediction[:0], case.target[:0])
    assert all(map(math.isnan, empty.values())), f"without rows metrics are {empty}, not NaN"
    same = case.task.evaluate(prediction, case.target[:1].expand_as(case.target))
    assert same.keys() == scores.keys(), "with one target only, other metrics are given"
    assert not any(map(math.isinf, same.values())), f"with one target only, metrics are {same}"


def check_json(case: Case) -> None:
    """The fitted task survives JSON."""
    schema = Schema({}, {case.task.name: case.task})
    back = Schema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False))).tasks[case.task.name]
    assert vars(back) == vars(case.task), f"{back} is not {case.task}"


CHECKS = checks_in(globals())


def check_task(
    kind: str | type[Task], sizes: tuple[int, ...] | None = None, options: Mapping[str, Any] | None = None
) -> Report:
    """Run every check on a kind of task, or on a class.

    sizes: as in a literal (None: the first usual ones that fit). options: values for fields of the example.
    """
    cls = registry.kind("tasks", kind) if isinstance(kind, str) else kind
    task = replace(example_of(cls, "y", sizes), **(options or {}))
    return Report(cls.kind, run_checks(CHECKS, Case(task)))
