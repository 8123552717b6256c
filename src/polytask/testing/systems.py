"""What every system must hold, built from its card's example schema: `polytask check my_system.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Tensor

from polytask.balance import _balancer
from polytask.core import Batch, Columns, Schema, System, registry
from polytask.core.option import make
from polytask.data.sample import Rows
from polytask.engine.loop import Loop
from polytask.engine.training import Training

from . import _capabilities
from ._report import Report, checks_in, run_checks

ROWS = 32


@dataclass(frozen=True)
class Case:
    """A system's class with the schema that its checks use."""

    cls: type[System]
    schema: Schema

    def build(self, seed: int = 0, schema: Schema | None = None) -> System:
        """The untrained system with its default options, in evaluation mode."""
        torch.manual_seed(seed)
        return self.cls.build(schema or self.schema, make(self.cls.options_type, {}, self.cls.__name__)).eval()

    @cached_property
    def batch(self) -> Batch:
        return self.schema.example(ROWS)

    @cached_property
    def gaps(self) -> Batch:
        """The example with one input in five and one label in five missing; every row keeps a label."""
        generator = torch.Generator().manual_seed(1)
        return _with_gaps(self.batch, generator)

    def trained(
        self, seed: int = 0, epochs: int = 3, repeat: int = 1, batch: Batch | None = None, schema: Schema | None = None
    ) -> System:
        """The system after its stages on a batch that is training and validation rows alike; each row
        `repeat` times an epoch."""
        batch = self.gaps if batch is None else batch
        system = self.build(seed, schema)
        training = Training(
            epochs=epochs,
            patience=epochs,
            batch_size=ROWS,
            lr=1e-2,
            weight_decay=0.0,
            steps=1,
            average=0.0,
            threads=1,
            seed=seed,
        )
        balancer = _balancer.make("equal", list(system.objectives()), {})
        rows = Rows(batch, torch.arange(len(batch)).repeat(repeat), ROWS, seed)
        Loop(system, balancer, training, Fabric(accelerator="cpu", devices=1), rows, batch, batch).run()
        return system.eval()


def _with_gaps(batch: Batch, generator: torch.Generator) -> Batch:
    def holes(columns: Columns, keep_one: bool) -> Columns:
        mask = torch.rand(len(batch), len(columns), generator=generator) > 0.2
        if keep_one:
            mask[~mask.any(1), 0] = True
        return Columns({name: mask[:, i] for i, name in enumerate(columns)}, len(batch))

    return replace(batch, present=holes(batch.present, False), labelled=holes(batch.labelled, True))


def outputs(system: System, batch: Batch) -> dict[str, Tensor]:
    """The system's predictions, `(rows, ...)` a task."""
    with torch.inference_mode():
        return {name: system.tasks[name].predict(output) for name, output in system(batch).items()}


def _close(a: Mapping[str, Tensor], b: Mapping[str, Tensor], what: str, tolerance: float = 1e-5) -> None:
    for name in a:
        worst = float((a[name] - b[name]).abs().max().detach())
        assert worst <= tolerance * max(1.0, float(a[name].abs().max().detach())), (
            f"task '{name}': {what} changes predictions by {worst:.2g}"
        )


def check_outputs(case: Case) -> None:
    """Every task has an output of its shape, and asking for one task gives that one."""
    system = case.build()
    found = outputs(system, case.batch)
    assert list(found) == list(case.schema.tasks), f"outputs are {list(found)}, tasks {list(case.schema.tasks)}"
    for name, task in case.schema.tasks.items():
        assert found[name].shape == (ROWS, *task.output_shape), f"task '{name}': {tuple(found[name].shape)}"
    one = list(case.schema.tasks)[-1]
    assert list(system(case.batch, (one,))) == [one], "tasks= does not choose"


def check_finite_losses(case: Case) -> None:
    """Each task's loss is a finite scalar, with gaps too."""
    for batch in (case.batch, case.gaps):
        for name, loss in case.build().losses(batch).items():
            assert loss.dim() == 0, f"loss '{name}' is no scalar: {tuple(loss.shape)}"
            assert bool(torch.isfinite(loss)), f"loss '{name}' is {float(loss)}"


