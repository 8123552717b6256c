"""Linear models, one a task."""

card = {
    "title": "A linear model a task",
    "field": "tables",
    "kind": "baseline",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from polytask.core import Batch, PerTask, Schema, Solve, Stage, System, Task, opt

from ._features import Features
from ._solve import minimise


@dataclass(frozen=True)
class Options:
    """How much the weights are shrunk."""

    penalties: tuple[float, ...] = opt(
        (1e-4, 1e-3, 1e-2, 1e-1), "ridge penalties to try; each task's is chosen on the validation rows", ours="a usual grid"
    )


class Linear(System):
    """Each task's own loss on a linear function of the inputs, solved to its optimum: logistic, least squares, hazards.

    Categories are one-hot, numbers scaled as for every system, absent values zero with an indicator.
    """

    options_type = Options
    xfail = {"overfits": "32 rows are not linear in four inputs"}

    def __init__(
        self, features: Features, sizes: Sequence[int], width: int, tasks: Mapping[str, Task], options: Options
    ) -> None:
        super().__init__(tasks)
        self.features, self.sizes, self.options = features, tuple(sizes), options
        columns = sum(sizes) + 2 * width
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.layers = PerTask({name: nn.Linear(columns, prod(task.output_shape)) for name, task in tasks.items()})

    centre: Tensor
    spread: Tensor

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "Linear":
        features = Features(schema.inputs)
        sizes = [len(features.inputs[name].values) + 1 for name in features.categories]
        with torch.no_grad():
            width = features(schema.example(2)).shape[1] - len(sizes)
        return cls(features, sizes, width, schema.tasks, options)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        return self._outputs(self._columns(self.features(batch)), self.tasks if tasks is None else tasks)

    def _outputs(self, x: Float[Tensor, "rows columns"], tasks: Iterable[str]) -> dict[str, Tensor]:
        return {name: self.layers[name](x).unflatten(-1, self.tasks[name].output_shape) for name in tasks}

    def _columns(self, raw: Float[Tensor, "rows raw"]) -> Float[Tensor, "rows columns"]:
        codes, numbers = raw[:, : len(self.sizes)], raw[:, len(self.sizes) :]
        hot = [
            F.one_hot(c.nan_to_num(size).long(), size + 1)[:, :size]
            for c, size in zip(codes.unbind(1), self.sizes, strict=True)
        ]
        absent = numbers.isnan()
        scaled = torch.where(absent, 0.0, (numbers - self.centre) / self.spread)
        return torch.cat([*hot, scaled, absent], dim=1).float()

    def stages(self) -> Sequence[Stage]:
        return [Solve(self.solve, "linear models")]

    def solve(self, train: Batch, validation: Batch, seed: int) -> None:
        """Solve every task for every penalty, the strongest first; keep the best on the validation rows."""
        self.features.fit(train, seed)
        with torch.no_grad():
            raw, held_raw = self.features(train), self.features(validation)
            numbers = raw[:, len(self.sizes) :]
            self.centre.copy_(numbers.nanmean(0).nan_to_num())
            self.spread.copy_(((numbers - self.centre) ** 2).nanmean(0).sqrt().nan_to_num(1.0).clamp(min=1e-6))
            x, held = self._columns(raw), self._columns(held_raw)
        for name in train.tasks:
            self._solve_task(name, x, train, held, validation)

    def _solve_task(self, name: str, x: Tensor, train: Batch, held: Tensor, validation: Batch) -> None:
        layer = self.layers[name]
        assert isinstance(layer, nn.Linear)

        def loss(x: Tensor, batch: Batch, penalty: float = 0.0) -> Tensor:
            plain = self.task_losses(self._outputs(x, [name]), batch)[name]
            return plain + penalty * layer.weight.square().sum()

        found: list[tuple[float, dict[str, Tensor]]] = []
        for penalty in sorted(self.options.penalties, reverse=True):
            minimise(list(layer.parameters()), partial(loss, x, train, penalty))
            with torch.no_grad():
                score = float(loss(held, validation))
            found.append((score, {key: value.clone() for key, value in layer.state_dict().items()}))
        layer.load_state_dict(min(found, key=lambda each: each[0])[1])
