"""AdaMerging on a table: what each stage leaves behind, who learns from entropy, and that labels are not read."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from polytask.balance import _balancer
from polytask.core import Batch, Schema, Solve
from polytask.core.batch import Columns
from polytask.core.option import make
from polytask.data.sample import Rows
from polytask.engine.loop import Loop
from polytask.engine.training import Training
from polytask.merge.task_vectors import disjoint_mean, elect, unflatten
from polytask.systems.adamerging import AdaMerging, Options

SCHEMA = Schema.parse(
    {"inputs": {"a": "number", "b": "number", "c": "boolean"}, "tasks": {"x": "multiclass 3", "y": "binary", "z": "regression"}}
)
ROWS = 96


def data(seed: int = 0) -> Batch:
    """Labels that follow from the inputs."""
    batch = SCHEMA.example(ROWS, seed)
    a, b = batch.inputs.tensor("a"), batch.inputs.tensor("b")
    targets = {"x": (a > 0).long() + (b > 0).long(), "y": (a > b).float(), "z": a + b}
    return replace(batch, targets=Columns(targets, ROWS))


def build(**options: Any) -> AdaMerging:
    torch.manual_seed(0)
    return AdaMerging.build(SCHEMA, make(Options, {"width": 16, "embedding": "none"} | options, "adamerging"))


def train(system: AdaMerging, epochs: int = 3, lr: float = 1e-2) -> list[dict[str, Any]]:
    batch = data()
    training = Training(
        epochs=epochs, steps=8, patience=99, batch_size=32, lr=lr, weight_decay=0.0, average=0.0, threads=1
    )  # fmt: skip
    balancer, fabric = _balancer.make("equal", list(system.tasks), {}), Fabric(accelerator="cpu", devices=1)
    loop = Loop(system, balancer, training, fabric, Rows(batch, torch.arange(ROWS), 32, 0), batch, batch)
    loop.run()
    return [dict(row) for row in loop.progress.history]


def flat(system: AdaMerging) -> Tensor:
    return nn.utils.parameters_to_vector(system.network.parameters()).detach()


def test_entropy_trains_coefficients_alone_and_the_network_is_the_merged_one() -> None:
    system = build()
    heads: dict[str, Tensor] = {}

    def keep(*_: Any) -> None:
        heads.update({n: p.detach().clone() for n, p in system.heads.named_parameters()})

    stages = [*system.stages()]
    stages.insert(-2, Solve(keep, "look"))
    system.stages = lambda: stages  # type: ignore[method-assign]
    history = train(system, epochs=6)
    merged = torch.cat([value.flatten() for value in system.merged.weights().values()]).detach()
    assert torch.equal(flat(system), merged)
    assert all(torch.equal(p, heads[n]) for n, p in system.heads.named_parameters())
    assert bool((system.merged.coefficients != 0.3).any())
    entropies = [row["loss/entropy x"] + row["loss/entropy y"] for row in history if row["stage"] == "entropy"]
    assert entropies[-1] < entropies[0]
    assert "loss/entropy z" not in history[-1]


@pytest.mark.parametrize("method", ["task_arithmetic", "average", "ties"])
def test_methods_without_learning_are_their_formulas(method: str) -> None:
    vectors: list[Tensor] = []
    system = build(method=method)
    stages = [*system.stages()]
    stages.insert(-1, Solve(lambda *_: vectors.extend(row.clone() for row in system.merged.vectors), "look"))
    system.stages = lambda: stages  # type: ignore[method-assign]
    train(system)
    assert len(vectors) == 3
    assert all(vector.any() for vector in vectors)
    like = dict(system.network.named_parameters())
    parts = disjoint_mean(elect([unflatten(vector, like) for vector in vectors], 0.2))
    whole = {
        "task_arithmetic": 0.3 * sum(vectors), "average": sum(vectors) / 3,
        "ties": 0.3 * torch.cat([value.flatten() for value in parts.values()]),
    }[method]  # fmt: skip
    assert torch.allclose(flat(system), system.merged.base + whole, atol=1e-5)


def test_entropies_do_not_depend_on_labels_but_on_who_may_have_one() -> None:
    system, batch = build(), data()
    system.keep_start()
    first = system.entropies(batch)
    other = replace(batch, targets=Columns({n: batch.targets.tensor(n).flip(0) for n in batch.targets}, ROWS))
    assert all(torch.equal(first[name], value) for name, value in system.entropies(other).items())
    none = torch.zeros(ROWS, dtype=torch.bool)
    bare = replace(batch, labelled=Columns(dict.fromkeys(SCHEMA.tasks, none), ROWS), tasks=())
    assert all(torch.allclose(first[name], value) for name, value in system.entropies(bare).items())
    half = torch.arange(ROWS) < ROWS // 2
    some = replace(batch, labelled=Columns({**dict.fromkeys(SCHEMA.tasks, ~none), "x": half}, ROWS))
    own = system.entropies(batch.index(half.nonzero().squeeze(1)))
    assert torch.allclose(system.entropies(some)["entropy x"], own["entropy x"], atol=1e-6)
    assert torch.equal(system.entropies(some)["entropy y"], first["entropy y"])


def test_other_rows_can_teach_the_coefficients() -> None:
    unseen = data(seed=1)
    system = build()
    system.unlabelled = Rows(unseen, torch.arange(ROWS), 16, 0)
    other = build()
    train(system), train(other)
    assert torch.equal(system.merged.vectors, other.merged.vectors)
    assert not torch.equal(system.merged.coefficients, other.merged.coefficients)


def test_plus_prunes_the_vectors_and_the_granularity_is_that_of_the_option() -> None:
    system = build(plus=True, keep=0.1, granularity="task")
    train(system)
    assert system.merged.coefficients.shape == (3,)
    shares = (system.merged.vectors != 0).float().mean(1)
    assert bool((shares <= 0.101).all())
    assert bool(((system.merged.vectors > 0).any(0) & (system.merged.vectors < 0).any(0)).logical_not().all())


def test_without_a_classification_nothing_is_learnt_from_entropy() -> None:
    schema = SCHEMA.only(tasks=("z",))
    system = AdaMerging.build(schema, make(Options, {"width": 8, "embedding": "none"}, "adamerging"))
    assert [stage.name for stage in system.stages()] == ["pretrain", "start", "fine-tune z", "vector z", "merge"]