def check_gradients(case: Case) -> None:
    """Every trainable parameter gets a gradient that is finite and not zero throughout."""
    system = case.build().train()
    losses = system.losses(case.gaps)
    trainable = {name: p for name, p in system.named_parameters() if p.requires_grad}
    if not trainable:
        return
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    for name, parameter in trainable.items():
        assert parameter.grad is not None, f"'{name}' gets no gradient"
        assert bool(torch.isfinite(parameter.grad).all()), f"the gradient of '{name}' is not finite"
        assert bool(parameter.grad.any()), f"the gradient of '{name}' is zero"


def check_overfits(case: Case) -> None:
    """32 rows can be learnt: the summed loss of the predictions falls to less than half."""
    batch = case.batch
    before, after = (_total(system, batch) for system in (case.build(), case.trained(epochs=8, repeat=32, batch=batch)))
    assert after < 0.5 * before, f"the loss goes from {before:.3f} to {after:.3f}"


@torch.inference_mode()
def _total(system: System, batch: Batch) -> float:
    return float(sum(system.task_losses(system(batch), batch).values()))


def check_rows_independent(case: Case) -> None:
    """A missing label or input of one row changes nothing for the others."""
    system, rest = case.trained(), torch.arange(1, ROWS)
    first = torch.arange(ROWS) == 0
    holes = {
        part: Columns({n: getattr(case.batch, part)[n] & ~first for n in getattr(case.batch, part)}, ROWS) for part in _MASKS
    }
    gaps = replace(case.batch, present=holes["present"], labelled=holes["labelled"])
    before, after = outputs(system, case.batch), outputs(system, gaps)
    _close({n: v[rest] for n, v in before.items()}, {n: v[rest] for n, v in after.items()}, "a gap in row 0")
    one = replace(case.batch, labelled=holes["labelled"]).index(rest)
    for name, loss in system.losses(replace(case.batch, labelled=holes["labelled"])).items():
        other = system.losses(one)[name]
        assert torch.allclose(loss, other, rtol=1e-4, atol=1e-5), f"the loss of '{name}' depends on a row without label"


_MASKS = ("present", "labelled")


def check_row_order(case: Case) -> None:
    """Predictions follow their rows."""
    system, order = case.trained(), torch.randperm(ROWS, generator=torch.Generator().manual_seed(2))
    straight, shuffled = outputs(system, case.gaps), outputs(system, case.gaps.index(order))
    _close({n: v[order] for n, v in straight.items()}, shuffled, "the order of rows")


def check_round_trip(case: Case) -> None:
    """Weights written as safetensors and read into a new system give identical predictions."""
    system, other = case.trained(), case.build(seed=1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file({name: tensor.contiguous().clone() for name, tensor in system.state_dict().items()}, path)
        other.load_state_dict(load_file(path))
    _close(outputs(system, case.gaps), outputs(other, case.gaps), "a round trip", tolerance=0.0)


def check_seed(case: Case) -> None:
    """The same seed gives the same numbers."""
    _close(outputs(case.trained(3), case.gaps), outputs(case.trained(3), case.gaps), "training again", tolerance=0.0)


def check_one_task(case: Case) -> None:
    """One task alone works."""
    name = next(iter(case.schema.tasks))
    schema = case.schema.only(tasks=(name,))
    system = case.trained(epochs=1, batch=schema.example(ROWS), schema=schema)
    assert list(outputs(system, schema.example(ROWS))) == [name]


def check_partition(case: Case) -> None:
    """Shared parameters and those of tasks (and other objectives) are disjoint, and together they are all."""
    system = case.build()
    names = dict.fromkeys([*case.schema.tasks, *system.objectives()])
    groups = [system.shared_parameters(), *(system.task_parameters(name) for name in names)]
    ids = [id(parameter) for group in groups for parameter in group]
    assert len(ids) == len(set(ids)), "a parameter belongs to two groups"
    assert set(ids) == {id(p) for p in system.parameters()}, "a parameter belongs to no group"


CHECKS = checks_in(globals())


def check_system(target: str | type[System], schema: Schema | None = None) -> Report:
    """Run every check on a system's id, file or class (a class needs its schema), and measure its capabilities."""
    if isinstance(target, str):
        cls = registry.load(target)
        schema = schema or Schema.parse(registry.card_of(registry.file_of(target)).example)
    else:
        cls = target
    if schema is None:
        raise TypeError("a class needs schema=")
    case = Case(cls, schema)
    found = run_checks(CHECKS, case, cls.xfail)
    return Report(
        str(target), found, _capabilities.measure(case.build(), case.batch, target if isinstance(target, str) else None)
    )
