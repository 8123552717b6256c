"""Fixed weights, chosen by the user."""

card = {"title": "Fixed weights", "kind": "losses"}

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import Weighting, opt
from polytask.core.errors import OptionError, collect


class Fixed(Weighting):
    """The weights that `weights` gives, by task or in the order of the tasks; a task that it does not name has weight 1."""

    @dataclass(frozen=True)
    class Options:
        """The weights."""

        weights: dict[str, float] | tuple[float, ...] = opt(  # noqa: RUF009
            (), "weights, by task or in the order of the tasks", ours="yours to set"
        )

    sees = "losses"

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(tasks, options)
        given = options.weights
        with collect(OptionError) as faults:
            if isinstance(given, dict):
                for name in given.keys() - set(tasks):
                    faults.unknown("fixed.weights", name, tasks)
            elif given and len(given) != len(tasks):
                faults.add("fixed.weights", f"{len(given)} weights for {len(tasks)} tasks", f"In order: {', '.join(tasks)}")
        by_task = given if isinstance(given, dict) else dict(zip(tasks, given, strict=False))
        self.register_buffer("weights", torch.tensor([by_task.get(task, 1.0) for task in tasks]))

    weights: Tensor

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        return self.weights[present].to(losses)
