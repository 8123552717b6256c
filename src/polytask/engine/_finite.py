"""Losses and weights that are no longer numbers are found at the step where it happens, at little cost."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from polytask.core import RunError

_EVERY = 64
"""Steps between looks: each look waits for the device."""
_FIX = "Lower training.lr, or look for extreme values in"


class Finite:
    """Keeps the losses of the last steps until it has looked at them.

    alone: whether this process trains alone. Several look after an epoch only, so that all of them stop together.
    """

    def __init__(self, alone: bool) -> None:
        self.alone = alone
        self._recent: list[tuple[int, str, Tensor]] = []

    def add(self, step: int, name: str, loss: Tensor) -> None:
        """Take in a loss of a batch of this step (detached); look at all every now and then."""
        if not self.alone:
            return
        if self._recent and step >= self._recent[0][0] + _EVERY:
            self.look()
        self._recent.append((step, name, loss))

    def look(self) -> None:
        """Raises `RunError` naming the step and the tasks whose losses are not finite."""
        recent, self._recent = self._recent, []
        finite = torch.stack([loss.float() for _, _, loss in recent]).isfinite().tolist() if recent else []
        bad = [(step, name) for (step, name, _), fine in zip(recent, finite, strict=True) if not fine]
        if bad:
            raise _error(bad[0][0], [name for step, name in bad if step == bad[0][0]])

    def check(self, step: int, means: Mapping[str, float], trained: Mapping[str, nn.Parameter]) -> None:
        """After an epoch: as `look`; and raises `RunError` for a loss of another process, and for weights."""
        self.look()
        bad = [name for name, mean in means.items() if not torch.tensor(mean).isfinite()]
        if bad:
            raise _error(step, bad)
        fine = [parameter.isfinite().all() for parameter in trained.values()] if self.alone else []
        for name, good in zip(trained, torch.stack(fine).tolist() if fine else [], strict=False):
            if not good:
                raise RunError.of(f"step {step}", f"makes the weights '{name}' not finite", f"{_FIX} the data{_KEPT}")

    @contextmanager
    def predicting(self, step: int) -> Iterator[None]:
        """Adds the step to the error of weights that, though finite, predict no numbers."""
        try:
            yield
        except RunError as error:
            raise RunError.of(f"step {step}", error.faults[0].problem, f"{_FIX} the data{_KEPT}") from None


_KEPT = "; the last checkpoint, if there was one, is kept"


def _error(step: int, names: list[str]) -> Exception:
    whose = "these targets" if len(names) > 1 else "its targets"
    return RunError.of(f"step {step}", f"the loss of {', '.join(dict.fromkeys(names))} is not finite", f"{_FIX} {whose}{_KEPT}")
