"""Stacked layers against loops over plain ones with the same weights."""

import pytest
import torch
from torch import Tensor, nn

from polytask.nn.convolution import SmallCNN
from polytask.nn.experts import ExpertBank, StackedLinear, StackedMLP, StackedSoftmaxGate
from polytask.nn.mlp import MLP


def plain(layer: StackedLinear, number: int) -> nn.Linear:
    """Slice `number` as a layer of its own."""
    weight = layer.weight[number]
    own = nn.Linear(*weight.shape)
    own.load_state_dict({"weight": weight.T, "bias": layer.bias[number]})
    return own


@pytest.mark.parametrize("lead", [(5,), (2, 5)])
def test_stacked_linear_is_a_loop(lead: tuple[int, ...]) -> None:
    layer, x = StackedLinear(3, 4, 2), torch.randn(*lead, 3, 4, requires_grad=True)
    loop = torch.stack([plain(layer, i)(x[..., i, :]) for i in range(3)], dim=-2)
    torch.testing.assert_close(layer(x), loop)
    (grad,) = torch.autograd.grad(layer(x).square().sum(), x)
    (expected,) = torch.autograd.grad(loop.square().sum(), x)
    torch.testing.assert_close(grad, expected)


def test_stacked_layers_start_as_plain_ones_do() -> None:
    torch.manual_seed(0)
    stacked, single = StackedLinear(50, 16, 8), nn.Linear(16, 8)
    for found, expected in ((stacked.weight, single.weight), (stacked.bias, single.bias)):
        assert found.abs().max() <= 0.25
        assert abs(float(found.detach().std()) - 0.25 / 3**0.5) < 0.01
        assert expected.abs().max() <= 0.25


def test_stacked_mlp_is_a_loop() -> None:
    part, x = StackedMLP(3, 4, (5, 2)), torch.randn(6, 3, 4)
    layers = [layer for layer in part.layers if isinstance(layer, StackedLinear)]
    assert part.width == 2
    for i in range(3):
        expected = x[:, i]
        for layer in layers:
            expected = plain(layer, i)(expected).relu()
        torch.testing.assert_close(part(x)[:, i], expected)


@pytest.mark.parametrize("widths", [(5,), (5, 4, 2)])
def test_expert_bank_is_a_loop(widths: tuple[int, ...]) -> None:
    bank, x = ExpertBank(3, 4, widths), torch.randn(2, 6, 4)
    assert bank.width == widths[-1]
    assert bank(x).shape == (2, 6, 3, widths[-1])
    deeper = [layer for layer in bank.rest.layers if isinstance(layer, StackedLinear)]
    for i in range(3):
        first = slice(i * widths[0], (i + 1) * widths[0])
        expected = torch.relu(x @ bank.first.weight[first].T + bank.first.bias[first])
        for layer in deeper:
            expected = plain(layer, i)(expected).relu()
        torch.testing.assert_close(bank(x)[..., i, :], expected)


def test_dropout_is_for_training_alone() -> None:
    x = torch.ones(64, 4)
    for part in (ExpertBank(3, 4, (8,), 0.5), MLP(4, (8,), 0.5)):
        assert part.eval()(x).equal(part(x))
        assert not part.train()(x).equal(part(x))


def test_an_mlp_without_blocks_is_the_identity() -> None:
    x = torch.randn(3, 4)
    assert MLP(4, ())(x).equal(x)
    assert MLP(4, ()).width == 4


def test_gates_are_softmax_mixtures() -> None:
    gate, x, experts = StackedSoftmaxGate(2, 4, 3), torch.randn(5, 2, 4), torch.randn(5, 3, 6)
    for g in range(2):
        weights = torch.softmax(x[:, g] @ gate.weight[g], dim=-1)
        torch.testing.assert_close(gate.weights(x)[:, g], weights)
        torch.testing.assert_close(gate(x, experts)[:, g], sum(weights[:, e, None] * experts[:, e] for e in range(3)))


def test_closed_experts_have_no_weight_and_no_gradient() -> None:
    allowed = torch.tensor([[True, False, True], [False, True, True]])
    gate, x = StackedSoftmaxGate(2, 4, 3, allowed), torch.randn(5, 2, 4)
    experts: Tensor = torch.randn(5, 3, 6, requires_grad=True)
    weights = gate.weights(x)
    assert (weights[:, ~allowed] == 0).all()
    assert (weights[:, allowed] > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, 2))
    gate(x, experts)[:, 0].square().sum().backward()
    assert (experts.grad[:, 1] == 0).all()
    assert (experts.grad[:, [0, 2]].abs().sum((0, 2)) > 0).all()
    assert (gate.weight.grad[0][:, 1] == 0).all()
    assert (gate.weight.grad[1] == 0).all()
    assert torch.isfinite(gate.weight.grad).all()
    assert "closed" not in gate.state_dict()


def test_small_cnn_scales_bytes_and_keeps_rows_apart() -> None:
    torch.manual_seed(0)
    net = SmallCNN(3, 5)
    pixels = torch.randint(0, 256, (4, 3, 20, 13), dtype=torch.uint8)
    out = net(pixels)
    assert out.shape == (4, 5)
    torch.testing.assert_close(out, net(pixels.float() / 127.5 - 1))
    torch.testing.assert_close(net(pixels[2:3])[0], out[2], rtol=1e-4, atol=1e-5)
    out.sum().backward()
    assert all(bool(p.grad.any()) for p in net.parameters())
