"""What one step and one stage do, against closed forms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from polytask.balance import _balancer
from polytask.core import Batch, Columns, Fit, MissingExtra, Parameters, PerTask, RunError, Schema, Source, System
from polytask.core.batch import found
from polytask.engine import log
from polytask.engine.loop import Loop
from polytask.engine.training import Training

SCHEMA = Schema.parse({"inputs": {"x": "number"}, "tasks": {"a": "regression", "b": "regression"}})
BATCH = SCHEMA.example(32)
PLAIN = Training(
    epochs=3, steps=1, batch_size=32, optimizer="sgd", lr=0.1, momentum=0.0, weight_decay=0.0, average=0.0, clip=0.0,
    accelerator="cpu", threads=1,
)  # fmt: skip


class Linear(System):
    """A shared scale, and a line a task."""

    def __init__(self, fits: Sequence[Fit] = (Fit(),)) -> None:
        super().__init__(SCHEMA.tasks)
        self.shared, self.fits = nn.Linear(1, 4), fits
        self.lines = PerTask({name: nn.Linear(4, 1) for name in SCHEMA.tasks})

    @classmethod
    def build(cls, schema: Schema, options: Any) -> "Linear":
        return cls()

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        h = self.shared(batch.inputs.tensor("x")[:, None])
        shapes = {name: task.output_shape for name, task in self.tasks.items()}
        return {name: self.lines[name](h).view(-1, *shapes[name]) for name in (self.tasks if tasks is None else tasks)}

    def stages(self) -> Sequence[Fit]:
        return self.fits


@dataclass
class Fixed(Source):
    """The same batches every epoch."""

    batches: Sequence[Batch]

    def epoch(self, number: int) -> Iterator[Batch]:
        yield from self.batches

    def __len__(self) -> int:
        return len(self.batches)


def unlabelled(batch: Batch, *tasks: str) -> Batch:
    masks = {n: batch.labelled.tensor(n) & (n not in tasks) for n in batch.labelled}
    labelled = Columns(masks, len(batch))
    return replace(batch, labelled=labelled, tasks=found(labelled))


def loop(system: System, training: Training = PLAIN, batches: Sequence[Batch] = (BATCH,), **more: Any) -> Loop:
    balancer = _balancer.make(more.pop("balancer", "equal"), list(system.tasks))
    fabric = Fabric(accelerator="cpu", devices=1, precision=more.pop("precision", "32-true"))
    return Loop(system, balancer, training, fabric, Fixed(batches), BATCH, BATCH, **more)


def linear(*fits: Fit) -> Linear:
    torch.manual_seed(0)
    return Linear(fits or (Fit(),))


def state(system: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in system.state_dict().items()}


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor], tolerance: float = 0.0) -> bool:
    return all(torch.allclose(a[name], b[name], rtol=0, atol=tolerance) for name in a)


def test_a_step_is_that_of_sgd() -> None:
    system, ours = linear(), linear()
    loss = torch.stack(list(ours.losses(BATCH).values())).sum()
    weights = loop(linear()).balancer.rule.tasks
    assert weights == ("a", "b")
    torch.autograd.backward(loss)
    with torch.no_grad():
        for parameter in ours.parameters():
            assert parameter.grad is not None
            parameter -= 0.1 * parameter.grad
    run = loop(system, replace(PLAIN, epochs=1))
    run.run()
    assert run.progress.history[0]["weight/a"] == run.progress.history[0]["weight/b"] == pytest.approx(1.0)
    assert equal(state(system), state(ours), 1e-6)


def test_accumulated_halves_equal_the_whole() -> None:
    first, second = BATCH.index(torch.arange(16)), BATCH.index(torch.arange(16, 32))
    whole, halves = linear(), linear()
    loop(whole, batches=[BATCH]).run()
    loop(halves, replace(PLAIN, accumulate=2), [first, second]).run()
    assert equal(state(whole), state(halves), 1e-6)


def test_short_epochs_are_repeated() -> None:
    run = loop(linear(), replace(PLAIN, steps=5, epochs=2))
    run.run()
    assert run.progress.steps == 10


def test_gradients_are_clipped() -> None:
    before, system = state(linear()), linear()
    loop(system, replace(PLAIN, epochs=1, lr=1.0, clip=1e-3)).run()
    moved = torch.cat([(state(system)[name] - before[name]).flatten() for name in before])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-2)


def test_the_best_epoch_is_kept() -> None:
    system = linear()
    run = loop(system, replace(PLAIN, lr=30.0, epochs=6, patience=2))  # far too large a rate: every epoch is worse
    seen: list[dict[str, Tensor]] = []
    run.report = lambda progress, stage, epochs: seen.append(state(system))
    run.run()
    scores = [float(row["score"]) for row in run.progress.history]
    best = scores.index(max(scores))
    assert len(scores) == best + 3 <= 6
    assert equal(state(system), seen[best])
    assert not equal(state(system), seen[-1])


def test_a_stage_trains_its_parameters_only() -> None:
    system = linear()
    system.lines["b"].requires_grad_(False)  # as a system does with what it takes ready-made
    system.fits = (Fit("one", tasks=("a",), parameters=[Parameters(system.task_parameters("a"))], before=lambda: None), Fit())
    before, between = state(system), []
    run = loop(system, balancer="uncertainty")
    own = state(run.balancer)
    run.report = lambda progress, stage, epochs: between.append((stage.name, state(system)))
    run.run()
    last = [weights for name, weights in between if name == "one"][-1]
    moved = {name for name in before if not torch.equal(before[name], last[name])}
    assert moved == {"lines.each.0.weight", "lines.each.0.bias"}
    assert not equal(own, state(run.balancer))
    assert {name for name, p in system.named_parameters() if not p.requires_grad} == {
        "lines.each.1.weight",
        "lines.each.1.bias",
    }
    assert torch.equal(state(system)["lines.each.1.weight"], before["lines.each.1.weight"])
    assert not torch.equal(state(system)["shared.weight"], before["shared.weight"])


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "famo", "mgda", "dwa"])
def test_tasks_may_be_missing_in_a_batch(balancer: str) -> None:
    system = linear()
    run = loop(system, batches=[BATCH, unlabelled(BATCH, "a"), unlabelled(BATCH, "a", "b")], balancer=balancer)
    run.run()
    assert all(bool(value.isfinite().all()) for value in state(system).values())
    assert run.progress.steps == 9


def test_a_task_without_any_label_is_left_alone() -> None:
    system = linear()
    before = state(system)
    loop(system, batches=[unlabelled(BATCH, "b")]).run()
    assert torch.equal(state(system)["lines.each.1.weight"], before["lines.each.1.weight"])


def test_losses_that_are_not_finite_are_named() -> None:
    class Broken(Linear):
        def losses(self, batch: Batch) -> dict[str, Tensor]:
            losses = super().losses(batch)
            return losses | {"b": losses["b"] * torch.nan}

    with pytest.raises(RunError, match=r"step 1: the loss of b is not finite"):
        loop(Broken()).run()


def test_bfloat16_trains() -> None:
    system = linear()
    before = state(system)
    loop(system, precision="bf16-mixed").run()
    assert all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in state(system).values())
    assert not equal(before, state(system))


def test_the_caller_keeps_its_threads() -> None:
    threads = torch.get_num_threads()
    loop(linear(), replace(PLAIN, threads=threads + 1)).run()
    assert torch.get_num_threads() == threads


def test_numbers_are_logged(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = loop(linear(), replace(PLAIN, loggers=("tensorboard",)), folder=tmp_path)
    run.run()
    reader = events.EventAccumulator(str(tmp_path / "tensorboard"))
    reader.Reload()
    logged = [event.value for event in reader.Scalars("loss/a")]
    assert logged == pytest.approx([row["loss/a"] for row in run.progress.history])
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("stage,epoch,step,seconds,lr,score,loss/a,loss/b,weight/a,weight/b,validation/a/")


def test_a_logger_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"logger 'mlflow': needs the package 'mlflow'.*polytask\[logging\]"):
        log.check(("mlflow",))


def test_ctrl_c_saves_the_epoch_and_a_second_run_ends_the_same(tmp_path: Path) -> None:
    import signal

    straight = linear()
    loop(straight, replace(PLAIN, average=0.9)).run()
    stopped = loop(linear(), replace(PLAIN, average=0.9), folder=tmp_path)
    stopped.report = lambda progress, stage, epochs: signal.raise_signal(signal.SIGINT) if progress.epoch == 2 else None
    # A process that a script starts in the background ignores SIGINT from its birth.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            stopped.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.progress.epoch == 2
    resumed = loop(linear(), replace(PLAIN, average=0.9), folder=tmp_path)
    resumed.run()
    assert equal(state(resumed.system), state(straight))
    assert [row["epoch"] for row in resumed.progress.history] == [1, 2, 3]
