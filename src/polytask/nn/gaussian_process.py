"""A Gaussian process of several variables, from irregular events to samples on a grid (Futoma et al. 2017; Moor et al. 2019).

Futoma, Hariharan, Heller, "Learning to detect sepsis with a multitask Gaussian process RNN classifier" (ICML 2017),
https://arxiv.org/abs/1706.04152, section 3; Moor et al. (MLHC 2019), https://arxiv.org/abs/1902.01659, section 3.2.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from .temporal import Events, Grid

_TINY = 1e-12
"""Variance below which an innovation counts as none, so that its root has a gradient."""
_LATE = 1e9
"""Where padding lies in time, in steps: after everything, and independent of it."""


@dataclass(frozen=True)
class Noise:
    """Standard normal numbers, of each row's own or (without the axis of the batch) shared by all rows.

    path: for the events and points in order of time. error: for the events. extra: for the points.
    """

    path: Float64[Tensor, "*batch places variables samples"]
    error: Float64[Tensor, "*batch events samples"]
    extra: Float64[Tensor, "*batch points variables samples"]

    @classmethod
    def draw(
        cls,
        batch: tuple[int, ...],
        events: int,
        points: int,
        variables: int,
        samples: int,
        device: torch.device | None = None,
        generator: torch.Generator | None = None,
    ) -> "Noise":
        """Numbers for so many events and points a row, or fewer."""
        sizes = ((events + points, variables), (events,), (points, variables))
        parts = (torch.randn(*batch, *size, samples, dtype=torch.float64, device=device, generator=generator) for size in sizes)
        return cls(*parts)


class MultitaskGP(nn.Module):
    """`cov(f_i(t), f_j(t')) = (L L^T)_ij exp(-|t - t'| / l)`, observed with noise `s_i + jitter`; times are counted in steps.

    L (lower triangle) starts at the identity, log l at N(1, 0.1), log s_i at N(-2, 0.1), the jitter is 0.1, as in the authors'
    code. All is computed in float64, whole batches at a time; padding is exactly without effect.
    """

    def __init__(self, variables: int, jitter: float = 0.1) -> None:
        super().__init__()
        self.variables, self.jitter = variables, jitter
        self.factor = nn.Parameter(torch.eye(variables))
        self.log_length = nn.Parameter(1 + 0.1 * torch.randn(()))
        self.log_noise = nn.Parameter(-2 + 0.1 * torch.randn(variables))

    def posterior(
        self, events: Events, on: Grid
    ) -> tuple[Float64[Tensor, "batch points variables"], Float64[Tensor, "batch cells cells"]]:
        """Mean and covariance at the points, without the jitter: `mu = K_fy K_y^-1 y`, `Sigma = K_ff - K_fy K_y^-1 K_yf`.

        Cells are points times variables, variables fastest. Without gradient.
        """
        with torch.no_grad():
            time, rows = self._times(events, on), self._rows(events)
            points = on.points.double()
            factor = self._factor(events, rows, self._kernel(time, time))
            cross = (self._kernel(points, time)[:, :, None, :] * rows.transpose(1, 2)[:, None]).flatten(1, 2)
            value = torch.where(events.mask, events.value.double(), 0.0)
            mean = cross @ torch.cholesky_solve(value[..., None], factor)
            both = torch.einsum("bxz,mn->bxmzn", self._kernel(points, points), self._lower @ self._lower.T)
            prior = both.flatten(3, 4).flatten(1, 2)
            covariance = prior - cross @ torch.cholesky_solve(cross.transpose(1, 2), factor)
        return mean.squeeze(-1).unflatten(1, (on.most, self.variables)), covariance

    def forward(self, events: Events, on: Grid, noise: Noise) -> Float64[Tensor, "samples batch points variables"]:
        """Draws of N(mu, Sigma + jitter I) at each row's points, reparameterised: gradients reach L, l and s.

        Drawn by Matheron's rule, `f(x) + K_fy K_y^-1 (y - f(t) - e)` with f and e from the prior, which has that very law and
        needs no factor of Sigma (of points times variables). Deviation: the authors' code factors Sigma, the same in law.
        With a shared `noise`, what a row gives depends on that row alone.
        """
        time, rows = self._times(events, on), self._rows(events)
        n, x = time.shape[1], on.most
        prior, error, extra = noise.path[..., : n + x, :, :], noise.error[..., :n, :], noise.extra[..., :x, :, :]
        points = torch.where(torch.arange(x, device=time.device) < on.length[:, None], on.points.double(), _LATE)
        path = self._path(torch.cat([time, points], dim=1), prior)
        at_events = (path[:, :n] * self._lower[events.variable][..., None]).sum(2)
        scale = self._variance[events.variable].sqrt()[..., None]
        value = torch.where(events.mask, events.value.double(), 0.0)[..., None]
        weights = self._solved(events, rows, time, (value - at_events - scale * error) * events.mask[..., None])
        update = self._product(self._kernel(points, time), rows, weights)
        drawn = torch.einsum("mk,bxks->bxms", self._lower, path[:, n:]) + update
        z: Tensor = drawn + self.jitter**0.5 * extra
        return z.permute(3, 0, 1, 2)

    @property
    def _lower(self) -> Float64[Tensor, "variables variables"]:
        return self.factor.double().tril()

    @property
    def _variance(self) -> Float64[Tensor, "variables"]:
        return self.log_noise.double().exp() + self.jitter

    def _times(self, events: Events, on: Grid) -> Float64[Tensor, "batch events"]:
        return torch.where(events.mask, events.time.double() / on.step, _LATE)

    def _rows(self, events: Events) -> Float64[Tensor, "batch events variables"]:
        """The rows of K^f of the events' variables, zeros where there is no event."""
        return (self._lower @ self._lower.T)[events.variable] * events.mask[..., None]

    def _kernel(
        self, a: Float64[Tensor, "batch first"], b: Float64[Tensor, "batch second"]
    ) -> Float64[Tensor, "batch first second"]:
        fall = (-self.log_length.double()).exp()
        correlation: Tensor = torch.exp((a[:, :, None] - b[:, None, :]).abs() * -fall)
        return correlation

    def _product(
        self,
        kernel: Float64[Tensor, "batch places events"],
        rows: Float64[Tensor, "batch events variables"],
        weights: Float64[Tensor, "batch events samples"],
    ) -> Float64[Tensor, "batch places variables samples"]:
        """The covariance between all variables at the places and the events, times the weights; it is never formed."""
        flat = kernel @ (rows[..., None] * weights[:, :, None]).flatten(2, 3)
        product: Tensor = flat.unflatten(2, (self.variables, -1))
        return product

    def _factor(
        self,
        events: Events,
        rows: Float64[Tensor, "batch events variables"],
        kernel: Float64[Tensor, "batch events events"],
    ) -> Float64[Tensor, "batch events events"]:
        """The Cholesky factor of K_y, without gradient; padding has an identity of its own there."""
        with torch.no_grad():
            covariance = rows.gather(2, events.variable[:, None, :].expand(-1, rows.shape[1], -1)).mul_(kernel)
            covariance.diagonal(dim1=1, dim2=2).add_(torch.where(events.mask, self._variance[events.variable], 1.0))
            factor: Tensor = torch.linalg.cholesky(covariance)
        return factor

    def _solved(
        self,
        events: Events,
        rows: Float64[Tensor, "batch events variables"],
        time: Float64[Tensor, "batch events"],
        right: Float64[Tensor, "batch events samples"],
    ) -> Float64[Tensor, "batch events samples"]:
        """`K_y^-1 right`, with its exact first derivative.

        A step of refinement, `w + K_y^-1 (right - K_y w)`, changes w by rounding errors alone and has the derivative of the
        solution, at a fraction of what going back through the factor costs.
        """
        kernel = self._kernel(time, time)
        factor = self._factor(events, rows.detach(), kernel.detach())
        known = torch.cholesky_solve(right.detach(), factor)
        every = self._product(kernel, rows, known)
        place = events.variable[:, :, None, None].expand(-1, -1, 1, every.shape[3])
        product = every.gather(2, place).squeeze(2) * events.mask[..., None]
        noise = torch.where(events.mask, self._variance[events.variable], 1.0)[..., None]
        solved: Tensor = known + torch.cholesky_solve(right - product - noise * known, factor)
        return solved

    def _path(
        self, time: Float64[Tensor, "batch places"], noise: Float64[Tensor, "*batch places variables samples"]
    ) -> Float64[Tensor, "batch places variables samples"]:
        """Independent stationary Ornstein-Uhlenbeck paths of unit variance at the times, from one number a place.

        In order of time a path is the recurrence `u_i = a_i u_(i-1) + sqrt(1 - a_i^2) e_i`, `a_i = exp(-(t_i - t_(i-1)) / l)`,
        solved here for all places in about log2(places) steps.
        """
        ordered, order = time.sort(dim=1, stable=True)
        fall = ordered.diff(dim=1) * (-self.log_length.double()).exp()
        decay = nn.functional.pad(torch.exp(-fall), (1, 0))  # 0 before the first: it is drawn from the stationary law
        root = nn.functional.pad((-torch.expm1(-2 * fall)).clamp(min=_TINY).sqrt(), (1, 0), value=1.0)
        path, decay = root[..., None, None] * noise, decay[..., None, None]
        reach = 1
        while reach < time.shape[1]:
            path = torch.cat([path[:, :reach], path[:, reach:] + decay[:, reach:] * path[:, :-reach]], dim=1)
            decay = torch.cat([decay[:, :reach], decay[:, reach:] * decay[:, :-reach]], dim=1)
            reach *= 2
        back = order.argsort(dim=1)
        return path.gather(1, back[..., None, None].expand_as(path))
