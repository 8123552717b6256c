"""The ways to the Gramian agree with the Jacobian that is written down, to 1e-10 in double precision."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor, nn

from polytask.balance import _balancer, _gramian
from polytask.core import Entry, Update


class Deep(nn.Module):
    """Shared weights used twice, a branch, a norm; one or several outputs a task."""

    def __init__(self, outputs: tuple[int, ...], width: int = 6) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(4, width), nn.Linear(width, width), nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, count) for count in outputs)
        self.double()

    def update(self, x: Tensor, missing: tuple[int, ...] = ()) -> Update:
        hidden = torch.tanh(self.first(x))
        shared = self.norm(self.second(torch.tanh(self.second(hidden))) + hidden)
        given = [head(shared) for head in self.heads]
        losses = {str(k): ((y - k) ** 2).mean() + y.sum() / 7 for k, y in enumerate(given) if k not in missing}
        own = {str(k): list(head.parameters()) for k, head in enumerate(self.heads)}
        entries = {str(k): Entry(y, head.weight.T[None]) for k, (y, head) in enumerate(zip(given, self.heads, strict=True))}
        trunk = [*self.first.parameters(), *self.second.parameters(), *self.norm.parameters()]
        return Update(losses, trunk, shared, own=own, entries={t: e for t, e in entries.items() if t in losses})


def jacobian(update: Update, variables: list[Tensor]) -> Tensor:
    each = [torch.autograd.grad(loss, variables, retain_graph=True) for loss in update.losses.values()]
    return torch.stack([torch.cat([part.flatten() for part in parts]) for parts in each])


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gramian, "KEPT", 0)


SHAPES = some.lists(some.integers(1, 5), min_size=2, max_size=6).map(tuple)


@settings(max_examples=25, deadline=None)
@given(outputs=SHAPES, rows=some.integers(1, 9), seed=some.integers(0, 99), kept=some.booleans())
def test_at_the_parameters_it_is_the_jacobian(outputs: tuple[int, ...], rows: int, seed: int, kept: bool) -> None:
    torch.manual_seed(seed)
    net = Deep(outputs)
    update = net.update(torch.randn(rows, 4, dtype=torch.float64), missing=(1,) if len(outputs) > 2 else ())
    known, tasks = [str(k) for k in range(len(outputs))], list(update.losses)
    before, _gramian.KEPT = _gramian.KEPT, _gramian.KEPT if kept else 0
    try:
        found = _gramian.gradients(update, tasks, known, "parameters", rows=False)
    finally:
        _gramian.KEPT = before
    assert isinstance(found.given, Tensor) == kept
    rows_ = jacobian(update, list(update.shared))
    weights = torch.rand(len(tasks), dtype=torch.float64)
    close(found.gramian, rows_ @ rows_.T)
    close(found.combined(weights), weights @ rows_)
    for task in tasks:
        for (_, plain), expected in zip(
            found.own[task], torch.autograd.grad(update.losses[task], update.own[task], retain_graph=True), strict=True
        ):
            close(plain, expected)


@settings(max_examples=25, deadline=None)
@given(outputs=SHAPES, rows=some.integers(1, 9), seed=some.integers(0, 99))
def test_through_the_entries_it_is_the_jacobian_of_the_representation(outputs: tuple[int, ...], rows: int, seed: int) -> None:
    torch.manual_seed(seed)
    update = Deep(outputs).update(torch.randn(rows, 4, dtype=torch.float64), missing=(0,) if len(outputs) > 2 else ())
    tasks = list(update.losses)
    found = _gramian.gradients(update, tasks, tasks, "representation", rows=False)
    assert not isinstance(found.given, Tensor)
    assert update.representation is not None
    rows_ = jacobian(update, [update.representation])
    weights = torch.rand(len(tasks), dtype=torch.float64)
    close(found.gramian, rows_ @ rows_.T)
    close(found.combined(weights), weights @ rows_)
    plain = _gramian.gradients(replace(update, entries=None), tasks, tasks, "representation")
    for task in tasks:
        for (_, one), (_, other) in zip(found.own[task], plain.own[task], strict=True):
            close(one, other)


def test_layer_by_layer_the_step_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 4, dtype=torch.float64)
    found = []
    for kept in (0, 2**28):
        torch.manual_seed(1)
        net = Deep((1, 2, 3))
        monkeypatch.setattr(_gramian, "KEPT", kept)
        balancer = _balancer.make("imtlg", ["0", "1", "2"], {"at": "parameters"})
        weights = balancer.step(net.update(x))
        found.append([weights, *(p.grad for p in net.parameters())])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_convolutions_norms_attention_and_embeddings_are_walked(nothing_kept: None) -> None:
    torch.manual_seed(0)
    net = nn.ModuleDict(
        {
            "embed": nn.Embedding(7, 8),
            "attend": nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
            "conv": nn.Sequential(nn.Conv1d(8, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2)),
        }
    ).double()
    words = torch.randint(0, 7, (3, 6))
    hidden = net["conv"](net["attend"](net["embed"](words)).mT).flatten(1)
    losses = {str(k): (hidden[:, k] ** 2).mean() * (k + 1) + hidden.mean() for k in range(4)}
    update = Update(losses, [p for p in net.parameters() if p.requires_grad], own={})
    found = _gramian.gradients(update, list(losses), list(losses), "parameters", rows=False)
    rows = jacobian(update, list(update.shared))
    close(found.gramian, rows @ rows.T)


def test_frozen_layers_and_a_task_of_the_trunk_alone(nothing_kept: None) -> None:
    torch.manual_seed(0)
    net = Deep((1, 1))
    net.first.requires_grad_(False)
    update = net.update(torch.randn(5, 4, dtype=torch.float64))
    update = replace(update, losses={**update.losses, "2": (net.second.weight**2).sum()})
    found = _gramian.gradients(update, ["0", "1", "2"], ["0", "1", "2"], "parameters", rows=False)
    trained = [p for p in update.shared if p.requires_grad]
    each = [torch.autograd.grad(loss, trained, retain_graph=True, materialize_grads=True) for loss in update.losses.values()]
    rows = torch.stack([torch.cat([part.flatten() for part in parts]) for parts in each])
    close(found.gramian, rows @ rows.T)


class Twice(torch.autograd.Function):
    """A node that Python wrote."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        return outer[0] * 2


def test_where_the_graph_cannot_be_walked_rows_are_kept(nothing_kept: None) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    hidden = net[2](Twice.apply(net[:2](torch.randn(5, 3, dtype=torch.float64))))
    update = Update({str(k): (hidden[:, k] ** 2).mean() for k in range(2)}, list(net.parameters()), own={})
    found = _gramian.gradients(update, ["0", "1"], ["0", "1"], "parameters", rows=False)
    rows = jacobian(update, list(update.shared))
    assert isinstance(found.given, Tensor)
    close(found.gramian, rows @ rows.T)
