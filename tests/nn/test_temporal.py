"""Padding, grids, carrying forward, causal convolutions and time warping, against loops in plain Python."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polytask.core import Ragged
from polytask.nn.temporal import CausalTCN, carry_forward, grid, pad, summary
from polytask.nn.warping import dtw

M = 3
ROWS = st.lists(
    st.lists(st.tuples(st.floats(-3, 9, width=32), st.integers(0, M - 1), st.floats(-2, 2, width=32)), max_size=7),
    min_size=1,
    max_size=4,
)


def ragged(rows) -> Ragged:
    values = torch.tensor([event for row in rows for event in sorted(row, key=lambda e: e[0])]).reshape(-1, 3)
    return Ragged(values, torch.tensor([0, *np.cumsum([len(row) for row in rows]).tolist()]))


def everywhere(column: Ragged) -> torch.Tensor:
    return torch.ones(len(column), dtype=torch.bool)


@given(ROWS, st.integers(1, 9))
def test_padding_keeps_the_last_events(rows, most):
    events = pad(ragged(rows), torch.ones(len(rows), dtype=torch.bool), most)
    for i, row in enumerate(rows):
        kept = sorted(row, key=lambda e: e[0])[-most:]
        assert events.time[i][events.mask[i]].tolist() == [time for time, _, _ in kept]
        assert events.value[i][events.mask[i]].tolist() == [value for _, _, value in kept]


def test_absent_rows_have_no_events():
    events = pad(ragged([[(1, 0, 2.0)], [(1, 1, 3.0)]]), torch.tensor([False, True]), 5)
    assert events.mask.tolist() == [[False], [True]]
    assert events.value[0].tolist() == [0]


@given(ROWS, st.sampled_from([0.5, 1.0, 2.5]), st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_steps_hold_means_carried_forward(rows, step, most):
    column = ragged(rows)
    events = pad(column, everywhere(column), 100)
    on = grid(events, step, most)
    found = carry_forward(events, on, M)
    for i, row in enumerate(rows):
        bins = [int(np.floor(np.float32(time) / np.float32(step))) for time, _, _ in row]
        last = max(bins, default=0)
        first = min(last, max(min([0, *bins]), last + 1 - most))
        assert (int(on.first[i]), int(on.length[i])) == (first, last - first + 1)
        for m in range(M):
            known = 0.0
            for point in range(first, last + 1):
                here = [v for b, (_, n, v) in zip(bins, row, strict=True) if n == m and max(b, first) == point]
                known = float(np.mean(here)) if here else known
                assert abs(float(found[i, point - first, m]) - known) < 1e-5


def test_summaries_hold_last_values_means_and_counts():
    column = ragged([[(0, 0, 1.0), (1, 2, 5.0), (2, 0, 4.0)], []])
    found = summary(column, M)
    assert found[0, :6].tolist() == [4, 0, 5, 2.5, 0, 5]
    np.testing.assert_allclose(found[0, 6:].exp() - 1, [2, 0, 1], atol=1e-6)
    assert not found[1].any()


def test_the_future_changes_no_earlier_output():
    torch.manual_seed(0)
    net = CausalTCN(M, 8, levels=4, kernel=3).eval()
    x = torch.randn(2, 20, M)
    before = net(x)
    for cut in (1, 7, 19):
        changed = torch.cat([x[:, :cut], torch.randn(2, 20 - cut, M)], dim=1)
        torch.testing.assert_close(net(changed)[:, :cut], before[:, :cut], atol=1e-5, rtol=0)
        torch.testing.assert_close(net(x[:, :cut]), before[:, :cut], atol=1e-5, rtol=0)
    assert not torch.allclose(net(changed)[:, 19], before[:, 19])


def test_an_output_sees_as_far_back_as_its_dilations_reach():
    torch.manual_seed(0)
    net = CausalTCN(1, 8, levels=3, kernel=2).eval()
    x = torch.randn(1, 40, 1, requires_grad=True)
    net(x)[0, -1].sum().backward()
    seen = x.grad[0, :, 0].nonzero()[:, 0]
    assert 40 - int(seen.min()) == 1 + 2 * (1 + 2 + 4)  # two convolutions a block, one step back at each dilation


def test_a_causal_convolution_is_the_library_s():
    torch.manual_seed(0)
    net = CausalTCN(M, 5, levels=3, kernel=4).eval()
    x = torch.randn(2, 11, M)
    convolution = net.blocks[2].convolutions[1]
    h = torch.randn(2, 11, 5)
    weight = convolution.linear.weight.unflatten(1, (4, 5)).permute(0, 2, 1).flip(2)
    padded = torch.nn.functional.pad(h.transpose(1, 2), (3 * 4, 0))
    expected = torch.nn.functional.conv1d(padded, weight, convolution.linear.bias, dilation=4)
    torch.testing.assert_close(convolution(h), expected.transpose(1, 2), atol=1e-5, rtol=0)
    assert net(x).shape == (2, 11, 5)


def naive(a, b) -> float:
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            table[i + 1, j + 1] = (a[i] - b[j]) ** 2 + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return table[-1, -1]


@given(st.integers(0, 99))
@settings(deadline=None, max_examples=15)
def test_warping_distances_are_those_of_the_recurrence(seed):
    rng = np.random.default_rng(seed)
    a, b = (torch.from_numpy(rng.normal(size=(2, n, 7))) for n in (5, 4))
    lengths = [torch.from_numpy(rng.integers(1, 8, n)) for n in (5, 4)]
    found = dtw(a, lengths[0], b, lengths[1])
    for c, i, j in np.ndindex(2, 5, 4):
        assert abs(float(found[c, i, j]) - naive(a[c, i, : lengths[0][i]], b[c, j, : lengths[1][j]])) < 1e-9
