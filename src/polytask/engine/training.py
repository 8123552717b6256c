"""How a system is trained: the options that no paper owns."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.optim import SGD, AdamW, Optimizer

from polytask.core import Parameters, opt


@dataclass(frozen=True)
class Training:
    """Options of the loop; the same for every system that is compared."""

    epochs: int = opt(100, "most passes over the training rows", ours="early stopping ends most runs sooner", ge=1)
    steps: int = opt(50, "steps that a pass has at least: short ones are repeated", ours="measured: docs/defaults.md", ge=1)
    patience: int = opt(8, "epochs without a better validation score before stopping", ours="measured: docs/defaults.md", ge=1)
    batch_size: int = opt(256, "rows a step", ours="measured: docs/defaults.md", ge=1)
    optimizer: Literal["adamw", "sgd"] = opt("adamw", "the optimizer", ours="usual", choices=("adamw", "sgd"))
    lr: float = opt(4e-3, "learning rate", ours="measured: docs/defaults.md", gt=0)
    weight_decay: float = opt(0.1, "decoupled weight decay of the weights", ours="measured: docs/defaults.md", ge=0)
    momentum: float = opt(0.9, "momentum of SGD", ours="usual", ge=0, lt=1)
    schedule: Literal["constant", "cosine", "linear"] = opt(
        "constant", "learning rate over the epochs", ours="early stopping", choices=("constant", "cosine", "linear")
    )
    average: float = opt(
        0.98, "decay of the running average of the weights, which is what predicts (0: none)",
        ours="measured: docs/defaults.md", ge=0, lt=1,
    )  # fmt: skip
    warmup: float = opt(0.0, "share of the steps in which the learning rate rises from 0", ours="small networks", ge=0, lt=1)
    clip: float = opt(0.0, "largest norm of the gradient (0: no limit)", ours="Adam's steps are bounded", ge=0)
    accumulate: int = opt(1, "batches whose gradients are added up before a step", ours="memory", ge=1)
    seed: int = opt(0, "seed of weights, batches and dropout", ours="any", ge=0)
    accelerator: str = opt("auto", "device kind, as Lightning Fabric names it", ours="Fabric")
    devices: int = opt(1, "number of devices", ours="Fabric", ge=1)
    strategy: str = opt("auto", "how devices share the work, as Lightning Fabric names it", ours="Fabric")
    precision: str = opt("32-true", "number format, as Lightning Fabric names it", ours="Fabric")
    threads: int = opt(0, "processor threads (0: by the work of a step, mostly one)", ours="small work is slower on many", ge=0)
    save_every: float = opt(10.0, "seconds between checkpoints", ours="cost against loss of work", ge=0)
    conflict: bool = opt(
        True,
        "once an epoch, measure on one batch how far the tasks' gradients pull apart",
        ours="for the report; changes no number",
    )
    loggers: tuple[Literal["tensorboard", "mlflow"], ...] = opt((), "loggers beside metrics.csv", ours="extra 'logging'")

    def make_optimizer(self, groups: Iterable[Parameters]) -> Optimizer:
        """The optimizer of a stage; each group keeps its multiple of the learning rate as `scale`."""
        listed = [
            {
                "params": list(group.parameters),
                "lr": self.lr * group.lr,
                "scale": group.lr,
                "weight_decay": self.weight_decay if group.weight_decay is None else group.weight_decay,
            }
            for group in groups
        ]
        if self.optimizer == "sgd":
            return SGD(listed, lr=self.lr, momentum=self.momentum)
        return AdamW(listed, lr=self.lr, fused=True)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at `step` of `steps`, as a multiple of `lr`."""
        warm = self.warmup * steps
        if step < warm:
            return (step + 1) / warm
        done = min(1.0, (step - warm) / max(1.0, steps - warm))
        if self.schedule == "cosine":
            return 0.5 * (1 + float(torch.cos(torch.tensor(done * torch.pi))))
        return 1.0 - done if self.schedule == "linear" else 1.0
