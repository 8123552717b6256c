"""Nearest neighbours under dynamic time warping: a learner that remembers its training rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from polytask.core import Batch, OptionError, Task

from .warping import dtw

_SURE = 1e-6
"""Probabilities end this far from 0 and 1, so that their logits are finite."""


class WarpedNeighbours(nn.Module):
    """A k-nearest-neighbours classifier a variable, each vote weighted by 1 / distance; the mean over variables.

    Series lie on a grid: `(rows, points, variables)` with each row's number of points. What is remembered is kept in buffers,
    which take the sizes of a state that is loaded. Outputs are logits of binary tasks, log-probabilities of multiclass ones.
    """

    def __init__(self, tasks: Mapping[str, Task], variables: int, points: int, choices: Sequence[int]) -> None:
        super().__init__()
        wrong = [name for name, task in tasks.items() if task.kind not in ("binary", "multiclass")]
        if wrong:
            fix = "Use another learner, or binary and multiclass tasks"
            raise OptionError.of("learner 'dtw_knn'", f"classifies alone; task '{wrong[0]}' is {tasks[wrong[0]].kind}", fix)
        self.tasks, self.choices = dict(tasks), tuple(choices)
        self.classes = {name: max(2, *task.output_shape) for name, task in tasks.items()}
        self.register_buffer("series", torch.zeros(0, points, variables))
        self.register_buffer("lengths", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("labels", torch.zeros(0, len(tasks), dtype=torch.int64))  # -1: none
        self.register_buffer("k", torch.full((len(tasks),), self.choices[0]))

    series: Tensor
    lengths: Tensor
    labels: Tensor
    k: Tensor

    def store(
        self,
        series: Float[Tensor, "rows points variables"],
        lengths: Int[Tensor, "rows"],
        present: Bool[Tensor, "rows"],
        batch: Batch,
    ) -> None:
        """Remember the rows that have a series."""
        rows = present.nonzero()[:, 0]
        kept = torch.zeros(len(rows), *self.series.shape[1:], device=series.device)
        kept[:, : series.shape[1]] = series[rows]
        labels = [torch.where(batch.labelled.tensor(name), batch.targets.tensor(name).long(), -1)[rows] for name in self.tasks]
        self.series, self.lengths, self.labels = kept, lengths[rows], torch.stack(labels, dim=1)

    def tune(
        self,
        series: Float[Tensor, "rows points variables"],
        lengths: Int[Tensor, "rows"],
        present: Bool[Tensor, "rows"],
        batch: Batch,
    ) -> None:
        """Take, for each task, the k with the best primary metric on these rows; the first of equals."""
        distances = self._distances(series, lengths)
        for i, (name, task) in enumerate(self.tasks.items()):
            labelled = batch.labelled.tensor(name)
            scores = []
            for k in self.choices:
                output = self._output(name, self._chances(name, distances, present, k))
                found = task.evaluate(task.predict(output)[labelled], batch.targets.tensor(name)[labelled])
                scores.append(task.direction * found[task.primary])
            ranked = torch.tensor(scores).nan_to_num(-torch.inf)
            self.k[i] = self.choices[int(ranked.argmax())]

    def forward(
        self,
        series: Float[Tensor, "rows points variables"],
        lengths: Int[Tensor, "rows"],
        present: Bool[Tensor, "rows"],
        names: Sequence[str],
    ) -> dict[str, Float[Tensor, "rows classes"]]:
        """The outputs of the tasks `names`; rows without a series get the training rows' frequencies."""
        distances = self._distances(series, lengths)
        every = dict(zip(self.tasks, self.k.tolist(), strict=True))
        return {name: self._output(name, self._chances(name, distances, present, every[name])) for name in names}

    def _distances(self, series: Tensor, lengths: Tensor) -> Float[Tensor, "variables rows remembered"]:
        return dtw(series.permute(2, 0, 1), lengths, self.series.permute(2, 0, 1), self.lengths)

    def _chances(
        self, name: str, distances: Float[Tensor, "variables rows remembered"], present: Bool[Tensor, "rows"], k: int
    ) -> Float[Tensor, "rows classes"]:
        labels, classes = self.labels[:, tuple(self.tasks).index(name)], self.classes[name]
        known = labels >= 0
        hot = nn.functional.one_hot(labels[known], classes).to(distances.dtype)
        even = torch.full((classes,), 1 / classes, device=hot.device)
        common = hot.mean(0) if len(hot) else even
        if not len(hot):
            return common.expand(len(present), -1)
        near, which = distances[:, :, known].topk(min(k, len(hot)), dim=2, largest=False)
        weight = 1 / near.clamp(min=_SURE)  # a twin outvotes all others
        votes = (weight[..., None] * hot[which]).sum(2) / weight.sum(2)[..., None]
        return torch.where(present[:, None], votes.mean(0), common)

    def _output(self, name: str, chances: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows outputs"]:
        chances = chances.clamp(_SURE, 1 - _SURE)
        return chances[:, 1:].logit() if self.tasks[name].kind == "binary" else chances.log()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("series", "lengths", "labels"):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *rest)  # type: ignore[no-untyped-call]
