"""Dual-balancing multi-task learning."""

card = {
    "title": "Dual-Balancing for Multi-Task Learning",
    "paper": "https://arxiv.org/abs/2308.12029",
    "year": 2023,
    "kind": "gradients",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import OptionError, opt

from ._at import GradientOptions
from ._lazy import LazyBuffers

_LEAST = 1e-8


class DBMTL(LazyBuffers):
    """Logarithms of losses, and their gradients brought to the largest norm (Algorithm 1).

    The shared gradient is sum_k max_j |u_j| / |u_k| u_k, with the running mean u <- b u + (1 - b) g, b = beta / t^sigma, of the
    gradient g of log(L_k + 1e-8). With beta = 0 (our default) the Gramian is all it takes; else the tasks' gradients at the
    parameters are kept, K times the shared parameters. Differs from the paper in that a task's own part gets the plain
    gradient, not that of the logarithm. Tasks that the batch lacks keep their running means.
    """

    @dataclass(frozen=True)
    class Options(GradientOptions):
        """The running mean."""

        beta: float = opt(0.0, "share of the old mean in the running mean of gradients", ours="no memory is needed", ge=0, lt=1)
        sigma: float = opt(0.5, "how fast beta falls with the steps", paper="as LibMTL", ge=0)

    mean: Tensor
    steps: Tensor

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        if options.beta and options.at == "representation":
            problem = "a running mean of gradients is kept at the parameters, for representations are of other rows each step"
            raise OptionError.of("dbmtl.at", problem, "Write at = 'parameters', or beta = 0")
        self.sees = "jacobian" if options.beta else "gramian"
        self.at = "parameters" if options.beta else options.at
        self.register_buffer("mean", torch.zeros(self.total, 0))
        self.register_buffer("steps", torch.zeros(self.total))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        assert seen is not None
        to_log = 1 / (losses.clamp_min(0) + _LEAST)
        if self.sees == "gramian":
            return _to_largest(to_log * seen.diagonal().clamp_min(0).sqrt()) * to_log
        if not self.mean.numel():
            self.mean = seen.new_zeros(self.total, seen.shape[1])
        self.steps[present] += 1
        beta = self.options.beta / self.steps[present] ** self.options.sigma
        self.mean[present] = torch.lerp(to_log[:, None] * seen, self.mean[present], beta[:, None].to(seen))
        return _to_largest(self.mean[present].norm(dim=1)) * to_log

    def combine(
        self, weights: Float[Tensor, "k"], jacobian: Float[Tensor, "k n"], present: Int[Tensor, "k"]
    ) -> Float[Tensor, "n"]:
        means = self.mean[present]
        return _to_largest(means.norm(dim=1)) @ means


def _to_largest(norms: Tensor) -> Tensor:
    """What brings each norm to the largest; at most 1e8, so that the gradient of a finished task is not noise blown up."""
    largest = norms.max()
    return largest / norms.clamp_min(1e-8 * largest).clamp_min(torch.finfo(norms.dtype).tiny)
