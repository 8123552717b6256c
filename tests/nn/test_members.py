"""Members: what each of them computes does not depend on how rows are sent to them."""

import pytest
import torch

from polytask.core import Schema
from polytask.nn.heads import Head, Heads
from polytask.nn.members import MemberLinear, Members, shares
from polytask.nn.mlp import MLP


@pytest.mark.parametrize(("members", "rows"), [(1, 5), (3, 3), (4, 10), (4, 2), (16, 256)])
def test_shares_are_equal_to_one_row(members: int, rows: int) -> None:
    share = shares(members, rows, torch.device("cpu"))
    assert share.diff().ge(0).all()
    counts = share.bincount(minlength=members)
    assert len(counts) == members
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("members", [2, 3, 5])
@pytest.mark.parametrize("rows", [1, 2, 11, 30])
def test_training_is_each_rows_own_member_of_evaluation(members: int, rows: int) -> None:
    torch.manual_seed(members)
    net = torch.nn.Sequential(Members(members, 4), MLP(4, (6,)), MemberLinear(members, 6, 2))
    x = torch.randn(rows, 4)
    every = net.eval()(x)
    assert every.shape == (members, rows, 2)
    own = shares(members, rows, x.device)
    torch.testing.assert_close(net.train()(x), every[own, torch.arange(rows)])


def test_looking_first_does_not_hinder_training() -> None:
    linear, x = MemberLinear(3, 4, 2), torch.randn(23, 4, requires_grad=True)
    with torch.inference_mode():
        linear(x.detach())
    linear(x).square().sum().backward()
    assert x.grad.any()


def test_each_member_is_a_network_of_its_own() -> None:
    torch.manual_seed(0)
    adapter, linear, x = Members(3, 4), MemberLinear(3, 4, 2), torch.randn(5, 4)
    found = linear.eval()(adapter.eval()(x))
    for m in range(3):
        torch.testing.assert_close(found[m], (x * adapter.scale[m]) @ linear.weight[m] + linear.bias[m, 0])
    assert adapter.scale.abs().eq(1).all()


def test_a_row_teaches_its_member_alone() -> None:
    torch.manual_seed(0)
    adapter, linear = Members(3, 4), MemberLinear(3, 4, 2)
    out = linear(adapter(torch.randn(6, 4)))
    out[2:4].sum().backward()  # the rows of member 1
    for parameter in (adapter.scale, linear.weight, linear.bias):
        taught = parameter.grad.flatten(1).abs().sum(1) > 0
        assert taught.tolist() == [False, True, False]


def test_one_member_is_a_plain_network() -> None:
    x = torch.randn(5, 4)
    assert Members(1, 4)(x) is x
    assert not list(Members(1, 4).parameters())
    linear = MemberLinear(1, 4, 2)
    assert linear.eval()(x).equal(linear.train()(x))
    torch.testing.assert_close(linear(x), torch.nn.functional.linear(x, linear.weight[0].T, linear.bias[0, 0]))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3)])
def test_heads_give_each_tasks_shape(members: int, shape: tuple[int, ...]) -> None:
    head, x = Head(5, shape, members, hidden=(6,), dropout=0.0), torch.randn(7, 5)
    assert head(x).shape == (7, *shape)
    many = x.expand(members, 7, 5) if members > 1 else x
    assert head.eval()(many).shape == ((members, 7, *shape) if members > 1 else (7, *shape))
    torch.testing.assert_close(head(many).flatten(-len(shape)), head.out(head.tower(many)))


def test_heads_choose_tasks_and_take_features_of_each() -> None:
    tasks = Schema.parse({"inputs": {}, "tasks": {"a": "binary", "b": "multiclass 3"}}).tasks
    heads, x, y = Heads(tasks, 4), torch.randn(5, 4), torch.randn(5, 4)
    assert list(heads(x)) == ["a", "b"]
    assert list(heads(x, ("b",))) == ["b"]
    each = heads({"a": x, "b": y})
    assert each["a"].equal(heads(x)["a"])
    assert each["b"].equal(heads(y)["b"])
