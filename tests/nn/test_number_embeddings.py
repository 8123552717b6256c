"""Embeddings of numbers against their papers' formulas."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polytask.nn.numbers import Missing, Periodic, PiecewiseLinear

tenths = st.lists(st.integers(-60, 60), min_size=2, max_size=9, unique=True)
edges_of_a_number = tenths.map(lambda edges: [edge / 10 for edge in sorted(edges)])
numbers = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=12)


def equation_1(x: float, edges: list[float]) -> list[float]:
    """Gorishniy et al. 2022, equation 1: e_t is 0 below its bin unless t = 1, 1 above it unless t = T, else linear."""
    bins = len(edges) - 1
    code = []
    for t in range(1, bins + 1):
        low, high = edges[t - 1], edges[t]
        if x < low and t > 1:
            code.append(0.0)
        elif x >= high and t < bins:
            code.append(1.0)
        else:
            code.append((x - low) / (high - low))
    return code


@given(st.lists(edges_of_a_number, min_size=1, max_size=4), numbers)
def test_encoding_is_equation_1(edges: list[list[float]], values: list[float]) -> None:
    part = PiecewiseLinear(edges, 2)
    x = torch.tensor(values)[:, None].expand(-1, len(edges)).contiguous()
    found = part.encode(x).numpy()
    assert found.shape == (len(values), len(edges), max(map(len, edges)) - 1)
    for i, own in enumerate(edges):
        expected = np.array([equation_1(value, own) for value in values])
        np.testing.assert_allclose(found[:, i, : len(own) - 1], expected, rtol=1e-4, atol=1e-4)
        assert (found[:, i, len(own) - 1 :] == 0).all()


@given(edges_of_a_number, numbers)
def test_encoding_is_monotone_and_continuous(edges: list[float], values: list[float]) -> None:
    x = torch.tensor(values).sort().values
    code = PiecewiseLinear([edges], 1).encode(x[:, None])[:, 0]
    rise, steps = code.diff(dim=0), x.diff()
    assert (rise >= 0).all()
    steepest = 1 / min(b - a for a, b in pairwise(edges))
    assert (rise <= steps[:, None] * steepest * 1.001 + 1e-4).all()


def test_outside_the_edges_it_goes_on_linearly() -> None:
    code = PiecewiseLinear([[0.0, 1.0, 3.0]], 1).encode(torch.tensor([[-2.0], [-1.0], [5.0], [7.0]]))[:, 0]
    assert code.tolist() == [[-2, 0], [-1, 0], [1, 2], [1, 3]]


def test_untrained_it_is_linear_and_trained_it_bends() -> None:
    part = PiecewiseLinear([[-1.0, 0.0, 2.0], [0.0, 1.0]], 3)
    x = torch.linspace(-3, 3, 7)[:, None].expand(-1, 2).contiguous()
    torch.testing.assert_close(part(x).diff(n=2, dim=0), torch.zeros(5, 2, 3), atol=1e-5, rtol=0)
    part(x).square().sum().backward()
    used = torch.tensor([[True, True], [True, False]])
    assert (part.bins.grad.abs().sum(-1) > 0).equal(used)
    with torch.no_grad():
        part.bins.normal_()
    for i in range(2):
        by_hand = part.encode(x)[:, i] @ part.bins[i] + x[:, i, None] * part.slope[i] + part.bias[i]
        torch.testing.assert_close(part(x)[:, i], by_hand)


def test_periodic_is_sines_and_cosines() -> None:
    torch.manual_seed(0)
    part, x = Periodic(3, 4, frequencies=5), torch.randn(6, 3)
    for i in range(3):
        angles = 2 * math.pi * x[:, i, None].double().numpy() * part.frequencies[i].detach().double().numpy()
        waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        by_hand = np.maximum(waves @ part.weight[i].detach().double().numpy() + part.bias[i].detach().double().numpy(), 0)
        np.testing.assert_allclose(part(x)[:, i].detach().numpy(), by_hand, rtol=1e-4, atol=1e-5)
    part(x).sum().backward()
    assert all(bool(p.grad.any()) for p in part.parameters())


@pytest.mark.parametrize("absent", ["learned", "zero"])
def test_absent_values_are_replaced(absent: str) -> None:
    part, x = Missing(2, 3, absent), torch.randn(4, 2, 3)
    present = torch.tensor([[True, False], [True, True], [False, False], [False, True]])
    if absent == "learned":
        torch.nn.init.normal_(part.vector)
    found = part(x, present)
    assert found[present].equal(x[present])
    assert found[~present].equal(part.vector.expand(4, 2, 3)[~present])
    assert len(list(part.parameters())) == (absent == "learned")
    if absent == "zero":
        assert (found[~present] == 0).all()
