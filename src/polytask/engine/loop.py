"""The loop: stages, steps, early stopping. One explicit loop on Lightning Fabric; it knows no system by name."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import torch.distributed
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from polytask.core import Balancer, Batch, Fit, Parameters, Source, System, Update

from . import _files, checkpoint, log, threads
from ._finite import Finite
from .average import Average
from .checkpoint import Checkpoint, Progress
from .conflict import Conflict
from .interrupt import Interrupt
from .predict import evaluate, mean_primary, predict
from .tap import Caught, Tap
from .training import Training

Report = Callable[[Progress, Fit, int], None]
"""Called after each epoch with where training stands, its stage and the stage's epochs."""


@dataclass
class Loop:
    """Trains a system by its stages.

    source: the run's training batches. train, validation: all their rows, for `Solve` and for early stopping.
    folder: where `checkpoint.safetensors`, `metrics.csv` and `gradients.parquet` go (None: nowhere).
    """

    system: System
    balancer: Balancer
    training: Training
    fabric: Fabric
    source: Source
    train: Batch
    validation: Batch
    folder: Path | None = None
    report: Report | None = None
    progress: Progress = field(default_factory=Progress)
    _trainable: list[nn.Parameter] = field(default_factory=list, init=False)
    _clipped: list[Parameters] = field(default_factory=list, init=False)
    _source: Source | None = field(default=None, init=False)
    _shared: list[nn.Parameter] = field(default_factory=list, init=False)
    _average: Average | None = field(default=None, init=False)
    _own: dict[str, list[nn.Parameter]] = field(default_factory=dict, init=False)
    _stages: list[str] = field(default_factory=list, init=False)
    threads: int = field(init=False)
    """Processor threads that `run` takes."""
    _conflict: Conflict = field(init=False)
    _tap: Tap = field(init=False)
    _finite: Finite = field(init=False)

    def __post_init__(self) -> None:
        active = self.training.conflict and self.folder is not None
        self._conflict = Conflict(self.system.objectives(), self.system.representation is not None, active)
        self._tap = Tap(self.system)
        self._finite = Finite(self.fabric.world_size == 1)
        rows = min(self.training.batch_size, len(self.train)) // self.fabric.world_size
        work = threads.work(self.system, self.train, rows) if self.fabric.device.type == "cpu" else 0
        self.threads = threads.chosen(self.training.threads, work)

    def run(self) -> None:
        """Train from where the folder's checkpoint stands (from the start without one) to the end; the best weights stay.

        Raises `RunError` naming the step, and the tasks whose loss is no longer finite.
        """
        resumed = self._resume()
        self._trainable = [p for p in self.system.parameters() if p.requires_grad]
        loggers = log.loggers(self.training.loggers, self.folder) if self.folder and self.fabric.global_rank == 0 else []
        try:
            with threads.limited(self.threads):
                self._run(resumed, loggers)
        finally:
            for logger in loggers:
                logger.close()

    def _run(self, resumed: Checkpoint | None, loggers: list[log.Logger]) -> None:
        stages = self.system.stages()
        self._stages = [stage.name for stage in stages]
        while self.progress.stage < len(stages):
            stage = stages[self.progress.stage]
            if isinstance(stage, Fit):
                self._fit(stage, resumed, loggers)
            else:
                started = time.perf_counter()
                stage.run(self.train, self.validation, self.training.seed)
                self.progress.seconds += time.perf_counter() - started
            resumed = None
            self.progress.next_stage()
            self._save(self.system.state_dict(), None)

    def _resume(self) -> Checkpoint | None:
        path = self.folder / "checkpoint.safetensors" if self.folder else None
        if path is None or not path.exists():
            return None
        found = Checkpoint.read(path)
        with found.fitting():
            found.restore(self.system, self.balancer)
            self._conflict.load_state_dict(found.under("conflict"))
            self.progress = found.progress
        return found

    def _fit(self, stage: Fit, resumed: Checkpoint | None, loggers: list[log.Logger]) -> None:
        if stage.before and not (resumed and self.progress.epoch):
            stage.before()
        groups = self._groups(stage)
        optimizer = self.training.make_optimizer(groups)
        model, wrapped = self.fabric.setup(self.system, optimizer)
        model.mark_forward_method(stage.losses)
        self.balancer.to(self.fabric.device)
        self._source = stage.source
        # From here on the parameters lie on their device: what follows refers to them there.
        average = self._average = Average(self.system, self.training.average)
        best = {name: value.clone() for name, value in self.system.state_dict().items()}
        if resumed and self.progress.epoch:
            with resumed.fitting():
                resumed.restore_optimizer(optimizer)
                average.load_state_dict(resumed.under("average"))
                best = resumed.best(self.system)
                if stage.source is not None:
                    stage.source.load_state_dict(resumed.under("source"))
        epochs = max(1, round(self.training.epochs * stage.length))
        saved = time.monotonic()
        with Interrupt(self.folder is not None) as interrupt:
            while self.progress.epoch < epochs and not (stage.patience and self.progress.wait >= self.training.patience):
                started = time.perf_counter()
                means, weights = self._epoch(stage, model, wrapped, average, epochs)
                with average.applied():
                    row = self._row(stage, means, weights, optimizer.param_groups[0]["lr"], started)
                    if self._is_better(row):
                        best = {name: value.detach().clone() for name, value in self.system.state_dict().items()}
                for logger in loggers:
                    logger.epoch(row, self.progress.step)
                if self.report:
                    self.report(self.progress, stage, epochs)
                if interrupt.asked or time.monotonic() - saved >= self.training.save_every:
                    self._save(best, optimizer)
                    saved = time.monotonic()
                if interrupt.asked:
                    raise interrupt.error()
        self.system.load_state_dict(best)
        for parameter in self._trainable:
            parameter.requires_grad_(True)

    def _groups(self, stage: Fit) -> list[Parameters]:
        """What the stage trains, with the balancer's own parameters; all else of the system is frozen meanwhile."""
        groups = list(chain.from_iterable(map(self._decayed, stage.parameters or [Parameters(self._trainable)])))
        self.system.requires_grad_(False)
        for group in groups:
            for parameter in group.parameters:
                parameter.requires_grad_(True)
        self._shared = [p for p in self.system.shared_parameters() if p.requires_grad]
        names = self.system.objectives()
        self._own = {name: [p for p in self.system.task_parameters(name) if p.requires_grad] for name in names}
        self._clipped = [group for group in stage.parameters or () if group.clip is not None]
        own = list(self.balancer.parameters())
        return groups + ([Parameters(own, weight_decay=0.0)] if own else [])

    def _decayed(self, group: Parameters) -> list[Parameters]:
        """The group in two: weight decay is for weights, not for biases, scales, embeddings and the like."""
        weights = {id(p) for name, p in self.system.named_parameters() if name.endswith("weight")}
        parts = [[p for p in group.parameters if (id(p) in weights) == has] for has in (True, False)]
        return [part for part in (replace(group, parameters=parts[0]), Parameters(parts[1], group.lr, 0.0)) if part.parameters]

    def _epoch(
        self, stage: Fit, model: Any, optimizer: Any, average: Average, epochs: int
    ) -> tuple[dict[str, float], list[Tensor]]:
        """One pass over the source, or several over a short one: mean losses, and the weights of every step."""
        progress, source = self.progress, stage.source or self.source
        passes = max(1, round(self.training.steps / len(source)))
        batches = passes * len(source)
        # Everything random follows from these numbers, so a resumed run needs no generator state.
        torch.manual_seed(hash((self.training.seed, progress.stage, progress.epoch, self.fabric.global_rank)) % 2**63)
        self.system.train()
        self.balancer.start_epoch(progress.epoch)
        self._tap.start_epoch()
        started, steps = time.perf_counter(), math.ceil(batches / self.training.accumulate)
        sums: dict[str, Tensor] = {}
        weights: list[Tensor] = []
        pending: list[Batch] = []
        first = progress.epoch * passes
        for number, batch in enumerate(chain.from_iterable(source.epoch(first + p) for p in range(passes)), start=1):
            pending.append(batch)
            if len(pending) == self.training.accumulate or number == batches:
                rate = self.training.rate(progress.step, steps * epochs)
                for group in optimizer.param_groups:
                    group["lr"] = self.training.lr * group["scale"] * rate
                look = number == batches and self._conflict.due(progress.epoch + 1)
                weights.append(self._step(stage, model, optimizer, pending, sums, look))
                progress.step += 1
                average.update(progress.step)
                if stage.after:
                    stage.after(optimizer.optimizer, progress.step)
                pending = []
        progress.seconds += time.perf_counter() - started
        progress.steps += steps
        means = _means(sums, self.fabric.world_size)
        trained = {name: p for name, p in self.system.named_parameters() if p.requires_grad}
        self._finite.check(progress.step, means, trained)
        progress.epoch += 1
        return means, weights

    def _is_better(self, row: log.Row) -> bool:
        """Take an epoch's score into the progress; whether it is the best of its stage so far."""
        progress, score = self.progress, float(row["score"])
        better = progress.best is None or score > progress.best
        progress.best, progress.wait = (score, 0) if better else (progress.best, progress.wait + 1)
        progress.history.append(row)
        return better

    def _step(
        self, stage: Fit, model: Any, optimizer: Any, batches: list[Batch], sums: dict[str, Tensor], look: bool
    ) -> Tensor:
        """One update from one or several batches; adds their losses to `sums`; the mean weights used.

        look: whether to measure how far the first batch's gradients pull apart.
        """
        optimizer.zero_grad()
        several = self.fabric.world_size > 1
        used: list[Tensor] = []
        batch = batches[0]
        for batch in batches:
            batch = self.fabric.to_device(batch)
            if stage.tasks is not None:
                batch = replace(batch, tasks=tuple(name for name in batch.tasks if name in stage.tasks))
            with self.fabric.no_backward_sync(model, enabled=several):
                random = _random_state(self.fabric.device) if self.balancer.looks_again else None
                losses, caught = self._losses(stage, model, batch, look)
                if not losses and not several:  # with several, another process may have some: all take part in the step
                    continue
                update = self._update(losses, caught)
                if random is not None:
                    update = replace(update, again=partial(self._again, stage, model, batch, random))
                if look:
                    self._conflict.measure(update, self.progress.stage, self.progress.epoch + 1)
                    look = False
                used.append(self.balancer.step(update))
            for name, loss in losses.items():
                loss = loss.detach()
                self._finite.add(self.progress.step + 1, name, loss)
                step = torch.stack([loss, torch.ones_like(loss)])
                sums[name] = sums[name] + step if name in sums else step
        self._finish_gradients(len(batches))
        for group in self._clipped:
            nn.utils.clip_grad_norm_(group.parameters, (group.clip or 0.0) * self._scale())
        if self.training.clip:
            self.fabric.clip_gradients(model, optimizer, max_norm=self.training.clip, error_if_nonfinite=False)
        optimizer.step()
        if self.balancer.looks_back:
            with torch.no_grad():
                self.balancer.observe(self._losses(stage, model, batch)[0])
        return torch.stack(used).mean(0) if used else torch.zeros(len(self._own), device=self.fabric.device)

    def _losses(self, stage: Fit, model: Any, batch: Batch, look: bool = False) -> tuple[dict[str, Tensor], Caught]:
        """The stage's losses, and the shared representation where the balancer (or a look at it) works on it."""
        if not look and not self.balancer.needs_representation:
            losses: dict[str, Tensor] = getattr(model, stage.losses)(batch)
            return losses, Caught()
        with self._tap.open(entries=stage.losses == "losses") as caught:
            losses = getattr(model, stage.losses)(batch)
        return losses, caught

    def _again(
        self, stage: Fit, model: Any, batch: Batch, random: Callable[[], None], representation: Tensor | None
    ) -> dict[str, Tensor]:
        """The losses once more, with the random numbers of the first time; running statistics stay as they are."""
        kept = {name: buffer.clone() for name, buffer in self.system.named_buffers()}
        now = _random_state(self.fabric.device)
        random()
        try:
            with self._tap.given(representation):
                return self._losses(stage, model, batch)[0]
        finally:
            now()
            for name, buffer in self.system.named_buffers():
                buffer.data.copy_(kept[name])  # not in place for autograd, which may have saved it

    def _update(self, losses: Mapping[str, Tensor], caught: Caught) -> Update:
        reduce = _mean_over_processes if self.fabric.world_size > 1 else None
        update = Update(losses, self._shared, None, self._scale(), self.fabric.backward, reduce, own=self._own)
        return self._tap.update(update, caught)

    def _scale(self) -> float:
        """The loss scale of half precision; 1 elsewhere."""
        scaler = getattr(self.fabric._precision, "scaler", None)
        return 1.0 if scaler is None else float(scaler.get_scale())

    def _finish_gradients(self, batches: int) -> None:
        """Average what was accumulated, and over processes (one flat all-reduce: ranks may lack different tasks)."""
        if batches == 1 and self.fabric.world_size == 1:
            return
        trained = [p for p in [*self.system.parameters(), *self.balancer.parameters()] if p.requires_grad]
        if self.fabric.world_size > 1:
            for p in trained:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            flat = _mean_over_processes(torch.cat([p.grad.flatten() for p in trained if p.grad is not None]))
            for p, part in zip(trained, torch.split(flat, [p.numel() for p in trained]), strict=True):
                p.grad = part.view_as(p)
        if batches > 1:
            torch._foreach_div_([p.grad for p in trained if p.grad is not None], batches)

    def _row(self, stage: Fit, means: Mapping[str, float], weights: list[Tensor], lr: float, started: float) -> log.Row:
        """The numbers of an epoch: the score is the mean of the tasks' primary validation metrics."""
        progress, names = self.progress, list(self.system.tasks if stage.tasks is None else stage.tasks)
        with self._finite.predicting(progress.step):
            predictions = predict(self.system, self.validation, names)
        scores = evaluate(self.system.tasks, predictions, self.validation)
        score = mean_primary(self.system.tasks, scores)
        row: log.Row = {
            "stage": stage.name,
            "epoch": progress.epoch,
            "step": progress.step,
            "seconds": round(time.perf_counter() - started, 4),
            "lr": lr,
        }
        if stage.score is not None:
            self.system.eval()
            score = float(getattr(self.system, stage.score)())
        # Without a defined metric (validation rows of one class only) the training loss is all there is to stop on.
        row["score"] = -sum(means.values()) if math.isnan(score) else score
        row |= {f"loss/{name}": value for name, value in means.items()}
        row |= {f"weight/{name}": float(w) for name, w in zip(self._own, torch.stack(weights).mean(0), strict=False)}
        return row | {f"validation/{name}/{key}": value for name, each in scores.items() for key, value in each.items()}

    def _save(self, best: Mapping[str, Tensor], optimizer: Optimizer | None) -> None:
        if self.folder is None or self.fabric.global_rank != 0:
            return
        log.write_csv(self.folder / "metrics.csv", self.progress.history)
        if self._conflict.active:
            table = self._conflict.table(self._stages)
            _files.write(self.folder / "gradients.parquet", lambda path: pq.write_table(table, path))
        parts = {"system": self.system.state_dict(), "best": best, "balancer": self.balancer.state_dict()}
        parts["conflict"] = self._conflict.state_dict()
        if self._average is not None:
            parts["average"] = self._average.state_dict()
        if optimizer is not None and self._source is not None:
            parts["source"] = self._source.state_dict()
        checkpoint.save(self.folder / "checkpoint.safetensors", self.progress, parts, optimizer)


def _means(sums: Mapping[str, Tensor], processes: int) -> dict[str, float]:
    """The mean of each loss over all processes, which may have met different tasks."""
    mine = {name: pair.tolist() for name, pair in sums.items()}
    each: list[Any] = [mine]
    if processes > 1:
        each = [None] * processes
        torch.distributed.all_gather_object(each, mine)
    names = dict.fromkeys(name for one in each for name in one)
    return {
        name: math.fsum(one[name][0] for one in each if name in one) / math.fsum(one[name][1] for one in each if name in one)
        for name in names
    }


def _random_state(device: torch.device) -> Callable[[], None]:
    """What brings the random numbers of the processor and the device back to where they are now."""
    module = None if device.type == "cpu" else torch.get_device_module(device)
    state, own = torch.get_rng_state(), None if module is None else module.get_rng_state()

    def restore() -> None:
        torch.set_rng_state(state)
        if module is not None:
            module.set_rng_state(own)

    return restore


def _mean_over_processes(tensor: Tensor) -> Tensor:
    torch.distributed.all_reduce(tensor)
    return tensor / torch.distributed.get_world_size()
