"""The shared representation, and where the tasks take it in, caught as the losses are computed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from polytask.balance import _gramian
from polytask.core import Entry, PerTask, System, Update
from polytask.nn.members import MemberLinear, blocks

_CLOSE = 1e-3
"""Of the largest entry of a Gramian."""


@dataclass
class Caught:
    """What one forward pass showed."""

    representation: Tensor | None = None
    entries: dict[str, Entry | None] = field(default_factory=dict)
    """None for a task that takes the representation in twice."""


class Tap:
    """Catches the output of `System.representation`, and the linear layers of one task alone that read it.

    Whether these layers are all through which the tasks' losses depend on it is checked once an epoch for each task, against
    one pass back a task.
    """

    def __init__(self, system: System) -> None:
        self.place = system.get_submodule(system.representation) if system.representation else None
        self.linear: list[tuple[str, nn.Module]] = [
            (task, layer)
            for module in system.modules()
            if isinstance(module, PerTask)
            for task in module
            for layer in module[task].modules()
            if isinstance(layer, (nn.Linear, MemberLinear))
        ]
        self.holds = True
        self._checked: set[str] = set()

    def start_epoch(self) -> None:
        """Check anew, so that what is believed follows from the epoch alone, in a resumed run too."""
        self.holds, self._checked = True, set()

    @contextmanager
    def open(self, entries: bool) -> Iterator[Caught]:
        """Catch what is computed inside. entries: also where tasks take the representation in."""
        caught = Caught()
        handles = []
        if self.place is not None:
            handles.append(self.place.register_forward_hook(partial(_representation, caught)))
            if entries and self.holds:
                handles += [layer.register_forward_hook(partial(_entry, caught, task)) for task, layer in self.linear]
        try:
            yield caught
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def given(self, representation: Tensor | None) -> Iterator[None]:
        """Inside, the representation is this tensor (None: what the system makes of the batch) and is not computed."""
        if representation is None or self.place is None:
            yield
            return
        before = vars(self.place).get("forward")
        self.place.forward = lambda *inputs, **named: representation  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self.place.forward
            if before is not None:
                self.place.forward = before  # type: ignore[method-assign]

    def update(self, update: Update, caught: Caught) -> Update:
        """The update with what was caught."""
        update = replace(update, representation=caught.representation)
        entries = {task: entry for task, entry in caught.entries.items() if entry is not None}
        losses = [task for task in update.own if task in update.losses]
        if not self.holds or caught.representation is None or not losses or not entries.keys() >= set(losses):
            return update
        with_entries = replace(update, entries=entries)
        if not self._checked.issuperset(losses):
            self.holds = _agree(update, with_entries, losses)
            self._checked.update(losses)
        return with_entries if self.holds else update


def _agree(update: Update, with_entries: Update, tasks: list[str]) -> bool:
    """Whether both ways find the same Gramian here."""
    one, other = (
        _gramian.gradients(replace(way, reduce=None), tasks, tasks, "representation", rows=False).gramian
        for way in (update, with_entries)
    )
    return bool(one.isfinite().all()) and torch.allclose(one, other, rtol=0.0, atol=_CLOSE * float(one.abs().max()))


def _representation(caught: Caught, module: nn.Module, inputs: Any, output: Any) -> None:
    caught.representation = output


def _entry(caught: Caught, task: str, module: nn.Module, inputs: Any, output: Any) -> None:
    if inputs and inputs[0] is caught.representation and caught.representation is not None:
        caught.entries[task] = _of(module, output) if task not in caught.entries else None


def _of(layer: nn.Module, output: Tensor) -> Entry:
    if not isinstance(layer, MemberLinear):
        weight: Tensor = layer.weight  # type: ignore[assignment]
        return Entry(output, weight.T[None])
    place = None if layer.members == 1 else blocks(layer.members, output.shape[-2], output.device)[1]
    return Entry(output, layer.weight, place)
