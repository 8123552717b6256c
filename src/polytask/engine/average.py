"""The running average of weights over steps, which is what is evaluated and kept (Polyak and Juditsky 1992)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """An exponential average of a module's parameters; of no effect with `decay` 0.

    It starts as a plain mean and becomes exponential: the decay at step n is at most (1 + n) / (10 + n).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.names = [name for name, _ in module.named_parameters()] if decay else []
        self.live = [p.data for _, p in module.named_parameters()] if decay else []
        self.mean = [p.clone() for p in self.live]

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        if self.decay:
            torch._foreach_lerp_(self.mean, self.live, 1 - min(self.decay, (1 + step) / (10 + step)))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the module has the averaged weights."""
        own = [p.clone() for p in self.live]
        torch._foreach_copy_(self.live, self.mean) if self.decay else None
        try:
            yield
        finally:
            torch._foreach_copy_(self.live, own) if self.decay else None

    def state_dict(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.mean, strict=True))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, mean in zip(self.names, self.mean, strict=True):
            mean.copy_(state[name])
