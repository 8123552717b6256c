"""Dormant neurons of a network that was built to have them; statistics of perturbed weights."""

import pytest
import torch
from torch import Tensor, nn

from polytask.nn.dormant import BestWeights, dormant_ratio, perturb, weight_names
from polytask.nn.experts import StackedLinear
from polytask.nn.moe_topk import TopKMoE


def test_constructed_network() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.9), nn.Linear(8, 2)).train()
    with torch.no_grad():
        net[0].weight[:3].mul_(1e-4), net[0].bias[:3].zero_()
        net[0].weight[3:].fill_(1.0), net[0].bias.fill_(0.0)
        net[3].weight.fill_(1.0), net[3].bias.zero_()
    x = torch.rand(64, 3)
    assert float(dormant_ratio(net, lambda: net(x))) == pytest.approx(3 / 10)
    assert net.training
    assert net[2].training
    assert not net[0]._forward_hooks


def test_each_expert_is_a_layer() -> None:
    stack = StackedLinear(2, 3, 4)
    with torch.no_grad():
        stack.weight.fill_(1.0), stack.bias.zero_()
        stack.weight[1].mul_(1e-6)  # a quiet expert whose neurons are all alike is not dormant
        stack.weight[0, :, 0] = 0.0
    x = torch.rand(5, 2, 3)
    assert float(dormant_ratio(stack, lambda: stack(x))) == pytest.approx(1 / 8)


class Agent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.LayerNorm(4)
        self.moe = TopKMoE(4, 4, experts=3, k=2, hidden=5, gate=4)


def copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def test_names_cover_every_layer_and_nothing_else() -> None:
    agent = Agent()
    assert set(weight_names(agent)) == {name for name in copy(agent) if not name.startswith("norm")}
    assert "moe.hidden.layers.0.weight" in weight_names(agent)


def test_perturbing_moves_experts_gate_and_convolution_once() -> None:
    torch.manual_seed(0)
    agent = Agent()
    with torch.no_grad():
        agent.norm.weight.fill_(3.0)
    before, towards = copy(agent), {name: torch.randn_like(p) for name, p in copy(agent).items() if not name.startswith("norm")}
    perturb(agent, towards, 0.3)
    after = copy(agent)
    for name in weight_names(agent):
        torch.testing.assert_close(after[name], 0.3 * before[name] + 0.7 * towards[name])
        assert not torch.equal(after[name], before[name])
    assert torch.equal(after["norm.weight"], before["norm.weight"])


def test_the_best_are_kept() -> None:
    agent = Agent()
    best = BestWeights(2, agent, weight_names(agent))
    for score in (1.0, 5.0, 3.0, 2.0):
        with torch.no_grad():
            for parameter in agent.parameters():
                parameter.fill_(score)
        best.add(score, agent)
    assert sorted(best.scores.tolist()) == [3.0, 5.0]
    assert sorted(best.weights[:, 0].tolist()) == [3.0, 5.0]
    with torch.no_grad():
        next(agent.parameters()).fill_(-1.0)
    assert best.weights.min() == 3.0, "members are copies"


def test_one_member_draws_nothing_and_many_draw_their_statistics() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(200, 100)
    best = BestWeights(10, layer, weight_names(layer))
    assert best.draw() is None
    best.add(0.0, layer)
    assert best.draw() is None, "one member has no deviation"
    for score in range(1, 10):
        with torch.no_grad():
            layer.weight.copy_(2.0 + 0.5 * torch.randn_like(layer.weight))
            layer.bias.fill_(7.0)
        best.add(float(score), layer)
    with torch.no_grad():
        layer.weight.copy_(2.0 + 0.5 * torch.randn_like(layer.weight))
    best.add(99.0, layer)
    drawn = best.draw()
    assert drawn is not None
    standard = (drawn["weight"] - best.weights[:, :20_000].mean(0).view(100, 200)) / best.weights[:, :20_000].std(0).view(
        100, 200
    )
    assert abs(float(standard.mean())) < 0.03
    assert float(standard.std()) == pytest.approx(1.0, abs=0.03)
    assert drawn["bias"].isfinite().all()


def test_members_are_saved() -> None:
    agent = Agent()
    best, other = (BestWeights(3, agent, weight_names(agent)) for _ in range(2))
    best.add(4.0, agent)
    other.load_state_dict(best.state_dict())
    assert int(other.count) == 1
    assert torch.equal(other.weights, best.weights)
