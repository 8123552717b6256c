"""One task as boosted trees: what is fitted for each kind of task, and how its scores become the task's raw output."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from torch import Tensor, nn
from torch.nn.functional import softplus

from polytask.core import OptionError, Task, registry

from ._forest import Forest

Rows: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Features `(rows, columns)`, targets and `labelled`."""
_LEAST = 1e-6
_BINS = 20


@dataclass(frozen=True)
class Grid:
    """The settings to try, and what bounds each fit."""

    rates: tuple[float, ...]
    leaves: tuple[int, ...]
    ridge: float
    columns: float
    rounds: int
    patience: int
    categories: int
    seed: int


class Booster(nn.Module):
    """The trees of one task: `(rows, columns)` -> the task's raw output."""

    task: Any  # kinds differ in what trees need of them

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        outputs = task.output_shape[0]
        if task.kind in ("multilabel", "quantile"):
            self.forests = nn.ModuleList(Forest() for _ in range(outputs))
        else:
            self.forests = nn.ModuleList([Forest(outputs if task.kind in ("multiclass", "ordinal") else 1)])
        ends = self.task.ends if self.task.kind == "survival" else (0.0,) * _BINS
        self.register_buffer("ends", torch.tensor(ends, dtype=torch.float64))

    ends: Tensor

    def forward(self, x: Float[Tensor, "rows columns"]) -> Float[Tensor, "*output"]:
        if self.task.kind in ("survival", "cox"):
            logits = self.forests[0](_repeat(x, len(self.ends))).view(len(x), -1)
            # A Cox task's raw output is a log-hazard: that of the hazard accumulated to the horizon.
            return logits if self.task.kind == "survival" else softplus(logits).sum(1, keepdim=True).log()
        scores = torch.cat([forest(x) for forest in self.forests], dim=1)
        if self.task.kind == "ordinal":
            return _ordinal(scores, self.task.link)
        if self.task.kind == "multiclass" and scores.shape[1] == 1:
            return torch.cat([torch.zeros_like(scores), scores], dim=1)
        return scores - torch.log(torch.tensor(self.task.mean)) if self.task.kind == "count" else scores

    def fit(self, grid: Grid, train: Rows, validation: Rows) -> None:
        """Fit every setting; keep the one with the best primary metric on the validation rows."""
        x, target, labelled = validation
        if self.task.kind == "cox":
            self._choose_ends(train)
        best: tuple[float, dict[str, Tensor]] | None = None
        for rate, leaves in product(grid.rates, grid.leaves):
            self._fit(grid, rate, leaves, train, validation)
            prediction = self.task.predict(self(x[labelled]))
            scores = self.task.evaluate(prediction, target[labelled]) if bool(labelled.any()) else {}
            score = self.task.direction * scores.get(self.task.primary, 0.0)
            if best is None or score > best[0]:
                best = score, {name: value.clone() for name, value in self.state_dict().items()}
        if best is not None:
            self.load_state_dict(best[1])

    def _choose_ends(self, train: Rows) -> None:
        """Quantiles of the training events' times."""
        times = train[1][train[2] & (train[1][:, 1] > 0)][:, 0].double()
        self.ends.copy_(times.quantile(torch.linspace(0, 1, _BINS + 1, dtype=torch.float64)[1:]))

    def _fit(self, grid: Grid, rate: float, leaves: int, train: Rows, validation: Rows) -> None:
        kind = self.task.kind
        settings = {
            "learning_rate": rate, "max_leaf_nodes": leaves, "l2_regularization": grid.ridge, "max_features": grid.columns,
            "max_iter": grid.rounds, "n_iter_no_change": grid.patience, "early_stopping": True, "random_state": grid.seed,
        }  # fmt: skip
        problems = _PROBLEMS.get(kind)
        if problems is None:
            raise OptionError.of(f"task '{self.task.name}'", f"trees know no task of kind '{kind}'", "Leave trees out")
        for number, forest in enumerate(self.forests):
            assert isinstance(forest, Forest)
            task = self._clock() if kind == "cox" else self.task
            make, view = problems(task, number)
            a, b = view(*train), view(*validation)
            model = make(settings | {"categorical_features": list(range(grid.categories))})
            keep = torch.isin(b[1], a[1]) if isinstance(model, HistGradientBoostingClassifier) else torch.ones_like(b[1]) > 0
            held = (b[0][keep], b[1][keep]) if bool(keep.any()) else a
            model.fit(a[0].numpy(), a[1].numpy(), X_val=held[0].numpy(), y_val=held[1].numpy())
            forest.grow(model, int(model.validation_score_.argmax()))

    def _clock(self) -> Any:
        """A survival task with this task's intervals."""
        return registry.kind("tasks", "survival")(
            name=self.task.name, columns=self.task.columns, ends=tuple(self.ends.tolist())
        )


