"""The options of every rule that sees gradients."""

from dataclasses import dataclass
from typing import Literal

from polytask.core import opt


@dataclass(frozen=True)
class GradientOptions:
    """Where gradients are taken, and how often."""

    at: Literal["auto", "representation", "parameters"] = opt(
        "auto",
        "where the tasks' gradients are taken (auto: at the shared representation, else at the shared parameters)",
        ours="the representation costs one pass of the trunk, the parameters one a task",
        choices=("auto", "representation", "parameters"),
    )
    every: int = opt(
        1, "steps for which weights are kept; between, a step costs what a plain one does", ours="1 is the paper's", ge=1
    )
