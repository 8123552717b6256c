"""AdaMerging: one model from several fine-tuned ones, its coefficients learnt by entropy without labels (Yang et al. 2024)."""

card = {
    "title": "AdaMerging: Adaptive Model Merging for Multi-Task Learning",
    "paper": "Yang et al., ICLR 2024, https://arxiv.org/abs/2310.02575",
    "year": 2024,
    "field": "merging",
    "kind": "training",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"grade": "multiclass 3", "died": "binary", "cause": "multiclass 4"},
    },
    "defaults": {"training": {"lr": 1e-3, "average": 0.0}},
}

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from polytask.core import Batch, Fit, Parameters, Schema, Solve, Source, Stage, System, Task, opt
from polytask.merge.merged import WITH_ENTROPY, Granularity, Merged, entropy
from polytask.merge.task_vectors import disjoint_mean, elect, unflatten
from polytask.nn.encoder import EncoderOptions
from polytask.nn.heads import Heads
from polytask.nn.mlp import MLP
from polytask.nn.trunk import Stem


@dataclass(frozen=True)
class Options(EncoderOptions):
    """How models are merged, and the network that they share."""

    method: Literal["adamerging", "task_arithmetic", "average", "ties"] = opt(
        "adamerging",
        "how task vectors are joined",
        paper="sec. 3",
        choices=("adamerging", "task_arithmetic", "average", "ties"),
    )
    granularity: Literal["task", "layer"] = opt(
        "layer", "a coefficient a task, or a task and tensor", paper="sec. 3.2", choices=("task", "layer")
    )
    plus: bool = opt(False, "AdaMerging++: task vectors go through TIES first", paper="sec. 3.2")
    keep: float = opt(0.2, "share of a task vector that TIES keeps", paper="app. A", gt=0, le=1)
    start: float = opt(0.3, "coefficient at the start; that of task arithmetic and TIES", paper="app. A", ge=0, le=1)
    rate: float = opt(1.0, "learning rate of coefficients, as a multiple of the run's", paper="app. A: 1e-3", gt=0)
    pretrain: float = opt(1.0, "share of the epochs that trains the common start", ours="the paper has CLIP", gt=0)
    tune: float = opt(1.0, "share of the epochs that each task's fine-tuning takes", ours="tables are small", gt=0)
    adapt: float = opt(1.0, "share of the epochs that learns coefficients", ours="paper: 500 steps", gt=0)
    width: int = opt(256, "width of a hidden layer", ours="as hard_sharing", ge=1)
    depth: int = opt(2, "hidden layers", ours="as hard_sharing", ge=0)
    dropout: float = opt(0.0, "dropout after each hidden layer", ours="as hard_sharing", ge=0, lt=1)


