"""The option of every rule that sees gradients."""

from dataclasses import dataclass
from typing import Literal

from polytask.core import opt


@dataclass(frozen=True)
class GradientOptions:
    """Where gradients are taken."""

    at: Literal["auto", "representation", "parameters"] = opt(
        "auto",
        "where the tasks' gradients are taken (auto: at the shared representation, else at the shared parameters)",
        ours="the representation costs one pass of the trunk, the parameters one a task",
        choices=("auto", "representation", "parameters"),
    )
