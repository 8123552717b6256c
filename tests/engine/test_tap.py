"""Where tasks take the shared representation in, and what balancing gains from knowing it."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from polytask.balance import _balancer, _gramian
from polytask.core import Batch, PerTask, Schema, System, Update, registry
from polytask.core.option import make
from polytask.engine.tap import Tap

SCHEMA = Schema.parse(
    {"inputs": {"x": "number", "ward": "category 3"}, "tasks": {"a": "regression", "b": "binary", "c": "multiclass 4"}}
)


def update_of(system: System, tap: Tap, batch: Batch) -> Update:
    torch.manual_seed(5)
    with tap.open(entries=True) as caught:
        losses = system.losses(batch)
    own = {task: system.task_parameters(task) for task in system.tasks}
    return tap.update(Update(losses, system.shared_parameters(), own=own), caught)


@pytest.mark.parametrize("members", [1, 4])
def test_both_ways_take_the_same_step(members: int) -> None:
    batch = SCHEMA.example(37)
    found = []
    for entries in (True, False):
        torch.manual_seed(0)
        cls = registry.load("hard_sharing")
        system = cls.build(SCHEMA, make(cls.options_type, {"members": members, "width": 8, "dropout": 0.1}, "x")).train()
        tap = Tap(system)
        tap.holds = entries
        update = update_of(system, tap, batch)
        assert (update.entries is not None) == entries
        balancer = _balancer.make("imtlg", list(SCHEMA.tasks), {"at": "representation"})
        weights = balancer.step(update)
        found.append([weights, *(p.grad for p in system.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_many_outputs_are_multiplied_out_instead() -> None:
    """Two ways to the same Gramian; the choice is by arithmetic alone."""
    torch.manual_seed(0)
    rows = [torch.randn(6, 3), torch.randn(6, 50)]
    weight = [torch.randn(4, 3), torch.randn(4, 50)]
    from polytask.balance._entries import Rows

    made = Rows(torch.cat(rows, 1)[None], torch.cat(weight, 1)[None], (3, 50), None, {})
    flat = torch.stack([(d @ w.T).flatten() for d, w in zip(rows, weight, strict=True)])
    torch.testing.assert_close(made.gramian(), flat @ flat.T, rtol=1e-4, atol=1e-3)
    few = Rows(torch.cat(rows, 1)[None, :, :5], torch.cat(weight, 1)[None, :, :5], (3, 2), None, {})
    flat = torch.stack([(rows[0] @ weight[0].T).flatten(), (rows[1][:, :2] @ weight[1][:, :2].T).flatten()])
    torch.testing.assert_close(few.gramian(), flat @ flat.T, rtol=1e-4, atol=1e-4)


class Sly(System):
    """Reads its representation by the heads and, behind their back, once more."""

    representation = "trunk"

    def __init__(self) -> None:
        super().__init__(SCHEMA.tasks)
        self.trunk = nn.Linear(1, 4)
        self.heads = PerTask({name: nn.Linear(4, task.output_shape[0]) for name, task in SCHEMA.tasks.items()})

    @classmethod
    def build(cls, schema: Schema, options: Any) -> "Sly":
        return cls()

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        shared = self.trunk(batch.inputs.tensor("x")[:, None])
        bent = {name: self.heads[name](shared) + shared[:, :1] ** 2 for name in tasks or self.tasks}
        return bent


def test_what_goes_around_the_heads_is_found_out() -> None:
    torch.manual_seed(0)
    system = Sly()
    tap = Tap(system)
    update = update_of(system, tap, SCHEMA.example(16))
    assert not tap.holds
    assert update.entries is None
    assert update.representation is not None
    tasks = list(SCHEMA.tasks)
    gramian = _gramian.gradients(update, tasks, tasks, "auto", rows=False).gramian
    rows = torch.stack(
        [torch.autograd.grad(update.losses[t], update.representation, retain_graph=True)[0].flatten() for t in tasks]
    )
    torch.testing.assert_close(gramian, rows @ rows.T)


class SlyForOne(Sly):
    """Only one task's loss goes around its head."""

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        shared = self.trunk(batch.inputs.tensor("x")[:, None])
        plain = {name: self.heads[name](shared) for name in tasks or self.tasks}
        return {name: y + shared[:, :1] ** 2 if name == "a" else y for name, y in plain.items()}


def test_a_task_that_comes_later_is_looked_at_then() -> None:
    torch.manual_seed(0)
    batch = SCHEMA.example(16)
    system = SlyForOne()
    tap = Tap(system)
    first = Batch(batch.inputs, batch.present, batch.targets, batch.labelled, ("b", "c"))
    assert update_of(system, tap, first).entries is not None
    assert update_of(system, tap, batch).entries is None
    assert update_of(system, tap, first).entries is None
    tap.start_epoch()
    assert update_of(system, tap, first).entries is not None


def test_a_task_that_the_batch_lacks_needs_no_entry() -> None:
    torch.manual_seed(0)
    cls = registry.load("hard_sharing")
    system = cls.build(SCHEMA, make(cls.options_type, {"members": 1, "width": 8}, "x")).train()
    batch = SCHEMA.example(16)
    part = Batch(batch.inputs, batch.present, batch.targets, batch.labelled, ("a", "c"))
    update = update_of(system, Tap(system), part)
    assert update.entries is not None
    assert set(update.entries) == {"a", "c"}
    weights = _balancer.make("imtlg", list(SCHEMA.tasks), {"at": "representation"}).step(update)
    assert weights[1] == 0


def test_systems_whose_heads_read_something_else_have_no_entries() -> None:
    cls = registry.load("mmoe")
    system = cls.build(SCHEMA, make(cls.options_type, {"width": 8}, "x")).train()
    update = update_of(system, Tap(system), SCHEMA.example(16))
    assert update.representation is not None
    assert update.entries is None


def test_a_given_representation_is_taken_and_not_computed() -> None:
    cls, batch = registry.load("hard_sharing"), SCHEMA.example(9)
    system = cls.build(SCHEMA, make(cls.options_type, {"members": 2, "width": 8}, "x")).eval()
    tap = Tap(system)
    with tap.open(entries=False) as caught:
        plain = system.losses(batch)
    assert caught.representation is not None
    other = torch.zeros_like(caught.representation)
    for given in (caught.representation, other):
        with tap.given(given), tap.open(entries=False) as seen:
            found = system.losses(batch)
        assert seen.representation is given
        assert all(torch.equal(found[task], plain[task]) == (given is not other) for task in plain)
    assert "forward" not in vars(system.trunk)
    assert all(torch.equal(loss, plain[task]) for task, loss in system.losses(batch).items())
