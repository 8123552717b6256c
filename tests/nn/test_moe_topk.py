"""The top-k mixture against a reference that computes each row's experts alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polytask.nn.moe_topk import TopKMoE


def by_rows(moe: TopKMoE, x: Tensor) -> Tensor:
    rows = []
    for row in x:
        gates = torch.softmax(moe.gate(row), dim=-1).tolist()
        best = sorted(range(moe.experts), key=lambda e: -gates[e])[: moe.k]
        total = sum(gates[e] for e in best)
        first, last = moe.hidden.layers[0], moe.out
        outputs = [torch.relu(row @ first.weight[e] + first.bias[e]) @ last.weight[e] + last.bias[e] for e in best]
        rows.append(sum(gates[e] / total * y for e, y in zip(best, outputs, strict=True)))
    return torch.stack(rows)


@settings(max_examples=20, deadline=None)
@given(experts=st.integers(1, 6), data=st.data())
def test_equals_the_reference(experts: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, experts))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    moe, x = TopKMoE(5, 3, experts, k, hidden=4, gate=6).eval(), torch.randn(7, 5)
    torch.testing.assert_close(moe(x).output, by_rows(moe, x), rtol=1e-4, atol=1e-5)


def test_weights_and_usage() -> None:
    torch.manual_seed(0)
    moe = TopKMoE(5, 3, experts=6, k=2, hidden=4, gate=6).eval()
    mixed = moe(torch.randn(40, 5))
    assert ((mixed.weights > 0).sum(1) == 2).all()
    torch.testing.assert_close(mixed.weights.sum(1), torch.ones(40))
    torch.testing.assert_close(mixed.usage, (mixed.weights > 0).float().mean(0))
    torch.testing.assert_close(mixed.spread, mixed.usage.var())
    assert float(mixed.usage.sum()) == pytest.approx(2)


def test_terms_at_balance_and_at_collapse() -> None:
    moe = TopKMoE(2, 1, experts=4, k=1, hidden=2, gate=4).eval()
    last = moe.gate[-1]
    with torch.no_grad():
        moe.gate[0].weight.zero_(), moe.gate[0].bias.zero_(), last.weight.zero_(), last.bias.zero_()
    even = moe(torch.randn(8, 2))
    assert float(even.entropy) == pytest.approx(torch.log(torch.tensor(4.0)).item())
    assert float(even.balance) == pytest.approx(1)  # mean gates are equal, whatever is chosen
    with torch.no_grad():
        last.bias.copy_(torch.tensor([50.0, 0, 0, 0]))
    one = moe(torch.randn(8, 2))
    assert float(one.entropy) == pytest.approx(0, abs=1e-5)
    assert float(one.balance) == pytest.approx(4)
    assert one.usage.tolist() == [1, 0, 0, 0]


def test_only_the_balance_term_lowers_what_is_used_most() -> None:
    torch.manual_seed(0)
    moe = TopKMoE(2, 1, experts=3, k=1, hidden=2, gate=4).eval()
    bias = moe.gate[-1].bias
    with torch.no_grad():
        bias.copy_(torch.tensor([1.0, 0, 0]))
        moe.gate[-1].weight.zero_()
    mixed = moe(torch.randn(9, 2))
    assert not mixed.spread.requires_grad
    (toward,) = torch.autograd.grad(mixed.balance, bias, retain_graph=True)
    assert toward[0] > 0 > toward[1]
    (sharper,) = torch.autograd.grad(mixed.entropy, bias)
    assert sharper[0] < 0  # descending on the entropy raises the largest gate


def test_counted_rows_alone_make_the_terms() -> None:
    torch.manual_seed(1)
    moe, x = TopKMoE(5, 3, experts=4, k=2, hidden=4, gate=6).eval(), torch.randn(10, 5)
    counted = torch.arange(10) < 6
    some, alone = moe(x, counted), moe(x[:6])
    for name in ("usage", "spread", "entropy", "balance"):
        torch.testing.assert_close(getattr(some, name), getattr(alone, name))


def test_k_must_fit() -> None:
    with pytest.raises(ValueError, match="k 3 of 2 experts"):
        TopKMoE(2, 2, experts=2, k=3, hidden=2, gate=2)
