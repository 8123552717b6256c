"""One pass back from a loss, at the loss scale of half precision."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from polytask.core import Update


def precise(tensor: Tensor) -> Tensor:
    """Half precision becomes single: Gramians and weights need it."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def device_of(update: Update) -> torch.device:
    """Where the step takes place; a batch without any label has no losses."""
    return next(chain(update.losses.values(), update.shared, *update.own.values())).device


def own_of(update: Update, task: str) -> list[Tensor]:
    """The trained parameters that a task alone uses."""
    return [p for p in update.own.get(task, ()) if p.requires_grad]


def has_loss(update: Update, task: str) -> bool:
    """Whether the task has a loss here that depends on anything trained."""
    loss = update.losses.get(task)
    return loss is not None and loss.requires_grad


def back(update: Update, losses: Sequence[Tensor], variables: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of the sum of unscaled losses for `variables`; the graph stays.

    Half precision loses small gradients unless the loss is scaled, as the engine's own backward does.
    """
    if not losses or not variables:
        return [precise(torch.zeros_like(variable)) for variable in variables]
    total = losses[0] if len(losses) == 1 else torch.stack([precise(loss) for loss in losses]).sum()
    found = torch.autograd.grad(total * update.scale, variables, retain_graph=True, materialize_grads=True)
    unscaled = isinstance(update.scale, float) and update.scale == 1.0
    return [precise(part) if unscaled else precise(part) / update.scale for part in found]
