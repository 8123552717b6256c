"""The Gramian of K gradients at the parameters, layer by layer, so that K copies of the gradient never exist at once.

The graph is walked from the losses to the parameters, once: at each node the K gradients that have arrived are passed on, task
by task, and let go. What is alive is K times what lies between two layers, and K times the parameters of one layer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from polytask.core import Update

from ._passes import back, device_of, has_loss, own_of, precise

Node = Any
"""A node of autograd's graph."""


@dataclass(frozen=True)
class Weighted:
    """The weighted sum of the gradients of `tasks`, by one more pass back."""

    update: Update
    tasks: Sequence[str]
    variables: list[Tensor]

    def combined(self, weights: Float[Tensor, "k"]) -> Float[Tensor, "n"]:
        """This process's share of the weighted sum."""
        with torch.enable_grad():
            weighed = [
                weight * precise(self.update.losses[task])
                for task, weight in zip(self.tasks, weights.detach(), strict=True)
                if has_loss(self.update, task)
            ]
            found = back(self.update, weighed, self.variables)
        return torch.cat([torch.zeros(0, device=weights.device), *(part.flatten() for part in found)])


def walkable(update: Update, known: Sequence[str]) -> bool:
    """Whether autograd's own nodes are all there is: what Python wrote or a compiler made cannot be called one by one."""
    roots = [update.losses[task].grad_fn for task in known if has_loss(update, task)]
    return all(callable(node) for node in [*roots, *_edges(roots)])


def gramian(
    update: Update, tasks: Sequence[str], known: Sequence[str], shared: Sequence[Tensor]
) -> tuple[Float[Tensor, "k k"], dict[str, list[tuple[Tensor, Tensor]]]]:
    """The Gramian of `tasks` for the `shared` parameters, over all processes, and each known task's own plain gradients."""
    roots = {task: update.losses[task] for task in known if has_loss(update, task)}
    device, places = device_of(update), {task: number for number, task in enumerate(tasks)}
    total = torch.zeros(len(tasks), len(tasks), device=device)
    wanted = {id(p): p for p in shared}
    own: dict[int, Tensor] = {}
    for parameter, found in _walk(roots, update.scale):
        if id(parameter) not in wanted:
            own[id(parameter)] = precise(torch.stack(list(found.values())).sum(0)) / update.scale
            continue
        del wanted[id(parameter)]
        total = _added(total, update, parameter, found, places)
    if update.reduce:  # all processes take part in the sums of each parameter, also where none of its tasks is here
        for parameter in wanted.values():
            total = _added(total, update, parameter, {}, places)
    each = {task: own_of(update, task) for task in known}
    zeros = {task: [(p, own.get(id(p), precise(torch.zeros_like(p)))) for p in mine] for task, mine in each.items()}
    return total, zeros


def _added(total: Tensor, update: Update, parameter: Tensor, found: Mapping[str, Tensor], places: Mapping[str, int]) -> Tensor:
    """The Gramian with one parameter's part."""
    rows = precise(parameter.detach()).new_zeros(len(places), parameter.numel())
    for task, gradient in found.items():
        rows[places[task]] = precise(gradient).flatten() / update.scale
    if update.reduce:
        rows = update.reduce(rows)
    return total.to(rows.dtype) + rows @ rows.T


def _walk(roots: Mapping[str, Tensor], scale: Tensor | float) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Each parameter below the losses with the scaled gradients of the losses that depend on it."""
    waiting: dict[Node, dict[str, list[Tensor | None]]] = {}
    for task, loss in roots.items():
        waiting.setdefault(loss.grad_fn, {})[task] = [torch.ones_like(loss) * scale]
    missing = _edges(list(waiting))
    ready = [node for node in waiting if not missing.get(node)]
    while ready:
        node = ready.pop()
        arrived = waiting.pop(node, {})
        if hasattr(node, "variable"):
            yield node.variable, {task: gradient for task, (gradient, *_) in arrived.items() if gradient is not None}
        else:
            for task in list(arrived):
                _pass_on(node, task, arrived.pop(task), waiting)
        for below, _ in node.next_functions:
            if below is not None:
                missing[below] -= 1
                if not missing[below]:
                    ready.append(below)


def _pass_on(node: Node, task: str, arrived: list[Tensor | None], waiting: dict[Node, dict[str, list[Tensor | None]]]) -> None:
    """One task's gradient goes through one node."""
    with torch.no_grad():
        left = node(*arrived)
        for (below, number), gradient in zip(node.next_functions, left if isinstance(left, tuple) else (left,), strict=False):
            if below is None or gradient is None:
                continue
            facts = below._input_metadata
            place = waiting.setdefault(below, {}).setdefault(task, [None] * len(facts))
            gradient = gradient.sum_to_size(facts[number].shape).to(facts[number].dtype)  # what was broadcast comes back summed
            before = place[number]
            place[number] = gradient if before is None else before + gradient


def _edges(roots: Sequence[Node]) -> dict[Node, int]:
    """How many edges lead to each node below the roots."""
    count: dict[Node, int] = {}
    seen, open = set(roots), list(roots)
    while open:
        for below, _ in open.pop().next_functions:
            if below is not None:
                count[below] = count.get(below, 0) + 1
                if below not in seen:
                    seen.add(below)
                    open.append(below)
    return count
