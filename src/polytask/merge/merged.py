"""A merged model as a function of its coefficients (Yang et al. 2024, AdaMerging, eq. 4 and 5), and what teaches them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from polytask.core import Task

Granularity = Literal["task", "layer"]
WITH_ENTROPY = ("binary", "multiclass")
"""The kinds of task whose output is one distribution over classes."""


class Merged(nn.Module):
    """`theta^l = theta_0^l + sum_k lambda_k^l tau_k^l`: a base, K task vectors (buffers), coefficients (the parameter).

    like: the tensors that are merged, by name; they give names and shapes. A "layer" is one tensor, as in the authors' code.
    granularity: `layer` has coefficients `(tensors, K)`, `task` has `(K)`.
    Coefficients are clamped to 0..1 where weights are made, and stay free themselves: one outside has no gradient.
    They are not trainable until a stage says so.
    """

    base: Tensor
    vectors: Tensor

    def __init__(self, like: Mapping[str, Tensor], count: int, granularity: Granularity = "layer", start: float = 0.3) -> None:
        super().__init__()
        self.shapes = {name: value.shape for name, value in like.items()}
        size = sum(value.numel() for value in like.values())
        self.register_buffer("base", torch.zeros(size))
        self.register_buffer("vectors", torch.zeros(count, size))
        shape = (len(self.shapes), count) if granularity == "layer" else (count,)
        self.coefficients = nn.Parameter(torch.full(shape, start), requires_grad=False)

    def weights(self) -> dict[str, Tensor]:
        """The merged tensors by name, for `torch.func.functional_call`; gradients reach the coefficients."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        each = self.coefficients.clamp(0, 1).expand(len(sizes), -1)
        pieces = zip(self.shapes.items(), self.base.split(sizes), self.vectors.split(sizes, dim=1), each, strict=True)
        return {name: (base + own @ vectors).view(shape) for (name, shape), base, vectors, own in pieces}

    @torch.no_grad()
    def set(self, base: Mapping[str, Tensor], vectors: Sequence[Mapping[str, Tensor]]) -> None:
        """Take over a base and its task vectors."""
        for place, state in ((self.base, base), *zip(self.vectors, vectors, strict=True)):
            place.copy_(torch.cat([state[name].flatten() for name in self.shapes]))


def entropy(task: Task, output: Float[Tensor, "*output"]) -> Float[Tensor, "*members batch"]:
    """The Shannon entropy, in nats, of each row's predicted distribution (eq. 6). Raises `ValueError` for other kinds."""
    output = output.float()
    if task.kind == "binary":
        p = output.sigmoid()
        return -(p * logsigmoid(output) + (1 - p) * logsigmoid(-output)).squeeze(-1)
    if task.kind == "multiclass":
        log = output.log_softmax(-1)
        return -(log.exp() * log).sum(-1)
    raise ValueError(f"task '{task.name}' of kind '{task.kind}' has no entropy")
