"""MultiModN against the recurrence and the loss written out by hand."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from polytask.core import Batch, Columns, Schema, registry
from polytask.core.option import make

SCHEMA = Schema.parse(
    {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    }
)
ROWS = 12


def build(**options: Any) -> Any:
    torch.manual_seed(0)
    cls = registry.load("multimodn")
    return cls.build(SCHEMA, make(cls.options_type, options, "multimodn")).eval()


def gaps(seed: int = 0) -> Batch:
    """Random gaps in inputs and labels; row 0 has no input, the last row all."""
    torch.manual_seed(seed)
    batch = SCHEMA.example(ROWS)
    there, known = torch.rand(ROWS, 4) > 0.4, torch.rand(ROWS, 3) > 0.3
    there[0], there[-1], known[-1] = False, True, True
    present = Columns({name: there[:, i] for i, name in enumerate(batch.present)}, ROWS)
    labelled = Columns({name: known[:, i] for i, name in enumerate(batch.labelled)}, ROWS)
    return replace(batch, present=present, labelled=labelled)


def takes(batch: Batch, missing: str, skip: str) -> list[list[bool]]:
    """For each modality (numbers, the category, the boolean), which rows take its step."""
    found = []
    for names in (("age", "dose"), ("ward",), ("smoker",)):
        enough = all if missing == "any" else any
        rows = [enough(bool(batch.present.tensor(name)[row]) for name in names) for row in range(ROWS)]
        found.append([all(rows)] * ROWS if skip == "batch" else rows)
    return found


def walk(system: Any, batch: Batch, taken: list[list[bool]]) -> list[list[Tensor]]:
    """Each row's state after 0, 1, ... modalities, row by row: s <- W [h(x); s] + b where the modality is there."""
    states = [[system.start[0]] * ROWS]
    for encoder, rows in zip(system.encoders, taken, strict=True):
        hidden = encoder.hidden(encoder.stem(batch))
        weight, bias = encoder.out.weight, encoder.out.bias
        before = states[-1]
        states.append([weight @ torch.cat([hidden[i], before[i]]) + bias if rows[i] else before[i] for i in range(ROWS)])
    return states


@pytest.mark.parametrize("skip", ["sample", "batch"])
@pytest.mark.parametrize("missing", ["all", "any"])
@pytest.mark.parametrize("complete", [False, True])
def test_states_and_losses(skip: str, missing: str, complete: bool) -> None:
    system = build(skip=skip, missing=missing, state_change=3.0)
    batch = replace(gaps(), present=SCHEMA.example(ROWS).present) if complete else gaps()
    taken = takes(batch, missing, skip)
    states = walk(system, batch, taken)
    found, here = system.states(batch)
    assert [step.tolist() for step in here] == [[True] * ROWS, *taken]
    for got, expected in zip(found, states, strict=True):
        torch.testing.assert_close(got, torch.stack(expected))
    losses = system.losses(batch)
    for name, task in SCHEMA.tasks.items():
        labelled, total = batch.labelled.tensor(name).tolist(), torch.zeros(())
        for rows, step in zip(([True] * ROWS, *taken), states, strict=True):
            cells = [i for i in range(ROWS) if rows[i] and labelled[i]]
            one = [
                task.loss(system.decoders(step[i][None], (name,))[name], batch.targets.tensor(name)[[i]], torch.tensor([True]))
                for i in cells
            ]
            total = total + (torch.stack(one).mean() if one else 0.0) / len(states)
        torch.testing.assert_close(losses[name], total)
    changes = [torch.stack(b).sub(torch.stack(a)).square().mean() for a, b in pairwise(states)]
    torch.testing.assert_close(losses["state_change"], 0.01 * 3.0 * torch.stack(changes).mean())


def test_a_skipped_step_leaves_the_state_untouched() -> None:
    system, batch = build(), gaps()
    states, taken = system.states(batch)
    for (before, after), here in zip(pairwise(states), taken[1:], strict=True):
        assert after[~here].equal(before[~here])
        assert not after[here].isclose(before[here]).all()
    assert all(state[0].equal(system.start[0]) for state in states)


def test_predictions_are_read_after_the_last_step() -> None:
    system, batch = build(), gaps()
    last = system.states(batch)[0][-1]
    for name, output in system(batch).items():
        torch.testing.assert_close(output, system.decoders(last, (name,))[name])
    assert list(system(batch, ("days",))) == ["days"]


@pytest.mark.parametrize("members", [1, 3])
def test_gradients_are_finite_even_where_a_modality_is_missing_throughout(members: int) -> None:
    batch = gaps()
    masks = {name: batch.present.tensor(name) & (name != "ward") for name in SCHEMA.inputs}
    batch = replace(batch, present=Columns(masks, ROWS))
    system = build(state_change=1.0, members=members).train()
    torch.stack(list(system.losses(batch).values())).sum().backward()
    gradients = {name: p.grad for name, p in system.named_parameters()}
    assert all(g is None or bool(torch.isfinite(g).all()) for g in gradients.values())
    assert all(g is None or not g.any() for name, g in gradients.items() if name.startswith("encoders.1."))
    assert gradients["start"].any()


def test_without_penalty_there_are_the_tasks_losses_alone() -> None:
    assert list(build().losses(gaps())) == list(SCHEMA.tasks)


def test_modalities_come_in_random_order_in_training_alone() -> None:
    batch, system = SCHEMA.example(ROWS), build(shuffle=True, dropout=0.0)
    assert system.states(batch)[0][1].equal(system.states(batch)[0][1])
    first = {tuple(system.train().states(batch)[0][1][0].tolist()) for _ in range(20)}
    assert len(first) == 3


def test_declared_modalities_are_the_steps() -> None:
    inputs = {
        name: replace(item, modality="labs" if name in ("dose", "smoker") else None) for name, item in SCHEMA.inputs.items()
    }
    cls = registry.load("multimodn")
    system = cls.build(Schema(inputs, SCHEMA.tasks), make(cls.options_type, {}, "multimodn"))
    assert [encoder.names for encoder in system.encoders] == [("age",), ("dose", "smoker"), ("ward",)]
