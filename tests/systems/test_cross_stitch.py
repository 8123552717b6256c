"""Cross-stitch networks: single networks while stitches are the identity, mixed once they are open."""

from typing import Any

import pytest
import torch

from polytask.core import Schema, registry
from polytask.core.option import make

TASKS = {"died": "binary", "days": "regression", "grade": "multiclass 3"}
SCHEMA = Schema.parse({"inputs": {"age": "number", "ward": "category 4"}, "tasks": TASKS})
BATCH = SCHEMA.example(7)


def build(schema: Schema = SCHEMA, **options: Any) -> Any:
    torch.manual_seed(0)
    cls = registry.load("cross_stitch")
    return cls.build(schema, make(cls.options_type, {"width": 6} | options, "cross_stitch")).eval()


def single(system: Any, number: int, task: str) -> torch.Tensor:
    """Network `number` by itself."""
    x = system.stems[number](BATCH)
    for block in system.blocks:
        linear = block.layers[0]
        x = torch.relu(x @ linear.weight[number] + linear.bias[number])
    return system.heads({task: x}, (task,))[task]


def others_of(system: Any, number: int) -> list[torch.nn.Parameter]:
    """The stems and heads of all other networks (blocks hold a slice a network)."""
    stems = [p for i, stem in enumerate(system.stems) if i != number for p in stem.parameters()]
    return stems + [p for i, task in enumerate(TASKS) if i != number for p in system.task_parameters(task)]


def test_identity_stitches_are_single_networks() -> None:
    system = build()
    found = system(BATCH)
    for number, task in enumerate(TASKS):
        torch.testing.assert_close(found[task], single(system, number, task))


@pytest.mark.parametrize("number", range(3))
def test_before_opening_the_other_networks_do_not_matter_at_all(number: int) -> None:
    system, task = build(), list(TASKS)[number]
    before = system(BATCH)[task]
    with torch.no_grad():
        for parameter in others_of(system, number):
            parameter.add_(torch.randn_like(parameter))
        for block in system.blocks:
            for parameter in block.parameters():
                parameter[[i for i in range(3) if i != number]] += 1
    assert system(BATCH)[task].equal(before)
    system.open()
    opened = system(BATCH)[task]
    with torch.no_grad():
        next(iter(system.stems[(number + 1) % 3].parameters())).add_(1.0)
    assert not system(BATCH)[task].equal(opened)


def test_opened_stitches_are_the_linear_combination_of_equation_1() -> None:
    system = build(members=1)
    system.open()
    for stitch in system.stitches:
        expected = torch.full((3, 3), 0.1 / 2).fill_diagonal_(0.9)
        torch.testing.assert_close(stitch.mix.detach(), expected)
    x = [stem(BATCH) for stem in system.stems]
    for block, stitch in zip(system.blocks, system.stitches, strict=True):
        linear = block.layers[0]
        x = [torch.relu(x[t] @ linear.weight[t] + linear.bias[t]) for t in range(3)]
        x = [sum(stitch.mix[t, s] * x[s] for s in range(3)) for t in range(3)]
    found = system(BATCH)
    for t, task in enumerate(TASKS):
        torch.testing.assert_close(found[task], system.heads({task: x[t]}, (task,))[task])


def test_one_task_stays_the_identity() -> None:
    system = build(SCHEMA.only(tasks=("died",)))
    system.open()
    assert all(stitch.mix.equal(torch.eye(1)) for stitch in system.stitches)


def test_stages_train_alone_then_stitched() -> None:
    system = build(alone=0.25, stitch_lr=7)
    alone, joint = system.stages()
    stitches = {id(p) for p in system.stitches.parameters()}
    rest = {id(p) for p in system.parameters()} - stitches
    assert (alone.length, joint.length) == (0.25, 0.75)
    assert [{id(p) for p in group.parameters} for group in alone.parameters] == [rest]
    assert [{id(p) for p in group.parameters} for group in joint.parameters] == [rest, stitches]
    networks, mixes = joint.parameters
    assert (networks.lr, networks.weight_decay) == (1.0, None)
    assert (mixes.lr, mixes.weight_decay) == (7, 0.0)
    assert alone.before is None
    joint.before()
    assert system.stitches[0].mix[0, 0].tolist() == pytest.approx(0.9)


def test_from_scratch_is_one_stage() -> None:
    (joint,) = build(alone=0).stages()
    assert joint.length == 1
    assert joint.before is not None
