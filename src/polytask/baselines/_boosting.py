"""One task as boosted trees: what is fitted for each kind of task, and how its scores become the task's raw output."""

import math
from collections.abc import Callable, Sequence
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
_BY_CLASS = ("multiclass", "ordinal")


class Booster(nn.Module):
    """The trees of one task: `(rows, columns)` -> the task's raw output.

    Raises `OptionError` for a kind of task that trees do not know.
    """

    task: Any  # kinds differ in what trees need of them

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        if task.kind not in _PROBLEMS:
            raise OptionError.of(f"task '{task.name}'", f"trees know no task of kind '{task.kind}'", "Leave trees out")
        outputs = task.output_shape[0]
        each = [1] * outputs if task.kind in ("multilabel", "quantile") else [outputs if task.kind in _BY_CLASS else 1]
        self.forests = nn.ModuleList(Forest(count) for count in each)
        ends = self.task.ends if task.kind == "survival" else (0.0,) * (_BINS if task.kind == "cox" else 0)
        self.register_buffer("ends", torch.tensor(ends, dtype=torch.float64))

    ends: Tensor

    def forward(self, x: Float[Tensor, "rows columns"]) -> Float[Tensor, "*output"]:
        kind = self.task.kind
        if kind in ("survival", "cox"):
            logits = self.forests[0](_repeat(x, len(self.ends))).view(len(x), -1)
            # A Cox task's raw output is a log-hazard: that of the hazard accumulated to the horizon.
            return logits if kind == "survival" else softplus(logits).sum(1, keepdim=True).log()
        scores = torch.cat([forest(x) for forest in self.forests], dim=1)
        if kind == "ordinal" and self.task.link == "cumulative":
            return _cutpoints(scores)
        return scores - math.log(self.task.mean) if kind == "count" else scores

    def fit(self, settings: Sequence[dict[str, Any]], train: Rows, validation: Rows) -> None:
        """Fit every setting; keep the one with the best primary metric on the validation rows."""
        x, target, labelled = validation
        if self.task.kind == "cox":
            self._choose_ends(train)
        best: tuple[float, dict[str, Tensor]] | None = None
        for setting in settings:
            for number, forest in enumerate(self.forests):
                self._grow(forest, number, setting, train, validation)
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

    def _grow(self, forest: Any, number: int, setting: dict[str, Any], train: Rows, validation: Rows) -> None:
        """Fit the forest of output `number`, stopped early by the validation rows (without any, by the training rows)."""
        make, view = _PROBLEMS[self.task.kind](self._clock() if self.task.kind == "cox" else self.task, number)
        (x, y), (held, held_y) = view(*train), view(*validation)
        model = make(setting)
        if isinstance(model, HistGradientBoostingClassifier):
            classes = y.unique()
            if len(classes) == 1:
                forest.always(int(classes[0]))
                return
            known = torch.isin(held_y, classes)
            held, held_y = held[known], held_y[known]
        if not len(held_y):
            held, held_y = x, y
        model.fit(x.numpy(), y.numpy(), X_val=held.numpy(), y_val=held_y.numpy())
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


def _cutpoints(scores: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes"]:
    """The raw output of a cumulative ordinal task whose probabilities are the softmax of `scores`."""
    above = scores.softmax(1).double().flip(1).cumsum(1).flip(1)[:, 1:].clamp(_LEAST, 1 - _LEAST)
    cuts = -above.logit()
    gaps = cuts.diff(dim=1).clamp(min=_LEAST)
    # The inverse of softplus; the score itself stays 0, the row's cutpoints say all.
    return torch.cat([torch.zeros_like(cuts[:, :1]), cuts[:, :1], gaps + torch.log(-torch.expm1(-gaps))], dim=1).float()
