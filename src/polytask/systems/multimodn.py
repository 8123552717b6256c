"""MultiModN: a state passes through one encoder a modality, and any task can be read after any of them (Swamy et al. 2023)."""

card = {
    "title": "MultiModN: Multimodal, Multi-Task, Interpretable Modular Networks",
    "paper": "Swamy et al., NeurIPS 2023, https://arxiv.org/abs/2309.14118",
    "year": 2023,
    "field": "medical",
    "kind": "architecture",
    "example": {
        "inputs": {"age": "number", "dose": "number", "ward": "category 4", "smoker": "boolean"},
        "tasks": {"died": "binary", "days": "regression", "grade": "multiclass 3"},
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from polytask.core import Batch, Schema, System, Task, opt
from polytask.nn.encoder import EncoderOptions
from polytask.nn.heads import Heads
from polytask.nn.members import shares
from polytask.nn.mlp import MLP
from polytask.nn.trunk import Stem


@dataclass(frozen=True)
class Options(EncoderOptions):
    """Options of the authors' MIMIC pipeline, with this library's encoders of columns."""

    absent: Literal["learned", "zero"] = opt(
        "zero", "what stands for an absent value inside a modality that is there",
        ours="no mask is fed in, as in the paper", choices=("learned", "zero"),
    )  # fmt: skip
    state: int = opt(50, "width of the state", paper="authors' code, MIMIC pipeline", ge=1)
    hidden: int = opt(32, "width of the hidden layers of encoders and decoders", paper="authors' code, MIMIC pipeline", ge=1)
    dropout: float = opt(0.2, "dropout in the encoders", paper="authors' code, MIMIC pipeline", ge=0, lt=1)
    members: int = opt(1, "networks in one, by TabM's adapters", ours="the paper has one", ge=1)
    skip: Literal["sample", "batch"] = opt(
        "sample", "a missing modality is skipped for its own row, or for the whole batch where any row lacks it",
        ours="the authors' code skips the batch, which drops data", choices=("sample", "batch"),
    )  # fmt: skip
    missing: Literal["all", "any"] = opt(
        "all", "a modality is missing in a row that lacks all, or any, of its inputs",
        ours="the authors' code: any; tables then skip nearly everything", choices=("all", "any"),
    )  # fmt: skip
    shuffle: bool = opt(False, "pass the modalities in random order while training", paper="authors' code, shuffle_mode")
    state_change: float = opt(0.0, "weight of the penalty on changes of the state", paper="authors' code: 0 by default", ge=0)


class Encode(nn.Module):
    """One modality's step: `s <- W [h(x) ; s] + b`, as the authors' `MLPEncoder`."""

    def __init__(self, stem: Stem, names: Sequence[str], options: Options) -> None:
        super().__init__()
        self.stem, self.names = stem, tuple(names)
        self.hidden = MLP(stem.width, (options.hidden, options.hidden), options.dropout)
        self.out = nn.Linear(options.hidden + options.state, options.state)

    def forward(self, batch: Batch, state: Float[Tensor, "*members batch state"]) -> Float[Tensor, "*members batch state"]:
        h = self.hidden(self.stem(batch))
        y: Tensor = self.out(torch.cat([h, state], dim=-1))
        return y


class MultiModN(System):
    """`s_m = e_m(x_m, s_{m-1})` for each modality `m` that is there, `y_t = d_t(s_m)` after every step.

    The published decoders end in a sigmoid that is then fed to a cross-entropy; here they give plain logits. Modalities are the
    user's groups of inputs, else one a kind of input. `forward` reads after the last step.
    """

    options_type = Options
    representation = None  # every step has a state of its own

    def __init__(self, encoders: Sequence[Encode], decoders: Heads, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__(tasks)
        self.encoders, self.decoders, self.options = nn.ModuleList(encoders), decoders, options
        self.start = nn.Parameter(torch.randn(options.members, options.state))

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "MultiModN":
        encoders = [
            Encode(Stem(schema.only(inputs=names), options, options.members), names, options)
            for names in schema.modalities().values()
        ]
        decoders = Heads(schema.tasks, options.state, options.members, (options.hidden, options.hidden))
        return cls(encoders, decoders, schema.tasks, options)

    def states(self, batch: Batch) -> tuple[list[Float[Tensor, "*members batch state"]], list[Bool[Tensor, "batch"]]]:
        """The state after 0, 1, ..., M modalities, and which rows took each step (all take step 0)."""
        steps: list[nn.Module] = list(self.encoders)
        if self.training and self.options.shuffle:
            steps = [steps[i] for i in torch.randperm(len(steps)).tolist()]
        states = [self._first(len(batch))]
        taken = [torch.ones(len(batch), dtype=torch.bool, device=self.start.device)]
        for step in steps:
            present = batch.present.stack(step.names)  # type: ignore[arg-type]
            here = present.any(1) if self.options.missing == "all" else present.all(1)
            if self.options.skip == "batch":
                here = here.all().expand_as(here)
            states.append(torch.where(here[:, None], step(batch, states[-1]), states[-1]))
            taken.append(here)
        return states, taken

    def _first(self, rows: int) -> Float[Tensor, "*members batch state"]:
        """The trained state before any modality, for each row (and member: see `polytask.nn.members`)."""
        members = len(self.start)
        if members == 1 or self.training:
            return self.start[shares(members, rows, self.start.device)]
        return self.start[:, None].expand(-1, rows, -1)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.decoders(self.states(batch)[0][-1], tasks)
        return outputs

    def losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Each task's mean loss over all steps, a row counting at the steps it took; and the penalty on state changes."""
        states, taken = self.states(batch)
        total: dict[str, Tensor] = {}
        for state, here in zip(states, taken, strict=True):
            for name, output in self.decoders(state, batch.tasks).items():
                labelled = batch.labelled.tensor(name) & here
                loss = self.tasks[name].loss(output, batch.targets.tensor(name), labelled) / len(states)
                total[name] = total[name] + loss if name in total else loss
        if self.options.state_change:
            changes = torch.stack([(b - a).square().mean() for a, b in pairwise(states)])
            total["state_change"] = 0.01 * self.options.state_change * changes.mean()
        return total
