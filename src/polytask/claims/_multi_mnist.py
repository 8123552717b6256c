"""Training a LeNet on some pairs of `multi_mnist`, with or without noisy labels at the right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_calibration_error

from polytask.balance import _balancer
from polytask.core import Batch, PerTask, Schema, System, Task
from polytask.core.batch import Columns
from polytask.data.prepare import Prepared, prepare
from polytask.data.real import multi_mnist
from polytask.data.sample import Rows
from polytask.data.split import SplitOptions
from polytask.engine.loop import Loop
from polytask.engine.predict import predict
from polytask.engine.training import Training

_BATCH = 100


@dataclass(frozen=True)
class Size:
    """How much is learnt. shrink: so many pixels become one along each side. noisy: the rules that meet noise too."""

    pairs: int
    epochs: int
    shrink: int
    lr: float
    rules: tuple[str, ...]
    noisy: tuple[str, ...]


class LeNet(System):
    """Two convolutions, which stride in place of pooling, and a linear map for both digits; a linear map for each."""

    def __init__(self, tasks: Mapping[str, Task], shrink: int) -> None:
        super().__init__(tasks)
        first, second, places = (9, 5, 25) if shrink == 1 else (5, 3, 9)
        convolutions = nn.Conv2d(1, 10, first, 2), nn.ReLU(), nn.Conv2d(10, 20, second, 2), nn.ReLU(), nn.Flatten()
        self.trunk = nn.Sequential(*convolutions, nn.Linear(20 * places, 50), nn.ReLU())
        self.heads = PerTask({name: nn.Linear(50, 10) for name in tasks})

    @classmethod
    def build(cls, schema: Schema, options: int) -> "LeNet":
        return cls(schema.tasks, options)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        features = self.trunk(batch.inputs.tensor("image"))
        return {name: self.heads[name](features) for name in (self.tasks if tasks is None else tasks)}


@cache
def _pairs() -> Prepared:
    options = SplitOptions(how="group", column="part", test=0.4, validation=0.15)
    return prepare([{"file": multi_mnist.load()}], multi_mnist.tasks, {}, multi_mnist.ignore, options)


@cache
def batch_of(noise: float, seed: int, shrink: int) -> Batch:
    """All pairs; the share `noise` of the right digits is random, but for rows that test."""
    batch, generator = _pairs().batch, torch.Generator().manual_seed(seed)
    image = nn.functional.avg_pool2d(batch.inputs.tensor("image").float() / 255, shrink)
    right = batch.targets.tensor("right")
    random = torch.randint(0, 10, right.shape, generator=generator)
    noisy = torch.rand(right.shape, generator=generator) < noise
    noisy[_pairs().split.test] = False
    targets = {"left": batch.targets.tensor("left"), "right": torch.where(noisy, random, right)}
    return replace(batch, inputs=Columns({"image": image}, len(batch)), targets=Columns(targets, len(batch)))


def train(batch: Batch, balancer: str, options: Mapping[str, Any], seed: int, size: Size, lr: float) -> tuple[LeNet, int]:
    """The net after training on `size.pairs` pairs, as it was best on the validation rows; and its steps."""
    split, generator = _pairs().split, torch.Generator().manual_seed(seed)
    rows = split.train[torch.randperm(len(split.train), generator=generator)[: size.pairs]]
    torch.manual_seed(seed)
    net = LeNet(_pairs().schema.tasks, size.shrink)
    # Validation costs as much as an epoch of so few pairs: it comes after every second one.
    training = Training(
        epochs=size.epochs // 2,
        patience=size.epochs,
        steps=2 * -(-size.pairs // _BATCH),
        batch_size=_BATCH,
        lr=lr,
        weight_decay=0.0,
        average=0.0,
        threads=1,
        seed=seed,
    )
    source, fabric = Rows(batch, rows, _BATCH, seed), Fabric(accelerator="cpu", devices=1)
    rule = _balancer.make(balancer, list(net.tasks), options)
    loop = Loop(net, rule, training, fabric, source, batch.index(rows), batch.index(split.validation))
    loop.run()
    return net, loop.progress.steps


def score(net: LeNet, batch: Batch, part: str) -> tuple[float, float]:
    """Accuracy and expected calibration error (15 bins) on the rows of `part`, the means of both tasks."""
    rows = batch.index(getattr(_pairs().split, part))
    found = predict(net, rows)
    targets = {name: rows.targets.tensor(name) for name in found}
    right = [(found[name].argmax(1) == targets[name]).double().mean() for name in found]
    error = [multiclass_calibration_error(found[name], targets[name], 10, n_bins=15) for name in found]
    return float(torch.stack(right).mean()), float(torch.stack(error).mean())
