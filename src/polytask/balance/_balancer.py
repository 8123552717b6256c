"""The one balancer: a rule, and the way its Gramian is got."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Balancer, OptionError, Update, Weighting, option, registry

from ._at import GradientOptions
from ._gramian import Gradients, gradients, weighable
from ._passes import device_of, precise


def options(id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a balancer with its value. Raises `OptionError` with all unknown names and values out of range."""
    return option.dump(option.make(registry.weighting(id).Options, values, id))


def make(id: str, tasks: Sequence[str], values: Mapping[str, Any] | None = None) -> Balancer:
    """The balancer `id` for `tasks`.

    Rules that see gradients have the option `at`: "parameters" (exact), "representation" (cheap) or "auto".
    Raises `OptionError` (a name or value is wrong) or `MissingExtra` (with the `pip install` that mends it).
    """
    rule = registry.weighting(id)
    chosen = option.make(rule.Options, values or {}, id)
    made = rule(tasks, chosen)
    if isinstance(chosen, GradientOptions) and chosen.every > 1 and made.sees == "jacobian":
        raise OptionError.of(
            f"{id}.every", "this rule mixes the gradients themselves: it has no weights to keep", "Write every = 1"
        )
    return made if isinstance(made, Balancer) else RuleBalancer(made)


@dataclass(frozen=True)
class Here:
    """The tasks of a batch: their losses (means over the processes that have the task), their numbers and names."""

    losses: Float[Tensor, "k"]
    present: Int[Tensor, "k"]
    tasks: list[str]


class RuleBalancer(Balancer):
    """Balances by a rule.

    A rule that sees losses weighs them: one backward pass of the weighted sum. A rule that sees gradients decides for the
    shared parameters; what a task alone owns gets its task's plain gradient (as in LibMTL and torchjd).
    Losses under names that are no task's (auxiliary objectives) have weight 1 and stay outside the rule.
    """

    def __init__(self, rule: Weighting) -> None:
        super().__init__()
        self.rule = rule
        self.needs_representation = rule.sees != "losses" and rule.at != "parameters"
        self.looks_back = rule.looks_back
        self.every = rule.options.every if isinstance(rule.options, GradientOptions) else 1
        self._age, self._kept = 0, torch.empty(0)
        self._reduce: Callable[[Tensor], Tensor] | None = None

    def step(self, update: Update) -> Float[Tensor, "tasks"]:
        device = device_of(update)
        self._reduce = update.reduce
        used = torch.zeros(self.rule.total, device=device)
        with torch.autocast(device.type, enabled=False):
            here = self._here(update.losses, device)
            parts = [precise(loss) for name, loss in update.losses.items() if name not in self.rule.tasks]
            if here.tasks:
                by = self._by_losses if self.rule.sees == "losses" else self._by_gradients
                weights, balanced = by(update, here)
                used[here.present] = weights.to(used.dtype)
                parts += balanced
            if parts and (total := torch.stack(parts).sum()).requires_grad:
                update.backward(total)
        return used

    def _here(self, losses: Mapping[str, Tensor], device: torch.device) -> Here:
        """The known tasks of the batch, of all processes' together."""
        tasks, zero = self.rule.tasks, torch.zeros((), device=device)
        values = torch.stack([precise(losses[task].detach()) if task in losses else zero for task in tasks])
        share = torch.tensor([float(task in losses) for task in tasks])
        if self._reduce:
            values, share = self._reduce(torch.stack([values, share.to(values)]))
        numbers = share.nonzero().squeeze(1).tolist()
        present = torch.tensor(numbers, dtype=torch.long, device=device)
        return Here(values[present] / share.to(values)[present], present, [tasks[number] for number in numbers])

    def _by_losses(self, update: Update, here: Here) -> tuple[Tensor, list[Tensor]]:
        """The weights, and the weighted losses of this process."""
        weights = self._weights(update, here)
        named = zip(weights, here.tasks, strict=True)
        return weights, [weight * precise(update.losses[name]) for weight, name in named if name in update.losses]

    def _weights(self, update: Update, here: Here) -> Tensor:
        """The weights of a rule that sees losses; its own parameters get their gradients."""
        weights: Tensor = self.rule(here.losses, None, here.present)
        learnt = [p for p in self.rule.parameters() if p.requires_grad]
        if learnt:
            # Apart from the system's: all processes see the same losses here, so these gradients need no average.
            torch.autograd.backward(self.rule.objective(weights, here.losses) * update.scale, inputs=learnt)
        return weights.detach()

    def _by_gradients(self, update: Update, here: Here) -> tuple[Tensor, list[Tensor]]:
        """The weights, and what carries the balanced gradient."""
        if self._age:
            self._age = (self._age + 1) % self.every
            return self._as_before(update, here)
        found = gradients(update, here.tasks, self.rule.tasks, self.rule.at, rows=self.rule.sees == "jacobian")
        with torch.no_grad():
            weights, balanced = direction(self.rule, found, here)
        if self.every > 1 and found.gramian.isfinite().all():
            self._age = 1
            self._kept = torch.full((self.rule.total,), torch.nan, device=weights.device, dtype=weights.dtype)
            self._kept[here.present] = weights
        return weights, [found.carrier(balanced)]

    def _as_before(self, update: Update, here: Here) -> tuple[Tensor, list[Tensor]]:
        """With the weights of an earlier step; a task that it lacked gets their mean."""
        kept = self._kept[here.present]
        weights = torch.where(kept.isnan(), self._kept.nanmean(), kept)
        found = weighable(update, here.tasks, self.rule.tasks, self.rule.at)
        with torch.no_grad():
            balanced = found.combined(weights)
        return weights, [found.carrier(balanced)]

    def observe(self, losses: Mapping[str, Float[Tensor, ""]]) -> None:
        here = self._here(losses, next(iter(losses.values())).device) if losses else None
        if here and here.tasks:
            self.rule.observe(here.losses, here.present)

    def start_epoch(self, number: int) -> None:
        self._age = 0  # so that nothing of an epoch before is needed to go on from a checkpoint
        self.rule.start_epoch(number)


def direction(rule: Weighting, found: Gradients, here: Here) -> tuple[Float[Tensor, "k"], Float[Tensor, "n"]]:
    """The weights of a rule that sees gradients, and the gradient that the shared parameters get."""
    if not found.gramian.isfinite().all():
        # An overflow of half precision: it goes on, for the loss scaler to see, but not into the rule's state.
        weights = torch.ones_like(here.losses)
        return weights, found.combined(weights)
    if rule.sees == "gramian":
        weights = rule(here.losses, found.gramian, here.present).to(found.gramian.dtype)
        return weights, found.combined(weights)
    weights = rule(here.losses, found.rows, here.present)
    return weights, rule.combine(weights, found.rows, here.present)