Fitted: TypeAlias = Callable[[dict[str, Any]], Any]
View: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _classifier(task: Any, number: int) -> tuple[Fitted, View]:
    return lambda s: HistGradientBoostingClassifier(**s), lambda x, y, has: (x[has], y[has].long())


def _label(task: Any, number: int) -> tuple[Fitted, View]:
    def view(x: Tensor, y: Tensor, has: Tensor) -> tuple[Tensor, Tensor]:
        known = has & (y[:, number] >= 0)
        return x[known], y[known, number].long()

    return lambda s: HistGradientBoostingClassifier(**s), view


def _regression(task: Any, number: int) -> tuple[Fitted, View]:
    return lambda s: HistGradientBoostingRegressor(**s), lambda x, y, has: (x[has], task.fence(y[has]).double())


def _quantile(task: Any, number: int) -> tuple[Fitted, View]:
    def make(settings: dict[str, Any]) -> Any:
        return HistGradientBoostingRegressor(loss="quantile", quantile=task.quantiles[number], **settings)

    return make, lambda x, y, has: (x[has], y[has].double())


def _count(task: Any, number: int) -> tuple[Fitted, View]:
    return lambda s: HistGradientBoostingRegressor(loss="poisson", **s), lambda x, y, has: (x[has], y[has].double())


def _hazard(task: Any, number: int) -> tuple[Fitted, View]:
    def view(x: Tensor, y: Tensor, has: Tensor) -> tuple[Tensor, Tensor]:
        happens, at_risk = task.intervals(y[has])
        return _repeat(x[has], at_risk.shape[1])[at_risk.flatten()], happens[at_risk].long()

    return lambda s: HistGradientBoostingClassifier(**s), view


_PROBLEMS: dict[str, Callable[[Any, int], tuple[Fitted, View]]] = {
    "binary": _classifier,
    "multiclass": _classifier,
    "ordinal": _classifier,
    "multilabel": _label,
    "regression": _regression,
    "quantile": _quantile,
    "count": _count,
    "survival": _hazard,
    "cox": _hazard,
}


def _repeat(x: Float[Tensor, "rows columns"], intervals: int) -> Float[Tensor, "repeated columns+1"]:
    """Each row once an interval, with the interval's number as a last column."""
    number = torch.arange(intervals, dtype=x.dtype).repeat(len(x))
    return torch.cat([x.repeat_interleave(intervals, 0), number[:, None]], dim=1)


def _ordinal(scores: Float[Tensor, "rows classes"], link: str) -> Float[Tensor, "rows classes"]:
    """Class scores as the raw output of an ordinal task: as they are for `softmax`, as cutpoints for `cumulative`."""
    if scores.shape[1] == 1:
        scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
    if link == "softmax":
        return scores
    above = scores.softmax(1).double().flip(1).cumsum(1).flip(1)[:, 1:].clamp(_LEAST, 1 - _LEAST)
    cuts = -above.logit()
    gaps = cuts.diff(dim=1).clamp(min=_LEAST)
    # The inverse of softplus; the score itself stays 0, the row's cutpoints say all.
    return torch.cat([torch.zeros_like(cuts[:, :1]), cuts[:, :1], gaps + torch.log(-torch.expm1(-gaps))], dim=1).float()
