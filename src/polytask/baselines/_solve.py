"""Convex problems by L-BFGS on all rows."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def minimise(parameters: Sequence[nn.Parameter], objective: Callable[[], Tensor], iterations: int = 200) -> float:
    """Minimise in place from where the parameters stand; the value reached."""
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=iterations,
        tolerance_grad=1e-6,
        tolerance_change=1e-8,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        return float(objective().detach())
