"""Cross-stitch networks: one network a task, mixed after every layer by learnt linear combinations (Misra et al. 2016)."""

card = {
    "title": "Cross-stitch networks",
    "paper": "Misra et al., Cross-Stitch Networks for Multi-task Learning, CVPR 2016, https://arxiv.org/abs/1604.03539",
    "year": 2016,
    "field": "tables",
    "kind": "architecture",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polytask.core import Batch, Fit, Parameters, Schema, Stage, System, Task, opt
from polytask.nn.experts import StackedMLP
from polytask.nn.heads import Heads
from polytask.nn.trunk import Stem, TrunkOptions


@dataclass(frozen=True)
class Options(TrunkOptions):
    """A network of two layers a task."""

    width: int = opt(128, "width of a hidden layer of each task's network", ours="a network a task", ge=1)
    depth: int = opt(2, "hidden layers, each followed by a cross-stitch unit", ours="as other trunks here", ge=1)
    own: float = opt(
        0.9, "initial weight of a task's own activations; the others share the rest", paper="ablative analysis", gt=0, le=1
    )
    alone: float = opt(
        0.5, "share of the epochs in which the networks are trained alone, before stitching (0: from scratch)",
        paper="design decisions: networks trained for one task come first", ge=0, lt=1,
    )  # fmt: skip
    stitch_lr: float = opt(
        10.0, "learning rate of the stitches, as a multiple",
        ours="the paper's 100 is for SGD; Adam's steps do not shrink with the gradient", gt=0,
    )  # fmt: skip


class Stitch(nn.Module):
    """A cross-stitch unit: `x_t <- sum_s A[t, s] x_s` (equation 1), from the identity. `(..., tasks, width)` to the same."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.eye(tasks))

    def forward(self, x: Float[Tensor, "... tasks width"]) -> Float[Tensor, "... tasks width"]:
        return self.mix @ x

    @torch.no_grad()
    def open(self, own: float) -> None:
        """Start sharing: `own` on the diagonal, the rest spread evenly."""
        tasks = len(self.mix)
        others = (1 - own) / max(1, tasks - 1)
        self.mix.copy_(torch.full_like(self.mix, others).fill_diagonal_(own if tasks > 1 else 1.0))


class CrossStitch(System):
    """Networks of equal shape, with a `Stitch` after each of their layers."""

    options_type = Options
    representation = None  # no tensor is shared by all tasks: every network reads the row itself

    def __init__(
        self, stems: Sequence[Stem], blocks: Sequence[StackedMLP], heads: Heads, tasks: Mapping[str, Task], options: Options
    ) -> None:
        super().__init__(tasks)
        self.stems, self.blocks, self.heads = nn.ModuleList(stems), nn.ModuleList(blocks), heads
        self.stitches = nn.ModuleList(Stitch(len(tasks)) for _ in blocks)
        self.options = options

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "CrossStitch":
        stems = [Stem(schema, options, options.members) for _ in schema.tasks]
        widths = (stems[0].width, *options.widths)
        blocks = [StackedMLP(len(stems), a, (b,), options.dropout) for a, b in pairwise(widths)]
        return cls(stems, blocks, Heads(schema.tasks, widths[-1], options.members), schema.tasks, options)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        x = torch.stack([stem(batch) for stem in self.stems], dim=-2)
        for block, stitch in zip(self.blocks, self.stitches, strict=True):
            x = stitch(block(x))
        outputs: dict[str, Tensor] = self.heads(dict(zip(self.tasks, x.unbind(-2), strict=True)), tasks)
        return outputs

    def open(self) -> None:
        """Start sharing."""
        for stitch in self.stitches:
            assert isinstance(stitch, Stitch)
            stitch.open(self.options.own)

    def stages(self) -> Sequence[Stage]:
        """The networks alone, then stitched. Weight decay would pull the stitches to zero, so they have none."""
        stitches = list(self.stitches.parameters())
        rest = [p for name, p in self.named_parameters() if not name.startswith("stitches.")]
        groups = [Parameters(rest), Parameters(stitches, lr=self.options.stitch_lr, weight_decay=0.0)]
        joint = Fit("stitched", parameters=groups, length=1 - self.options.alone, before=self.open)
        if self.options.alone == 0:
            return [joint]
        return [Fit("alone", parameters=groups[:1], length=self.options.alone), joint]
