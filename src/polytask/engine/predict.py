"""Predictions and scores of a trained system."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polytask.core import Batch, RunError, System, Task

CHUNK = 4096
"""Rows predicted at once; of large tables a quarter, for what a network holds of them counts there."""
_LARGE = 2 * CHUNK


@torch.inference_mode()
def predict(system: System, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Float[Tensor, "rows ..."]]:
    """The predictions of every row (probabilities, means, curves; not yet in the user's units), by task, on the CPU.

    Raises `RunError` naming the tasks that some row gets no number for.
    """
    was_training = system.training
    system.eval()
    device = next((p.device for p in system.parameters()), torch.device("cpu"))
    names = list(system.tasks) if tasks is None else list(tasks)
    chunks: dict[str, list[Tensor]] = {name: [] for name in names}
    for rows in torch.arange(len(batch)).split(CHUNK if len(batch) <= _LARGE else CHUNK // 4):
        outputs = system(batch.index(rows).to(device), names)
        for name in names:
            chunks[name].append(system.tasks[name].predict(outputs[name]).cpu())
    system.train(was_training)
    found = {name: torch.cat(parts) for name, parts in chunks.items()}
    if bad := [name for name, prediction in found.items() if bool(prediction.isnan().any())]:
        fix = "Look for extreme values in the data, or in the file of weights"
        raise RunError.of("predict", f"the predictions of {', '.join(bad)} are not finite", fix)
    return found


def evaluate(tasks: Mapping[str, Task], predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, dict[str, float]]:
    """Each task's metrics over the rows that have its label; a task without labels is left out."""
    scores = {}
    for name, prediction in predictions.items():
        labelled = batch.labelled.tensor(name)
        if bool(labelled.any()):
            scores[name] = tasks[name].evaluate(prediction[labelled], batch.targets.tensor(name)[labelled])
    return scores


def mean_primary(tasks: Mapping[str, Task], scores: Mapping[str, Mapping[str, float]]) -> float:
    """The mean of the tasks' primary metrics, more being better; tasks whose metric is undefined are left out."""
    values = [tasks[name].direction * metrics[tasks[name].primary] for name, metrics in scores.items()]
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
