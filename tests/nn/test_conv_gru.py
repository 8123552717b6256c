"""Convolutional gated units against torch's own, and the initialiser."""

import pytest
import torch
from torch import nn

from polytask.nn.conv_gru import ConvGRU, ConvGRUCell, Initialiser
from polytask.nn.unet import UNet


def test_a_cell_on_one_pixel_is_torchs_unit() -> None:
    torch.manual_seed(0)
    cell, unit = ConvGRUCell(3, 5), nn.GRUCell(3, 5)
    for gate in (cell.reset, cell.update, cell.candidate):
        nn.init.normal_(gate.weight)
    reset, update, candidate = (gate.weight.detach().flatten(1) for gate in (cell.reset, cell.update, cell.candidate))
    biases = [gate.bias.detach() for gate in (cell.reset, cell.update, cell.candidate)]
    # torch: h' = (1 - z) n + z h, so its z is 1 - u, and r is taken on W h where here on h: equal for a diagonal W.
    diagonal = torch.diag(torch.randn(5))
    with torch.no_grad():
        cell.candidate.weight[:, 3:, 0, 0] = diagonal
        unit.weight_ih.copy_(torch.cat([reset[:, :3], -update[:, :3], candidate[:, :3]]))
        unit.weight_hh.copy_(torch.cat([reset[:, 3:], -update[:, 3:], diagonal]))
        unit.bias_ih.copy_(torch.cat([biases[0], -biases[1], biases[2]]))
        unit.bias_hh.zero_()
    x, h = torch.randn(4, 3), torch.randn(4, 5)
    torch.testing.assert_close(cell(x[..., None, None], h[..., None, None]).flatten(1), unit(x, h))


def test_a_cell_starts_as_in_the_paper() -> None:
    cell = ConvGRUCell(4, 4)
    for gate in (cell.reset, cell.update, cell.candidate):
        weight = gate.weight.detach().flatten(1)
        torch.testing.assert_close(weight @ weight.T, torch.eye(4))
    assert [float(gate.bias[0].detach()) for gate in (cell.reset, cell.update, cell.candidate)] == [-1.0, 0.0, 0.0]  # type: ignore[index]


@pytest.mark.parametrize("layers", [1, 3])
def test_layers_have_the_papers_convolutions(layers: int) -> None:
    unit = ConvGRU(2, 6, layers)
    sizes = [(c.kernel_size[0], c.dilation[0]) for c in (*unit.convolutions, unit.last)]
    assert sizes == [*[(5, 1), (3, 2), (3, 1)][:layers], (3, 1)]
    out, state = unit(torch.randn(2, 2, 9, 7), torch.zeros(layers, 2, 6, 9, 7))
    assert out.shape == (2, 2, 9, 7)
    assert state.shape == (layers, 2, 6, 9, 7)


def test_the_next_layer_reads_the_rectified_state() -> None:
    unit, x, state = ConvGRU(2, 4, 2), torch.randn(1, 2, 8, 8), torch.randn(2, 1, 4, 8, 8)
    first = unit.cells[0](unit.convolutions[0](x).relu(), state[0])
    second = unit.cells[1](unit.convolutions[1](first.relu()).relu(), state[1])
    out, new = unit(x, state)
    torch.testing.assert_close(new, torch.stack([first, second]))
    torch.testing.assert_close(out, unit.last(second.relu()))


def test_edges_are_repeated() -> None:
    unit = ConvGRU(2, 4, 1)
    out, state = unit(torch.ones(1, 2, 6, 6), torch.zeros(1, 1, 4, 6, 6))
    for values in (out, state):
        torch.testing.assert_close(values, values[..., :1, :1].expand_as(values))


def test_a_normalised_unit_scales_with_its_input() -> None:
    unit, x, state = ConvGRU(2, 4, 1, normalised=True), torch.randn(2, 2, 8, 8), torch.randn(1, 2, 4, 8, 8)
    shift = torch.tensor([3.0, -1.0])[:, None, None]
    torch.testing.assert_close(unit(5 * x + shift, state)[0], 5 * unit(x, state)[0] + shift, rtol=1e-4, atol=1e-4)


def test_the_initialiser_reads_the_last_scales() -> None:
    x = torch.randn(2, 2, 12, 12)
    for scales, inputs in ((1, 6), (3, 15), (4, 19)):
        start = Initialiser(2, 5, 2, (4, 4, 5, 6), (1, 1, 2, 4), scales)
        assert {out.in_channels for out in start.out} == {inputs}
        state = start(x)
        assert state.shape == (2, 2, 5, 12, 12)
        assert bool((state >= 0).all())


@pytest.mark.parametrize("shape", [(16, 16), (13, 10)])
def test_a_u_net_keeps_the_size_of_the_image(shape: tuple[int, int]) -> None:
    assert UNet(2, 4, 2)(torch.randn(1, 2, *shape)).shape == (1, 2, *shape)
