"""The Gaussian process against its closed form, against gpytorch, and against itself in other batches."""

import gpytorch
import numpy as np
import torch

from polytask.core import Ragged
from polytask.nn.gaussian_process import MultitaskGP, Noise
from polytask.nn.temporal import Events, Grid, grid, pad

M, STEP, JITTER = 3, 0.5, 0.1


def events(counts: tuple[int, ...], seed: int = 0) -> Events:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for count in counts:
        time = (4 * torch.rand(count, generator=generator)).sort().values
        rows.append(torch.stack([time, torch.arange(count) % M, torch.randn(count, generator=generator)], dim=1))
    offsets = torch.tensor([0, *np.cumsum(counts).tolist()])
    return pad(Ragged(torch.cat(rows), offsets), torch.ones(len(counts), dtype=torch.bool), 100)


def process() -> MultitaskGP:
    torch.manual_seed(3)
    gp = MultitaskGP(M, JITTER).double()
    with torch.no_grad():
        gp.factor.add_(0.4 * torch.randn(M, M))
    return gp


def closed_form(gp: MultitaskGP, found: Events, on: Grid, row: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Mean and covariance of one row, by inverses in numpy, loops over cells; and the matrices on the way."""
    keep = found.mask[row].numpy()
    t, v, y = (getattr(found, name)[row].double().numpy()[keep] for name in ("time", "variable", "value"))
    t, v = t / STEP, v.astype(int)
    lower = np.tril(gp.factor.detach().numpy())
    K, length, s = lower @ lower.T, float(gp.log_length.detach().exp()), gp.log_noise.detach().exp().numpy()
    cells = [(x, m) for x in on.points[row, : on.length[row]].tolist() for m in range(M)]
    Ky = np.array([[K[v[i], v[j]] * np.exp(-abs(t[i] - t[j]) / length) for j in range(len(t))] for i in range(len(t))])
    Ky += np.diag(s[v] + JITTER)
    Kfy = np.array([[K[m, v[j]] * np.exp(-abs(x - t[j]) / length) for j in range(len(t))] for x, m in cells])
    Kff = np.array([[K[m, n] * np.exp(-abs(x - z) / length) for z, n in cells] for x, m in cells])
    mean, covariance = Kfy @ np.linalg.inv(Ky) @ y, Kff - Kfy @ np.linalg.inv(Ky) @ Kfy.T
    return mean, covariance, {"t": t, "v": v, "y": y, "noise": s[v] + JITTER, "cells": np.array(cells)}


def test_mean_and_covariance_are_those_of_the_closed_form():
    gp, found = process(), events((7, 1, 4))
    on = grid(found, STEP, 20)
    mean, covariance = gp.posterior(found, on)
    for row in range(3):
        expected, between, _ = closed_form(gp, found, on, row)
        n = int(on.length[row])
        np.testing.assert_allclose(mean[row, :n].flatten().numpy(), expected, atol=1e-10)
        np.testing.assert_allclose(covariance[row, : n * M, : n * M].numpy(), between, atol=1e-10)


class Reference(gpytorch.models.ExactGP):
    def __init__(self, x, y, likelihood, gp):
        super().__init__(x, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.time = gpytorch.kernels.MaternKernel(nu=0.5, active_dims=(0,))
        self.task = gpytorch.kernels.IndexKernel(num_tasks=M, rank=M, active_dims=(1,))
        self.double()
        self.time.lengthscale = gp.log_length.exp().detach()
        self.task.covar_factor.data = gp.factor.detach().tril()
        self.task.raw_var.data.fill_(-60.0)

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.time(x) * self.task(x))


def test_mean_and_covariance_are_those_of_gpytorch():
    gp, found = process(), events((9,))
    on = grid(found, STEP, 20)
    _, _, at = closed_form(gp, found, on, 0)
    x = torch.tensor(np.stack([at["t"], at["v"]], axis=1))
    likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(torch.tensor(at["noise"]))
    model = Reference(x, torch.tensor(at["y"]), likelihood, gp).eval()
    with torch.no_grad():
        expected = model(torch.tensor(at["cells"]))
        mean, covariance = gp.posterior(found, on)
        torch.testing.assert_close(mean.flatten(), expected.mean, atol=1e-8, rtol=0)
        torch.testing.assert_close(covariance[0], expected.covariance_matrix, atol=1e-8, rtol=0)


def test_draws_have_the_mean_and_covariance_of_the_posterior():
    gp, found, samples = process(), events((6,)), 40_000
    on = grid(found, STEP, 6)
    torch.manual_seed(0)
    with torch.no_grad():
        z = gp(found, on, Noise.draw((1,), 6, on.most, M, samples))[:, 0].flatten(1)
    mean, covariance = gp.posterior(found, on)
    torch.testing.assert_close(z.mean(0), mean.flatten(), atol=0.03, rtol=0)
    torch.testing.assert_close(z.T.cov(), covariance[0] + JITTER * torch.eye(z.shape[1]), atol=0.04, rtol=0)


def test_derivatives_are_those_of_finite_differences_and_reach_every_parameter():
    gp, found = process(), events((5, 3))
    on = grid(found, STEP, 6)
    noise = Noise.draw((2,), 5, on.most, M, 2, generator=torch.Generator().manual_seed(1))
    names = ("factor", "log_length", "log_noise")

    def draws(*values):
        return torch.func.functional_call(gp, dict(zip(names, values, strict=True)), (found, on, noise))

    values = [getattr(gp, name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(draws, values)
    for gradient in torch.autograd.grad(draws(*values).square().sum(), values):
        assert gradient.any()


def test_what_a_row_gives_depends_on_that_row_alone():
    gp, several, alone = process(), events((8, 3, 5)), events((8, 3, 5))
    noise = Noise.draw((), 30, 20, M, 4, generator=torch.Generator().manual_seed(1))
    on = grid(several, STEP, 20)
    every = gp(several, on, noise)
    for row, count in enumerate((8, 3, 5)):
        one = Events(*(part[row : row + 1, :count] for part in vars(alone).values()))
        where = grid(one, STEP, 20)
        length = int(where.length[0])
        assert length == on.length[row]
        torch.testing.assert_close(gp(one, where, noise)[:, 0, :length], every[:, row, :length], atol=1e-10, rtol=0)


def test_without_events_draws_come_from_the_prior():
    gp = process()
    none = Events(torch.zeros(1, 1), torch.zeros(1, 1).long(), torch.zeros(1, 1), torch.zeros(1, 1).bool())
    torch.manual_seed(0)
    z = gp(none, grid(none, STEP, 4), Noise.draw((1,), 1, 1, M, 40_000))[:, 0, 0]
    lower = gp.factor.detach().tril()
    torch.testing.assert_close(z.detach().T.cov(), lower @ lower.T + JITTER * torch.eye(M), atol=0.05, rtol=0)


def test_events_at_the_same_moment_have_finite_derivatives():
    gp, found = process(), events((6,))
    same = Events(torch.ones_like(found.time), found.variable, found.value, found.mask)
    gp(same, grid(same, STEP, 6), Noise.draw((1,), 6, 6, M, 2)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in gp.parameters())
