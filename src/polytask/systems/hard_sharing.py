"""Hard parameter sharing: one trunk for all tasks, one head a task (Caruana 1997, "Multitask Learning")."""

card = {
    "title": "Hard parameter sharing",
    "paper": "Caruana, Multitask Learning, Machine Learning 28 (1997), https://doi.org/10.1023/A:1007379606734",
    "year": 1997,
    "field": "tables",
    "kind": "architecture",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from polytask.core import Batch, Schema, System, Task
from polytask.nn.heads import Heads
from polytask.nn.mlp import MLP
from polytask.nn.trunk import Stem, TrunkOptions


@dataclass(frozen=True)
class Options(TrunkOptions):
    """The options of a plain trunk."""


class HardSharing(System):
    """`y_t = head_t(trunk(x))`. Every parameter but the heads' is shared."""

    options_type = Options
    representation = "trunk"

    def __init__(self, stem: Stem, trunk: MLP, heads: Heads, tasks: Mapping[str, Task]) -> None:
        super().__init__(tasks)
        self.stem, self.trunk, self.heads = stem, trunk, heads

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "HardSharing":
        stem = Stem(schema, options, options.members)
        trunk = MLP(stem.width, options.widths, options.dropout)
        return cls(stem, trunk, Heads(schema.tasks, trunk.width, options.members), schema.tasks)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.heads(self.trunk(self.stem(batch)), tasks)
        return outputs
