"""The gradients at the representation where every task takes it in by a linear layer of its own: all tasks in one pass.

With D_k the gradient of task k's loss for that layer's output and W_k its weights, the gradient for the representation is
D_k W_k^T, and the inner product of two of them is <D_k^T D_l, W_k^T W_l>: neither needs the K gradients, each as large as the
representation, to be written down. D_k of all tasks and their own plain gradients are got by one pass back from the sum of the
losses, for no task's loss depends on another's layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from polytask.core import Entry, Update

from ._passes import back, has_loss, own_of, precise


@dataclass(frozen=True)
class Rows:
    """The gradients of k tasks for the representation, not written down.

    outer: the gradients for the outputs of the tasks' layers, side by side, by block of rows (short ones filled with zeros).
    weight: those layers' weights, side by side. sizes: how many outputs each task has.
    place: where each row of the representation lies among the blocks' rows (None: one block, in order).
    """

    outer: Float[Tensor, "blocks most outputs"]
    weight: Float[Tensor, "blocks inputs outputs"]
    sizes: tuple[int, ...]
    place: Tensor | None
    own: Mapping[str, list[tuple[Tensor, Tensor]]]

    def gramian(self) -> Float[Tensor, "k k"]:
        """The inner products, the cheaper way."""
        rows, (inputs, outputs), k = self.outer[..., 0].numel(), self.weight.shape[1:], len(self.sizes)
        if outputs**2 * (rows + inputs * len(self.weight)) > rows * inputs * (outputs + k**2):
            each = [
                outer @ weight.mT for outer, weight in zip(self._by_task(self.outer), self._by_task(self.weight), strict=True)
            ]
            flat = torch.stack([one.flatten() for one in each])
            return flat @ flat.T
        products = ((self.outer.mT @ self.outer) * (self.weight.mT @ self.weight)).sum(0)
        if outputs == k:
            return products
        owner = torch.repeat_interleave(torch.tensor(self.sizes)).to(products.device)
        half = products.new_zeros(outputs, k).index_add_(1, owner, products)
        return products.new_zeros(k, k).index_add_(0, owner, half)

    def _by_task(self, tensor: Tensor) -> tuple[Tensor, ...]:
        parts: tuple[Tensor, ...] = tensor.split(self.sizes, dim=-1)
        return parts

    def combined(self, weights: Float[Tensor, "k"]) -> Float[Tensor, "n"]:
        """The weighted sum of the tasks' gradients."""
        each = torch.repeat_interleave(weights.to(self.outer), torch.tensor(self.sizes, device=weights.device))
        found = ((self.outer * each) @ self.weight.mT).flatten(0, 1)
        return (found if self.place is None else found[self.place]).flatten()


def usable(entries: Mapping[str, Entry], tasks: Sequence[str]) -> bool:
    """Whether the tasks' layers read the representation alike."""
    found = [entries.get(task) for task in tasks]
    first = found[0] if found else None
    return first is not None and all(
        one is not None and one.place is first.place and len(one.weight) == len(first.weight) for one in found
    )


def gradients(update: Update, tasks: Sequence[str], known: Sequence[str]) -> Rows:
    """The rows of `tasks`, of which some may be missing in this process (theirs are 0), and each known task's own gradients."""
    assert update.entries is not None
    here = [task for task in known if has_loss(update, task)]
    mine = {task: own_of(update, task) for task in known}
    outputs = {task: update.entries[task].output for task in tasks if task in here}
    flat = [parameter for task in here for parameter in mine[task]]
    found = back(update, [update.losses[task] for task in here], [*outputs.values(), *flat])
    outer = dict(zip(outputs, found, strict=False))
    plain = iter(found[len(outputs) :])
    own = {task: [(p, next(plain) if task in here else precise(torch.zeros_like(p))) for p in mine[task]] for task in known}
    parts = [update.entries[task] for task in tasks]
    side = torch.cat([_flat(outer.get(task), entry) for task, entry in zip(tasks, parts, strict=True)], dim=-1)
    weight = torch.cat([precise(entry.weight.detach()) for entry in parts], dim=-1).to(side)
    place, blocks = parts[0].place, len(weight)
    if place is None:
        side = side[None]
    else:
        most = -(-len(side) // blocks)
        side = side.new_zeros(blocks * most, side.shape[1]).index_copy_(0, place, side).unflatten(0, (blocks, most))
    return Rows(side, weight, tuple(entry.weight.shape[-1] for entry in parts), place, own)


def _flat(outer: Tensor | None, entry: Entry) -> Float[Tensor, "rows outputs"]:
    shape = entry.output.flatten(0, -2)
    return precise(torch.zeros_like(shape)) if outer is None else outer.flatten(0, -2)
