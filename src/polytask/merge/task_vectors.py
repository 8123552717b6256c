"""Arithmetic of task vectors: pure functions on states, `{name: tensor}`.

A task vector is `tau_k = theta_k - theta_0` (Ilharco et al. 2023, "Editing models with task arithmetic",
https://arxiv.org/abs/2212.04089, sec. 2). TIES: Yadav et al. 2023, "TIES-Merging: Resolving interference when merging models",
https://arxiv.org/abs/2306.01708, algorithm 1.

Tensors of whole numbers are no part of a vector; a merged state has those of the base (of the first model where there is no
base). Running statistics of normalisation (BatchNorm) cannot be merged linearly: a state that holds them is refused.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polytask.core import RunError

State = Mapping[str, Tensor]
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def check(states: Sequence[State], names: Sequence[str] | None = None) -> None:
    """Raises `RunError` naming the first tensor by which two states differ in name, shape or type, or that cannot be merged.

    names: what to call the states (default: "model 1", ...).
    """
    called = list(names) if names is not None else [f"model {number}" for number in range(1, len(states) + 1)]
    if not states:
        raise RunError.of("merge", "there is no model", "Give at least one")
    first = states[0]
    for tensor in first:
        if tensor.rpartition(".")[2] in _STATISTICS:
            fix = "Train with group or layer normalisation: running statistics of several models have no mean"
            raise RunError.of(f"tensor '{tensor}' of {called[0]}", "is a statistic of batch normalisation", fix)
    for name, state in zip(called[1:], states[1:], strict=True):
        for tensor in dict.fromkeys([*first, *state]):
            if tensor not in first or tensor not in state:
                has, lacks = (called[0], name) if tensor in first else (name, called[0])
                raise RunError.of(f"tensor '{tensor}'", f"is in {has} and not in {lacks}", "Merge models of one architecture")
            ours, theirs = first[tensor], state[tensor]
            if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
                mine, other = (f"{tuple(t.shape)} of {t.dtype}" for t in (ours, theirs))
                problem = f"is {mine} in {called[0]} and {other} in {name}"
                raise RunError.of(f"tensor '{tensor}'", problem, "Merge models of one architecture")


def task_vectors(base: State, models: Sequence[State]) -> list[dict[str, Tensor]]:
    """`theta_k - theta_0` of each model, of floating point tensors alone."""
    check([base, *models], ["the base", *(f"model {number}" for number in range(1, len(models) + 1))])
    return [{name: model[name] - value for name, value in base.items() if value.is_floating_point()} for model in models]


def average(models: Sequence[State]) -> dict[str, Tensor]:
    """The mean of the models' weights."""
    check(models)
    first = models[0]
    return {
        name: torch.stack([model[name] for model in models]).mean(0) if value.is_floating_point() else value.clone()
        for name, value in first.items()
    }


def task_arithmetic(base: State, vectors: Sequence[State], scale: float | Sequence[float]) -> dict[str, Tensor]:
    """`theta_0 + sum_k scale_k tau_k`; one scale stands for all."""
    scales = list(scale) if isinstance(scale, Sequence) else [scale] * len(vectors)
    merged = {name: value.clone() for name, value in base.items()}
    for vector, factor in zip(vectors, scales, strict=True):
        for name, value in vector.items():
            merged[name] = merged[name] + factor * value
    return merged


def elect(vectors: Sequence[State], keep: float) -> list[dict[str, Tensor]]:
    """The first two steps of TIES on each vector: trim, elect signs; what disagrees with its place's sign is dropped too.

    keep: share of each vector's entries, those of largest magnitude over all tensors together, that is not set to 0.
    The sign of a place is that of the sum of the trimmed vectors; where that is 0 nothing is kept.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be in (0, 1]; got {keep}")
    check(vectors)
    flat = torch.stack([_trim(flatten(vector), keep) for vector in vectors])
    agrees = flat.sign() == flat.sum(0).sign()
    return [unflatten(row, vectors[0]) for row in torch.where(agrees, flat, torch.zeros_like(flat))]


def disjoint_mean(parts: Sequence[State]) -> dict[str, Tensor]:
    """The third step of TIES: at each place the mean of the entries that are not 0."""
    flat = torch.stack([flatten(part) for part in parts])
    return unflatten(flat.sum(0) / (flat != 0).sum(0).clamp(min=1), parts[0])


def ties(base: State, vectors: Sequence[State], keep: float = 0.2, scale: float = 1.0) -> dict[str, Tensor]:
    """`theta_0 + scale * tau`, where tau is the disjoint mean of the trimmed and elected vectors."""
    return task_arithmetic(base, [disjoint_mean(elect(vectors, keep))], scale)


def _trim(vector: Float[Tensor, "weights"], keep: float) -> Float[Tensor, "weights"]:
    kept = vector.abs().topk(max(1, round(keep * len(vector))), sorted=False).indices
    trimmed = torch.zeros_like(vector)
    trimmed[kept] = vector[kept]
    return trimmed


def flatten(state: State) -> Float[Tensor, "weights"]:
    """All tensors of a state, one after another."""
    return torch.cat([value.flatten() for value in state.values()])


def unflatten(vector: Float[Tensor, "weights"], like: State) -> dict[str, Tensor]:
    """The inverse of `flatten`, with the names and shapes of `like`."""
    pieces = vector.split([value.numel() for value in like.values()])
    return {name: piece.view(value.shape) for (name, value), piece in zip(like.items(), pieces, strict=True)}
