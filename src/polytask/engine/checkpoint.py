"""Checkpoints: all that training needs to go on as if it had never stopped, in one safetensors file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from . import _files
from .log import Row


@dataclass
class Progress:
    """Where training stands. Batches, dropout and schedules follow from these numbers and the seed alone."""

    stage: int = 0
    epoch: int = 0
    step: int = 0
    best: float | None = None
    wait: int = 0
    seconds: float = 0.0
    steps: int = 0
    history: list[Row] = field(default_factory=list)

    def next_stage(self) -> None:
        self.stage, self.epoch, self.step, self.best, self.wait = self.stage + 1, 0, 0, None, 0


def save(path: Path, progress: Progress, parts: Mapping[str, Mapping[str, Tensor]], optimizer: Optimizer | None) -> None:
    """Write the checkpoint whole or not at all; `parts` are state dicts by name."""
    tensors = {f"{part}/{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
    about: dict[str, Any] = {"progress": asdict(progress)}
    if optimizer is not None:
        state = optimizer.state_dict()
        about["groups"] = state["param_groups"]
        for number, values in state["state"].items():
            tensors |= {f"optimizer/{number}/{name}": value for name, value in values.items() if isinstance(value, Tensor)}
    _files.write_tensors(path, tensors, about)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read; `restore` puts it into the modules."""

    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        return cls(*_files.read_tensors(path))

    @property
    def progress(self) -> Progress:
        return Progress(**self.about["progress"])

    def restore(self, system: nn.Module, balancer: nn.Module) -> None:
        system.load_state_dict(self.under("system"))
        balancer.load_state_dict(self.under("balancer"))

    def restore_optimizer(self, optimizer: Optimizer) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in self.under("optimizer").items():
            number, name = key.split("/")
            state.setdefault(int(number), {})[name] = value
        if "groups" in self.about:
            optimizer.load_state_dict({"state": state, "param_groups": self.about["groups"]})

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The state dict that was saved under this name."""
        start = prefix + "/"
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}
