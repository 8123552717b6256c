"""A stage: one phase of training. Stages are the only way in which a system changes how it is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn
from torch.optim import Optimizer

from .batch import Batch
from .source import Source


@dataclass(frozen=True)
class Parameters:
    """Parameters with their own learning rate (a multiple of the run's), weight decay (None: the run's) and clipping.

    clip: the largest norm of their gradient taken together (None: no limit but the run's).
    """

    parameters: Sequence[nn.Parameter]
    lr: float = 1.0
    weight_decay: float | None = None
    clip: float | None = None


@dataclass(frozen=True)
class Fit:
    """Gradient descent on losses, stopped early by the validation rows.

    losses: the name of the system's method `(batch) -> {name: scalar}`.
    tasks: the tasks whose losses count and whose metrics stop it (None: all).
    parameters: what is trained (None: all that requires a gradient).
    source: where batches come from (None: the run's training rows).
    length: this stage's share of the run's epochs.
    score: the name of the system's method `() -> float`, higher being better, whose best weights are kept (None: the mean of
        the validation metrics, or without any the negative training loss).
    patience: whether it may end before its length.
    before: called once, as the stage starts.
    after: called after every update with the optimizer and the number of updates of this stage so far.
    """

    name: str = "fit"
    losses: str = "losses"
    tasks: tuple[str, ...] | None = None
    parameters: Sequence[Parameters] | None = None
    source: Source | None = None
    length: float = 1.0
    score: str | None = None
    patience: bool = True
    before: Callable[[], None] | None = None
    after: Callable[[Optimizer, int], None] | None = None


@dataclass(frozen=True)
class Solve:
    """Anything that is not gradient descent over epochs: `run(train, validation, seed)` changes the system in place."""

    run: Callable[[Batch, Batch, int], None]
    name: str = "solve"


Stage: TypeAlias = Fit | Solve
