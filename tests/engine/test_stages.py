"""What a stage may say beyond its losses: clipping by group, hooks, a score of its own, a source with state, losses again."""

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from polytask.balance import _balancer
from polytask.core import Balancer, Batch, Fit, Parameters, Schema, Source, System, Update
from polytask.engine.loop import Loop
from polytask.engine.training import Training

SCHEMA = Schema.parse({"inputs": {"x": "number"}, "tasks": {"a": "regression"}})
BATCH = SCHEMA.example(32)
PLAIN = Training(
    epochs=4, steps=1, batch_size=32, optimizer="sgd", lr=0.1, momentum=0.0, weight_decay=0.0, average=0.0,
    accelerator="cpu", threads=1, patience=2,
)  # fmt: skip


class Drifting(Source):
    """One batch an epoch, moved by how many batches it has given: what it yields depends on its past."""

    def __init__(self) -> None:
        self.given = torch.zeros(())

    def epoch(self, number: int) -> Iterator[Batch]:
        self.given += 1
        rows = (torch.arange(len(BATCH)) + int(self.given)) % 7
        yield BATCH.index(rows)

    def __len__(self) -> int:
        return 1

    def state_dict(self) -> dict[str, Tensor]:
        return {"given": self.given.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.given.copy_(state["given"])


class Line(System):
    """A line with dropout and batch normalisation; its stage is given."""

    def __init__(self, stage: Callable[["Line"], Fit] = lambda system: Fit()) -> None:
        super().__init__(SCHEMA.tasks)
        self.norm, self.drop, self.line, self.stage = nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(1, 4), stage
        self.out = nn.Linear(4, 1)
        self.asked: list[bool] = []

    @classmethod
    def build(cls, schema: Schema, options: Any) -> "Line":
        return cls()

    def forward(self, batch: Batch, tasks: Any = None) -> dict[str, Tensor]:
        h = self.drop(self.norm(self.line(batch.inputs.tensor("x")[:, None])))
        return {"a": self.out(h).view(-1, *self.tasks["a"].output_shape)}

    def stages(self) -> list[Fit]:
        return [self.stage(self)]

    def falling(self) -> float:
        """A score that is best at first, whatever the validation rows say."""
        self.asked.append(self.training)
        return -float(len(self.asked))


def made(stage: Callable[[Line], Fit], training: Training = PLAIN, **more: Any) -> Loop:
    torch.manual_seed(0)
    system = Line(stage)
    balancer = more.pop("balancer", None) or _balancer.make("equal", ["a"])
    return Loop(system, balancer, training, Fabric(accelerator="cpu", devices=1), Drifting(), BATCH, BATCH, **more)


def weights(system: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in system.state_dict().items()}


def test_a_group_is_clipped_by_itself() -> None:
    def stage(system: Line) -> Fit:
        groups = [Parameters(list(system.line.parameters()), clip=1e-3), Parameters(list(system.out.parameters()))]
        return Fit(parameters=groups)

    run = made(stage, replace(PLAIN, epochs=1, lr=1.0))
    before = weights(run.system)
    run.run()
    after = weights(run.system)

    def moved(part: str) -> float:
        return float(torch.cat([(after[n] - before[n]).flatten() for n in before if n.startswith(part)]).norm())

    assert moved("line.") == pytest.approx(1e-3, rel=1e-2)
    assert moved("out.") > 1e-2


def test_after_is_called_after_every_update_with_the_optimizer() -> None:
    seen: list[tuple[Any, int, Tensor]] = []

    def after(optimizer: Optimizer, updates: int) -> None:
        seen.append((type(optimizer), updates, run.system.get_parameter("out.weight").detach().clone()))

    run = made(lambda system: Fit(after=after, patience=False), replace(PLAIN, steps=2))
    first = run.system.get_parameter("out.weight").detach().clone()
    run.run()
    assert [updates for _, updates, _ in seen] == list(range(1, 9))
    assert all(kind is torch.optim.SGD for kind, _, _ in seen)
    assert not torch.equal(seen[0][2], first), "the update had been made"


def test_what_after_changes_stays() -> None:
    def after(optimizer: Optimizer, updates: int) -> None:
        with torch.no_grad():
            run.system.get_parameter("out.bias").fill_(7.0)

    run = made(lambda system: Fit(after=after, patience=False))
    run.run()
    assert float(run.system.get_parameter("out.bias")) == 7.0


def test_a_score_of_its_own_keeps_the_best_and_ends_the_stage() -> None:
    run = made(lambda system: Fit(score="falling"))
    seen: list[dict[str, Tensor]] = []
    run.report = lambda progress, stage, epochs: seen.append(weights(run.system))
    run.run()
    assert [row["score"] for row in run.progress.history] == [-1.0, -2.0, -3.0], "patience of 2"
    assert run.system.asked == [False] * 3, "asked in evaluation mode"
    assert all(torch.equal(value, seen[0][name]) for name, value in weights(run.system).items())
    assert not torch.equal(seen[0]["out.weight"], seen[-1]["out.weight"])


def test_a_stage_without_patience_runs_its_whole_length() -> None:
    run = made(lambda system: Fit(score="falling", patience=False))
    run.run()
    assert len(run.progress.history) == PLAIN.epochs


def test_a_source_with_state_goes_on_where_it_was(tmp_path: Path) -> None:
    def stage(system: Line) -> Fit:
        return Fit(source=Drifting(), patience=False)

    straight = made(stage)
    straight.run()
    stopped = made(stage, folder=tmp_path)
    stopped.report = lambda progress, stage, epochs: signal.raise_signal(signal.SIGINT) if progress.epoch == 2 else None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            stopped.run()
    finally:
        signal.signal(signal.SIGINT, before)
    resumed = made(stage, folder=tmp_path)
    resumed.run()
    there = weights(straight.system)
    assert all(torch.equal(value, there[name]) for name, value in weights(resumed.system).items())


class Twice(Balancer):
    """Asks for the losses again, before and after a change of weights."""

    looks_again = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float, float]] = []

    def step(self, update: Update) -> Tensor:
        assert update.again is not None
        first, same = float(update.losses["a"].detach()), float(update.again(None)["a"].detach())
        before = [parameter.detach().clone() for parameter in update.shared]
        for parameter in update.shared:
            parameter.data.add_(1.0)  # by `.data`, for the first graph is gone back through later
        other = float(update.again(None)["a"].detach())
        for parameter, value in zip(update.shared, before, strict=True):
            parameter.data.copy_(value)
        self.seen.append((first, same, other))
        update.backward(update.losses["a"])
        return torch.ones(1)


def test_losses_again_have_the_same_random_numbers_and_no_effect() -> None:
    balancer = Twice()
    run, plain = (made(lambda system: Fit(patience=False), balancer=b) for b in (balancer, None))
    run.run()
    plain.run()
    assert len(balancer.seen) == PLAIN.epochs
    for first, same, other in balancer.seen:
        assert same == pytest.approx(first, rel=1e-5), "dropout draws the same"
        assert other != pytest.approx(first, rel=1e-3), "at other weights the loss is another"
    there = weights(plain.system)
    for name in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked"):
        torch.testing.assert_close(weights(run.system)[name], there[name], msg=f"{name} has changed")
