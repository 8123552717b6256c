"""MGP-TCN and DTW-KNN: irregular series by a Gaussian process and causal convolutions, or by warped neighbours (Moor 2019)."""

card = {
    "title": "MGP-TCN and DTW-KNN: Early Recognition of Sepsis with Gaussian Process Temporal Convolutional Networks",
    "paper": "Moor et al., MLHC 2019, https://arxiv.org/abs/1902.01659",
    "year": 2019,
    "field": "medical",
    "kind": "architecture",
    "example": {
        "inputs": {"labs": "series 2 5", "age": "number"},
        "tasks": {"sepsis": "binary", "ward": "multiclass 3"},
    },
    "defaults": {"training": {"lr": 5e-3, "batch_size": 40, "epochs": 40, "weight_decay": 0.01}},
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from polytask.core import Batch, OptionError, Ragged, Schema, Solve, Stage, System, Task, opt
from polytask.core.stage import Fit
from polytask.nn.encoder import Encoder, EncoderOptions
from polytask.nn.gaussian_process import MultitaskGP, Noise
from polytask.nn.heads import Heads
from polytask.nn.neighbours import WarpedNeighbours
from polytask.nn.numbers import Missing
from polytask.nn.temporal import CausalTCN, carry_forward, grid, pad

_NETWORKS = ("mgp_tcn", "raw_tcn", "mgp_gru")
_ROWS = 128
"""Rows predicted at once: a covariance of each row's events is held."""


@dataclass(frozen=True)
class Options(EncoderOptions):
    """Options of the authors' code; sizes of the network are its defaults, not those that its search chose (9, 5, 56)."""

    learner: Literal["mgp_tcn", "raw_tcn", "mgp_gru", "dtw_knn"] = opt(
        "mgp_tcn", "what learns: Gaussian process (mgp) or hourly means carried forward (raw), then convolutions or a GRU; "
        "or neighbours under time warping", paper="sec. 3", choices=(*_NETWORKS, "dtw_knn"),
    )  # fmt: skip
    step: float = opt(
        0.0, "distance of the grid's points in the unit of time (0: 1 where that needs `grid` / 8 to `grid` points, else what "
        "needs `grid`)", ours="the paper's hours where data are in hours", ge=0,
    )  # fmt: skip
    grid: int = opt(48, "points of the grid, at most: the last ones", ours="the paper: up to 200", ge=1)
    events: int = opt(256, "measurements of a row, at most: the last ones", ours="cost grows with the cube", ge=1)
    samples: int = opt(10, "draws of the Gaussian process", paper="authors' code, n_mc_smps", ge=1)
    levels: int = opt(4, "blocks of the network", paper="authors' code", ge=1)
    kernel: int = opt(4, "steps that a convolution sees", paper="authors' code", ge=2)
    filters: int = opt(40, "channels of the network", paper="authors' code", ge=1)
    units: int = opt(80, "units of the GRU", ours="about as many parameters as the convolutions", ge=1)
    dropout: float = opt(0.1, "dropout of channels", paper="authors' code", ge=0, lt=1)
    average: int = opt(1, "last points whose losses are averaged", paper="authors' code: 1, or 7 to predict early", ge=1)
    class_weight: bool = opt(True, "weight the positive class of binary tasks by 1 / prevalence", paper="authors' code")
    neighbours: tuple[int, ...] = opt((1, 3, 5, 9, 15, 25), "k of dtw_knn, chosen on validation rows", ours="a usual grid")


class MGPTCN(System):
    """`z ~ GP(grid | events)`, `y_t = head_t(TCN(z)_last)`, probabilities averaged over the draws z.

    Draws are members: an output is `(draws, rows, ...)`, a loss the mean of the draws' losses, a prediction the mean of their
    probabilities (never of logits). In evaluation the draws come from numbers that are fixed once and serve every row, so a
    prediction is repeatable and depends on its row alone.
    The weight w of a binary task's positive class moves logits by log w; outputs have it taken off, so that probabilities
    stay those of the data. Inputs of other kinds stand beside the last point's features (the paper: series alone); dtw_knn
    reads the series alone. Deviation: the best epoch is that of the library's rule (the tasks' primary metrics), not of AUPRC.
    """

    options_type = Options
    representation = None  # what tasks share has an axis of draws

    def __init__(
        self,
        series: str,
        variables: int,
        step: float,
        body: nn.Module | None,
        context: Encoder | None,
        heads: Heads | None,
        tasks: Mapping[str, Task],
        options: Options,
    ) -> None:
        super().__init__(tasks)
        self.series, self.variables, self.step, self.options = series, variables, step, options
        self.context, self.heads, self.body = context, heads, body
        binary = [name for name, task in tasks.items() if task.kind == "binary"]
        self.binary = tuple(binary if options.class_weight and body else ())
        if body is None:
            self.neighbours = WarpedNeighbours(tasks, variables, options.grid, options.neighbours)
            return
        self.missing = Missing(1, _width(options), options.absent)
        self.register_buffer("weight", torch.ones(len(self.binary)))
        self.gp = MultitaskGP(variables) if options.learner.startswith("mgp") else None
        if self.gp:
            fixed = Noise.draw((), options.events, options.grid, variables, options.samples, generator=_fixed())
            for name, part in vars(fixed).items():
                self.register_buffer(f"noise_{name}", part, persistent=False)

    weight: Tensor

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "MGPTCN":
        names = schema.of_kind("series")
        if len(names) != 1:
            problem = f"needs one input of kind series, found {len(names)}"
            fix = "Attach long measurements to the rows: --with labs=labs.csv:patient; leave other series out"
            raise OptionError.of("system 'mgp_tcn_dtw'", problem, fix)
        item: Any = schema.inputs[names[0]]
        step = options.step or _step(item.span, options.grid)
        if options.learner == "dtw_knn":
            return cls(names[0], item.variables, step, None, None, None, schema.tasks, options)
        rest = schema.only(inputs=tuple(name for name in schema.inputs if name not in names))
        context = Encoder(rest.inputs, options) if rest.inputs else None
        body = _body(item.variables, options)
        heads = Heads(schema.tasks, _width(options) + (context.width if context else 0))
        for head in heads.heads.each:
            nn.init.orthogonal_(head.out.weight[0])  # type: ignore[union-attr, index]
        return cls(names[0], item.variables, step, body, context, heads, schema.tasks, options)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        names = tuple(self.tasks) if tasks is None else tuple(tasks)
        if self.heads is None:
            column, present = self._series(batch)
            outputs: dict[str, Tensor] = self.neighbours(*self._binned(column, present), present, names)
            return outputs
        rows = torch.arange(len(batch), device=self.missing.vector.device).split(_ROWS)
        parts = [self._features(batch.index(some) if len(rows) > 1 else batch, 1) for some in rows]
        return self._corrected(self.heads(torch.cat(parts, dim=1), names))

    def losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Each task's loss, the mean over draws and over the last `average` points, positives weighted."""
        if self.heads is None:
            return super().losses(batch)
        outputs = self.heads(self._features(batch, self.options.average), batch.tasks)
        return {name: self._weighted(name, output, batch) for name, output in outputs.items()}

    def _weighted(self, name: str, output: Tensor, batch: Batch) -> Float[Tensor, ""]:
        target, labelled = batch.targets.tensor(name), batch.labelled.tensor(name)
        if name not in self.binary:
            return self.tasks[name].loss(output, target, labelled)
        rows = self.tasks[name].row_losses(output, target, labelled)
        weight = torch.where(target > 0.5, self.weight[self.binary.index(name)], 1.0) * labelled
        return (rows * weight).sum(-1).mean() / labelled.sum().clamp(min=1)

    def _corrected(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Logits without the shift that the weight of the positive class teaches."""
        shifts = {name: self.weight[i].log() for i, name in enumerate(self.binary)}
        return {name: output - shifts[name] if name in shifts else output for name, output in outputs.items()}

    def _series(self, batch: Batch) -> tuple[Ragged, Bool[Tensor, "batch"]]:
        column = batch.inputs[self.series]
        assert isinstance(column, Ragged)
        return column, batch.present.tensor(self.series)

    def _binned(self, column: Ragged, present: Tensor) -> tuple[Tensor, Tensor]:
        """The series on the grid, missing steps carried forward: `(batch, points, variables)`, and each row's points."""
        events = pad(column, present, self.options.events)
        on = grid(events, self.step, self.options.grid)
        return carry_forward(events, on, self.variables), on.length

    def _features(self, batch: Batch, last: int) -> Float[Tensor, "members batch width"]:
        """What heads read, at each of the `last` points (repeated where a row has fewer): one member a draw and point."""
        column, present = self._series(batch)
        events = pad(column, present, self.options.events)
        on = grid(events, self.step, self.options.grid)
        z = self._draws(events, on) if self.gp else carry_forward(events, on, self.variables)[None]
        assert self.body is not None
        steps = self.body(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        picked = (on.length - 1 - torch.arange(last, device=on.length.device)[:, None]).clamp(min=0)
        index = picked[None, :, :, None].expand(len(z), -1, -1, steps.shape[-1])
        h = steps[:, None].expand(-1, last, -1, -1, -1).gather(3, index[..., None, :]).squeeze(3).flatten(0, 1)
        h = torch.where(present[:, None], h, self.missing.vector.to(h.dtype))
        if self.context is None:
            return h
        return torch.cat([h, self.context(batch).expand(len(h), -1, -1)], dim=-1)

    def _draws(self, events: Any, on: Any) -> Float[Tensor, "samples batch points variables"]:
        assert self.gp is not None
        if self.training:
            sizes = (*events.time.shape, on.most, self.variables, self.options.samples)
            noise = Noise.draw(sizes[:1], *sizes[1:], device=events.time.device)
        else:
            noise = Noise(*(self.get_buffer(f"noise_{name}") for name in ("path", "error", "extra")))
        z: Tensor = self.gp(events, on, noise)
        return z.to(self.missing.vector.dtype)

    def stages(self) -> Sequence[Stage]:
        if self.body is None:
            return [Solve(self.remember, "neighbours")]
        return [Solve(self.weigh, "class weights"), Fit()]

    def weigh(self, train: Batch, validation: Batch, seed: int) -> None:
        """Set each binary task's weight of positives to 1 / prevalence among the training rows."""
        for i, name in enumerate(self.binary):
            labelled = train.labelled.tensor(name)
            positive = (train.targets.tensor(name) * labelled).sum()
            self.weight[i] = torch.where(positive > 0, labelled.sum() / positive.clamp(min=1), 1.0)

    def remember(self, train: Batch, validation: Batch, seed: int) -> None:
        """Store the training rows' series (they are part of the saved model: mind privacy) and choose k on validation rows."""
        column, present = self._series(train)
        self.neighbours.store(*self._binned(column, present), present, train)
        column, present = self._series(validation)
        self.neighbours.tune(*self._binned(column, present), present, validation)


def _step(span: float, points: int) -> float:
    return 1.0 if points / 8 <= span + 1 <= points else span / max(points - 1, 1)


def _fixed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class _GRU(nn.Module):
    """The recurrent rival of the convolutions (MGP-RNN, Futoma et al. 2017, with one layer of GRU for their LSTM)."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, units, batch_first=True)

    def forward(self, x: Float[Tensor, "batch points inputs"]) -> Float[Tensor, "batch points units"]:
        y: Tensor = self.gru(x)[0]
        return y


def _body(variables: int, options: Options) -> nn.Module:
    if options.learner == "mgp_gru":
        return _GRU(variables, options.units)
    return CausalTCN(variables, options.filters, options.levels, options.kernel, options.dropout)


def _width(options: Options) -> int:
    return options.units if options.learner == "mgp_gru" else options.filters
