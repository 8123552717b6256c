"""What one cell of a claim gives: an arm's numbers under one seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measured:
    """The outcome of `measure(arm, seed, size)`.

    metrics: by name; a metric that this arm does not have is left out.
    parameters: how many numbers the arm's model learns (of its largest model, where it has several).
    steps: gradient updates, those of pretraining included; 0 where nothing is learnt.
    tried: how many settings were tried on validation rows before this one was measured.
    curves: what the page draws, by name: a value an epoch.
    """

    metrics: Mapping[str, float]
    parameters: int
    steps: int
    tried: int = 1
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
