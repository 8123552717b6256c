"""MMoE and PLE against plain loops written from their papers' equations."""

from typing import Any

import pytest
import torch
from torch import Tensor

from polytask.core import Schema, registry
from polytask.core.option import make

SCHEMA = Schema.parse(
    {
        "inputs": {"age": "number", "ward": "category 4"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    }
)
BATCH = SCHEMA.example(7)


def build(id: str, **options: Any) -> Any:
    torch.manual_seed(0)
    cls = registry.load(id)
    return cls.build(SCHEMA, make(cls.options_type, options, id)).eval()


def expert(bank: Any, number: int, x: Tensor) -> Tensor:
    """Expert `number` of a bank as a perceptron of its own."""
    own = slice(number * (len(bank.first.weight) // bank.experts), (number + 1) * (len(bank.first.weight) // bank.experts))
    hidden = torch.relu(bank.first.weight[own] @ x + bank.first.bias[own])
    for layer in bank.rest.layers:
        hidden = layer.weight[number].T @ hidden + layer.bias[number] if hasattr(layer, "weight") else torch.relu(hidden)
    return hidden


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("gates", ["task", "one"])
def test_mmoe(gates: str, depth: int) -> None:
    """Ma et al. 2018, section 4.2: y_k = h_k(sum_i g_k(x)_i f_i(x)), g_k(x) = softmax(W_k x)."""
    system = build("mmoe", members=1, experts=4, width=5, depth=depth, tower=3, gates=gates)
    found = system(BATCH)
    for row, x in enumerate(system.stem(BATCH)):
        outs = [expert(system.experts, i, x) for i in range(4)]
        for k, task in enumerate(SCHEMA.tasks):
            share = torch.softmax(system.gate.weight[k if gates == "task" else 0].T @ x, dim=0)
            mixed = sum(share[i] * outs[i] for i in range(4))
            torch.testing.assert_close(found[task][row], system.towers({task: mixed[None]}, (task,))[task][0])


@pytest.mark.parametrize(("levels", "own", "shared"), [(1, 2, 1), (2, 1, 2), (3, 2, 2)])
def test_ple(levels: int, own: int, shared: int) -> None:
    """Tang et al. 2020: a task's gate sees its own and the shared experts, the shared gate sees all."""
    system = build("ple", members=1, levels=levels, own=own, shared=shared, width=5, tower=3)
    found, tasks = system(BATCH), list(SCHEMA.tasks)
    for row, x in enumerate(system.stem(BATCH)):
        streams = dict.fromkeys([*tasks, "shared"], x)
        for number, level in enumerate(system.levels, start=1):
            banks = dict(zip(streams, level.experts, strict=True))
            outs = {name: [expert(banks[name], i, streams[name]) for i in range(banks[name].experts)] for name in streams}
            columns = [name for name in streams for _ in outs[name]]  # whose expert each column of a gate's weights is
            assert len(outs["shared"]) == shared
            assert all(len(outs[task]) == own for task in tasks)
            assert len(level.gate.weight) == len(tasks) + (number < levels)
            mixed = {}
            for name, weight in zip(streams, level.gate.weight, strict=False):
                seen = [i for i, owner in enumerate(columns) if name == "shared" or owner in (name, "shared")]
                share = torch.softmax(weight.T[seen] @ streams[name], dim=0)
                every = [out for each in outs.values() for out in each]
                mixed[name] = sum(s * every[i] for s, i in zip(share, seen, strict=True))
            streams = mixed
        assert list(streams) == tasks
        for task in tasks:
            torch.testing.assert_close(found[task][row], system.towers({task: streams[task][None]}, (task,))[task][0])


def test_a_tasks_own_experts_learn_from_it_alone_in_cgc() -> None:
    system = build("ple", members=1, levels=1)
    system(BATCH)["died"].square().sum().backward()
    taught = [any(bool(p.grad is not None and p.grad.any()) for p in bank.parameters()) for bank in system.levels[0].experts]
    assert taught == [True, False, False, True]


@pytest.mark.parametrize("id", ["hard_sharing", "mmoe", "ple", "cross_stitch", "multimodn", "single_task"])
@pytest.mark.parametrize("members", [1, 3])
def test_members_lead_in_evaluation(id: str, members: int) -> None:
    system = build(id, members=members)
    for name, output in system(BATCH).items():
        shape = (7, *SCHEMA.tasks[name].output_shape)
        assert output.shape == ((members, *shape) if members > 1 else shape)
        assert SCHEMA.tasks[name].predict(output).shape == shape
        assert system.train()(BATCH)[name].shape == shape
        system.eval()


@pytest.mark.parametrize("id", ["hard_sharing", "mmoe", "ple", "cross_stitch", "multimodn", "single_task"])
def test_members_differ_from_the_first_step(id: str) -> None:
    for output in build(id, members=3)(BATCH).values():
        assert not output[0].allclose(output[1])


@pytest.mark.parametrize("id", ["hard_sharing", "mmoe", "ple", "cross_stitch"])
def test_heads_are_the_tasks_own_and_the_rest_is_shared(id: str) -> None:
    system = build(id)
    for task in SCHEMA.tasks:
        own = system.task_parameters(task)
        system.zero_grad()
        system(BATCH, (task,))[task].square().sum().backward()
        assert own
        assert all(bool(p.grad.any()) for p in own)
        others = [p for other in SCHEMA.tasks if other != task for p in system.task_parameters(other)]
        assert all(p.grad is None for p in others)
