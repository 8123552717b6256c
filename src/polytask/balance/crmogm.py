"""Smoothed weights of another rule."""

card = {
    "title": "On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond (CR-MOGM)",
    "paper": "https://openreview.net/forum?id=ScwfQ7hdwyP",
    "year": 2022,
    "kind": "gradients",
}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import OptionError, Weighting, opt, registry

from ._at import GradientOptions


class CRMOGM(Weighting):
    """lambda <- alpha lambda + (1 - alpha) w, w the weights of `rule` (with its default options); it starts as the first w."""

    @dataclass(frozen=True)
    class Options(GradientOptions):
        """The rule and the smoothing."""

        rule: str = opt(
            "mgda", "the balancer whose weights are smoothed; one that sees the Gramian", paper="with MGDA, PCGrad, CAGrad"
        )
        alpha: float = opt(0.9, "share of the old weights", ours="torchjd's", ge=0, le=1)

    sees = "gramian"
    smooth: Tensor

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        self.at = options.at
        inner = registry.weighting(options.rule)
        self.inner: Weighting = inner(tasks, inner.Options())
        if self.inner.sees != "gramian" or isinstance(self.inner, CRMOGM):
            raise OptionError.of(
                "crmogm.rule", f"'{options.rule}' gives no weights from a Gramian", "Choose for example 'mgda'"
            )
        self.register_buffer("smooth", torch.full((self.total,), torch.nan))

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        new, old = self.inner(losses, seen, present).to(self.smooth), self.smooth[present]
        self.smooth[present] = torch.lerp(new, torch.where(old.isnan(), new, old), self.options.alpha)
        return self.smooth[present]
