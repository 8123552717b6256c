"""Gradient-boosted trees, a model a task: what a user would otherwise pick for a table."""

card = {
    "title": "Gradient-boosted trees a task (scikit-learn)",
    "paper": "Ke et al., LightGBM, NeurIPS 2017 (as HistGradientBoosting of scikit-learn)",
    "year": 2017,
    "field": "tables",
    "kind": "baseline",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from polytask.core import Batch, PerTask, Schema, Solve, Stage, System, Task, opt

from ._boosting import Booster
from ._features import Features

_MOST_CODES = 254  # scikit-learn bins categories as bytes


@dataclass(frozen=True)
class Options:
    """What is tried; the validation rows choose the setting and the number of trees of each task."""

    rates: tuple[float, ...] = opt((0.03, 0.1), "learning rates to try", ours="measured: docs/defaults.md")
    leaves: tuple[int, ...] = opt((8, 31), "most leaves of a tree to try", ours="measured: docs/defaults.md")
    ridge: float = opt(10.0, "ridge penalty of leaf values", ours="measured: docs/defaults.md", ge=0)
    columns: float = opt(
        0.3, "share of the columns that each split may choose from", ours="measured: docs/defaults.md", gt=0, le=1
    )
    rounds: int = opt(1000, "most trees", ours="early stopping", ge=1)
    patience: int = opt(20, "trees without a better validation loss before stopping", ours="usual", ge=1)


class Trees(System):
    """Histogram gradient boosting with native categories and missing values, stopped early by the validation rows.

    Survival is boosted as discrete-time hazards: rows are repeated for each interval in which they are at risk, with the
    interval as a further feature (Bender et al. 2020). Texts enter as latent semantic directions, images and sounds as averages
    of places.
    """

    options_type = Options
    xfail = {"overfits": "a leaf has 20 rows at least: 32 rows give stumps"}

    def __init__(self, features: Features, codes: int, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__(tasks)
        self.features, self.options = features, options
        self.register_buffer("codes", torch.full((len(features.categories), codes), torch.nan))
        self.boosters = PerTask({name: Booster(task) for name, task in tasks.items()})

    codes: Tensor

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "Trees":
        features = Features(schema.inputs)
        most = max((len(features.inputs[name].values) + 1 for name in features.categories), default=0)
        return cls(features, most, schema.tasks, options)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        x = self._matrix(batch)
        return {name: self.boosters[name](x) for name in (self.tasks if tasks is None else tasks)}

    def _matrix(self, batch: Batch) -> Float[Tensor, "rows columns"]:
        """Features, with category codes as scikit-learn wants them: without gaps; unknown as missing."""
        x: Tensor = self.features(batch)
        for place, table in enumerate(self.codes):
            known = x[:, place].isfinite()
            x[:, place] = torch.where(known, table[x[:, place].nan_to_num().long()], torch.nan)
        return x

    def stages(self) -> Sequence[Stage]:
        return [Solve(self.solve, "trees")]

    def solve(self, train: Batch, validation: Batch, seed: int) -> None:
        """Grow the trees of every task that has labels."""
        self.features.fit(train, seed)
        raw = self.features(train)
        for place in range(len(self.codes)):
            found = raw[:, place][raw[:, place].isfinite()].unique().long()
            found = found[found <= _MOST_CODES]
            self.codes[place, found] = torch.arange(len(found), dtype=torch.float32)
        x, held = self._matrix(train), self._matrix(validation)
        settings = self._settings(seed)
        for name in train.tasks:
            booster = self.boosters[name]
            assert isinstance(booster, Booster)
            booster.fit(settings, (x, *_labels(train, name)), (held, *_labels(validation, name)))

    def _settings(self, seed: int) -> list[dict[str, Any]]:
        """What is tried, in scikit-learn's names."""
        o = self.options
        same = {
            "l2_regularization": o.ridge, "max_features": o.columns, "max_iter": o.rounds, "n_iter_no_change": o.patience,
            "early_stopping": True, "random_state": seed, "categorical_features": list(range(len(self.codes))),
        }  # fmt: skip
        return [{"learning_rate": rate, "max_leaf_nodes": leaves} | same for rate, leaves in product(o.rates, o.leaves)]


def _labels(batch: Batch, name: str) -> tuple[Tensor, Tensor]:
    return batch.targets.tensor(name), batch.labelled.tensor(name)
