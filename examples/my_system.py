"""A system of one's own: `polytask check my_system.py`, then `polytask fit DATA --tasks a,b --system my_system.py`."""

card = {
    "title": "Two trunks, added",
    "field": "tables",
    "kind": "architecture",
    "example": {"inputs": {"x": "number", "ward": "category 4"}, "tasks": {"died": "binary", "days": "regression"}},
}

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from polytask.core import Batch, Schema, System
from polytask.nn.heads import Heads
from polytask.nn.mlp import MLP
from polytask.nn.trunk import Stem, TrunkOptions


@dataclass(frozen=True)
class Options(TrunkOptions):
    """The options of a plain trunk."""


class TwoTrunks(System):
    """`y_t = head_t(f(x) + g(x))`, with g one layer deep."""

    options_type = Options
    representation = "stem"

    def __init__(self, stem: Stem, deep: MLP, shallow: MLP, heads: Heads, schema: Schema) -> None:
        super().__init__(schema.tasks)
        self.stem, self.deep, self.shallow, self.heads = stem, deep, shallow, heads

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "TwoTrunks":
        stem = Stem(schema, options, options.members)
        deep = MLP(stem.width, options.widths, options.dropout)
        shallow = MLP(stem.width, (options.width,))
        return cls(stem, deep, shallow, Heads(schema.tasks, options.width, options.members), schema)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        x = self.stem(batch)
        outputs: dict[str, Tensor] = self.heads(self.deep(x) + self.shallow(x), tasks)
        return outputs
