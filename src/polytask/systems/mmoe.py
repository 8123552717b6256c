"""Multi-gate mixture of experts: experts are shared, and each task mixes them by a gate of its own (Ma et al. 2018)."""

card = {
    "title": "Multi-gate Mixture-of-Experts (MMoE)",
    "paper": "Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts, KDD 2018, "
    "https://doi.org/10.1145/3219819.3220007",
    "year": 2018,
    "field": "tables",
    "kind": "mixture of experts",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from polytask.core import Batch, Schema, System, Task, opt
from polytask.nn.experts import ExpertBank, StackedSoftmaxGate
from polytask.nn.heads import Heads
from polytask.nn.trunk import Stem, TrunkOptions


@dataclass(frozen=True)
class Options(TrunkOptions):
    """Eight small experts and a tower a task."""

    experts: int = opt(8, "experts that all tasks share", paper="sec. 5", ge=1)
    width: int = opt(64, "width of a hidden layer of an expert", ours="eight of them cost what a trunk of 256 does", ge=1)
    depth: int = opt(1, "hidden layers of an expert", paper="sec. 5: one", ge=1)
    tower: int = opt(32, "width of the hidden layer of each task's tower", ours="half an expert", ge=1)
    gates: str = opt("task", "a gate for each task, or one gate for all (OMoE)", paper="sec. 4.2", choices=("task", "one"))


class MMoE(System):
    """`y_t = tower_t(sum_e g_t(x)_e f_e(x))`, `g_t(x) = softmax(W_t x)` (section 4.2)."""

    options_type = Options
    representation = "stem"

    def __init__(
        self, stem: Stem, experts: ExpertBank, gate: StackedSoftmaxGate, towers: Heads, tasks: Mapping[str, Task]
    ) -> None:
        super().__init__(tasks)
        self.stem, self.experts, self.gate, self.towers = stem, experts, gate, towers

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "MMoE":
        stem = Stem(schema, options, options.members)
        experts = ExpertBank(options.experts, stem.width, options.widths, options.dropout)
        gate = StackedSoftmaxGate(len(schema.tasks) if options.gates == "task" else 1, stem.width, options.experts)
        towers = Heads(schema.tasks, experts.width, options.members, (options.tower,))
        return cls(stem, experts, gate, towers, schema.tasks)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        x = self.stem(batch)
        gates = self.gate.weight.shape[0]
        mixed = self.gate(x[..., None, :].expand(*x.shape[:-1], gates, -1), self.experts(x))
        each = mixed.expand(*mixed.shape[:-2], len(self.tasks), -1).unbind(-2)
        outputs: dict[str, Tensor] = self.towers(dict(zip(self.tasks, each, strict=True)), tasks)
        return outputs