class AdaMerging(System):
    """A network is trained on all tasks, fine-tuned on each alone, and merged: `theta_0 + sum_k lambda_k tau_k`.

    `network` is what computes at every moment: it is theta_0, then each fine-tuned copy in turn, then the merged one; what was
    learnt before lies in the buffers of `merged`. So a run that was stopped goes on anywhere. Heads are learnt with
    theta_0 and fixed from then on.

    Coefficients are learnt on the training rows (or those of `unlabelled`), of which no label is read: the mean entropy of
    each classification task's predictions, summed over tasks. A row counts for the tasks that it may have a label of; rows
    of `unlabelled` without any mark of labels count for all. Other kinds of task are merged too and give no entropy:
    nothing then guards them, and they may lose.

    Deviations: the paper's start is CLIP and its heads are text embeddings; ours is trained on the same rows and heads are
    linear. The coefficients of the epoch with the least entropy are kept, there the last.
    """

    options_type = Options
    representation = "network"

    def __init__(self, network: nn.Sequential, heads: Heads, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__(tasks)
        self.network, self.heads, self.options = network, heads, options
        granularity: Granularity = options.granularity if options.method == "adamerging" else "task"
        start = 1 / len(tasks) if options.method == "average" else options.start
        self.merged = Merged(dict(network.named_parameters()), len(tasks), granularity, start)
        self.unlabelled: Source | None = None
        self._entropies: list[Tensor] = []

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "AdaMerging":
        stem = Stem(schema, options)
        trunk = MLP(stem.width, (options.width,) * options.depth, options.dropout)
        return cls(nn.Sequential(stem, trunk), Heads(schema.tasks, trunk.width), schema.tasks, options)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.heads(self.network(batch), tasks)
        return outputs

    def stages(self) -> Sequence[Stage]:
        network = list(self.network.parameters())
        stages: list[Stage] = [Fit("pretrain", length=self.options.pretrain), self._solve("start", self.keep_start)]
        for number, name in enumerate(self.tasks):
            own = [Parameters(network)]
            stages.append(Fit(f"fine-tune {name}", tasks=(name,), parameters=own, length=self.options.tune))
            stages.append(self._solve(f"vector {name}", partial(self.keep_vector, number)))
        stages.append(self._solve("merge", self.merge))
        if self.options.method == "adamerging" and any(task.kind in WITH_ENTROPY for task in self.tasks.values()):
            own = [Parameters([self.merged.coefficients], lr=self.options.rate, weight_decay=0.0)]
            fit = Fit(
                "entropy", "entropies", None, own, self.unlabelled, self.options.adapt, "certainty", False, None, self._show
            )
            stages += [fit, self._solve("finish", self.show)]
        return stages

    def _solve(self, name: str, change: Callable[[], None]) -> Solve:
        return Solve(lambda train, validation, seed: change(), name)

    @torch.no_grad()
    def keep_start(self) -> None:
        """The network is theta_0."""
        self.merged.base.copy_(nn.utils.parameters_to_vector(self.network.parameters()))

    @torch.no_grad()
    def keep_vector(self, number: int) -> None:
        """The network is theta_k; it goes back to theta_0."""
        tuned = nn.utils.parameters_to_vector(self.network.parameters())
        self.merged.vectors[number] = tuned - self.merged.base
        nn.utils.vector_to_parameters(self.merged.base.clone(), self.network.parameters())

    @torch.no_grad()
    def merge(self) -> None:
        """Bring the task vectors into the form that is scaled by coefficients, and the network to the merged weights."""
        like = dict(self.network.named_parameters())
        vectors = [unflatten(row, like) for row in self.merged.vectors]
        if self.options.method == "ties":
            # One vector stands for all: each task holds its K-th part, so that one coefficient scales the whole.
            whole = disjoint_mean(elect(vectors, self.options.keep))
            vectors = [{name: value / len(vectors) for name, value in whole.items()}] * len(vectors)
        elif self.options.method == "adamerging" and self.options.plus:
            vectors = elect(vectors, self.options.keep)
        self.merged.set(unflatten(self.merged.base.clone(), like), vectors)
        self.show()

    @torch.no_grad()
    def show(self) -> None:
        """Write the merged weights into the network."""
        for name, value in self.merged.weights().items():
            self.network.get_parameter(name).copy_(value)

    def _show(self, optimizer: Optimizer, step: int) -> None:
        self.show()

    def entropies(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The mean entropy of each classification task's predictions by the merged weights, as `entropy TASK` (eq. 6)."""
        marked = bool(batch.tasks) or bool(len(batch.labelled) and batch.labelled.stack(tuple(batch.labelled)).any())
        features = functional_call(self.network, self.merged.weights(), (batch,))
        found = {}
        for name, output in self.heads(features).items():
            if self.tasks[name].kind in WITH_ENTROPY:
                rows = entropy(self.tasks[name], output)
                counts = batch.labelled.tensor(name) if marked else torch.ones(len(batch), dtype=torch.bool, device=rows.device)
                found[f"entropy {name}"] = torch.where(counts, rows, torch.zeros_like(rows)).sum() / counts.sum().clamp(min=1)
        self._entropies.append(torch.stack(list(found.values())).sum().detach())
        return found

    def certainty(self) -> float:
        """The negative mean entropy of the batches since it was last asked."""
        found, self._entropies = self._entropies, []
        return -float(torch.stack(found).mean()) if found else 0.0
