"""Progressive layered extraction: experts of each task beside shared ones, in levels (Tang et al. 2020)."""

card = {
    "title": "Progressive Layered Extraction (PLE), with Customized Gate Control (CGC)",
    "paper": "Tang et al., Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for Personalized "
    "Recommendations, RecSys 2020, https://doi.org/10.1145/3383313.3412236",
    "year": 2020,
    "field": "tables",
    "kind": "mixture of experts",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from polytask.core import Batch, Schema, System, Task, opt
from polytask.nn.experts import ExpertBank, StackedSoftmaxGate
from polytask.nn.heads import Heads
from polytask.nn.trunk import Stem, TrunkOptions


@dataclass(frozen=True)
class Options(TrunkOptions):
    """Two levels; `levels=1` is CGC."""

    levels: int = opt(2, "levels of experts; 1 is CGC", paper="sec. 5.1", ge=1)
    own: int = opt(2, "experts of each task, a level", ours="as many as shared ones", ge=1)
    shared: int = opt(2, "shared experts, a level", ours="as many as a task's own", ge=1)
    width: int = opt(64, "width of an expert", ours="several of them cost what a trunk of 256 does", ge=1)
    depth: int = opt(1, "hidden layers of an expert", paper="sec. 5.1: single-layer", ge=1)
    tower: int = opt(32, "width of the hidden layer of each task's tower", ours="half an expert", ge=1)


class Level(nn.Module):
    """One level: K tasks' streams and a shared one, `(..., K + 1, width)`, to mixtures `(..., K + 1, out)`.

    Stream `k` feeds experts of its own. Task `k`'s gate, on stream `k`, sees its own and the shared experts (equations 1 to 3);
    the shared gate, on the shared stream, sees all (section 4.2), and is left out of the last level, which gives K streams.
    """

    def __init__(self, tasks: int, width: int, options: Options, last: bool) -> None:
        super().__init__()
        counts = [options.own] * tasks + [options.shared]
        self.experts = nn.ModuleList(ExpertBank(count, width, options.widths, options.dropout) for count in counts)
        self.gates = tasks if last else tasks + 1
        self.gate = StackedSoftmaxGate(self.gates, width, sum(counts), _allowed(counts)[: self.gates])

    def forward(self, streams: Float[Tensor, "... streams width"]) -> Float[Tensor, "... gates out"]:
        outs = [experts(x) for experts, x in zip(self.experts, streams.unbind(-2), strict=True)]
        mixed: Tensor = self.gate(streams[..., : self.gates, :], torch.cat(outs, dim=-2))
        return mixed


def _allowed(counts: Sequence[int]) -> Bool[Tensor, "streams experts"]:
    """Which experts each gate sees: a task's own and the shared ones; the last gate sees all."""
    owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    stream = torch.arange(len(counts))[:, None]
    shared = len(counts) - 1
    return (owner == stream) | (owner == shared) | (stream == shared)


class PLE(System):
    """Levels of experts, then a tower a task."""

    options_type = Options
    representation = "stem"

    def __init__(self, stem: Stem, levels: Sequence[Level], towers: Heads, tasks: Mapping[str, Task]) -> None:
        super().__init__(tasks)
        self.stem, self.levels, self.towers = stem, nn.ModuleList(levels), towers

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "PLE":
        stem = Stem(schema, options, options.members)
        widths = [stem.width] + [options.width] * (options.levels - 1)
        levels = [
            Level(len(schema.tasks), width, options, last=number == options.levels)
            for number, width in enumerate(widths, start=1)
        ]
        return cls(stem, levels, Heads(schema.tasks, options.width, options.members, (options.tower,)), schema.tasks)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        x = self.stem(batch)
        streams = x[..., None, :].expand(*x.shape[:-1], len(self.tasks) + 1, -1)
        for level in self.levels:
            streams = level(streams)
        outputs: dict[str, Tensor] = self.towers(dict(zip(self.tasks, streams.unbind(-2), strict=True)), tasks)
        return outputs
