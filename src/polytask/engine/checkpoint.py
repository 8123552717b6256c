"""Checkpoints: all that training needs to go on as if it had never stopped, in one safetensors file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from polytask.core import RunError

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

    path: Path
    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Raises `RunError` for a file that is damaged, or no checkpoint."""
        return cls(path, *_files.read_tensors(path))

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Raises `RunError` naming the file where the block cannot take over what it holds."""
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            problem = f"is not the checkpoint of this run ({_files.one_line(error)})"
            raise RunError.of(str(self.path), problem, "Restore it, or remove it to train from the start") from None

    @property
    def progress(self) -> Progress:
        """Raises `ValueError` unless it is the progress of a run."""
        found = Progress(**self.about["progress"])
        counts = (found.stage, found.epoch, found.step, found.wait, found.steps)
        if not all(isinstance(n, int) and n >= 0 for n in counts) or not isinstance(found.history, list):
            raise ValueError("its progress was edited")
        return found

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

    def best(self, system: nn.Module) -> dict[str, Tensor]:
        """The best weights so far. Raises `ValueError` unless they are those of this system."""
        found = self.under("best")
        if found.keys() != system.state_dict().keys():
            raise ValueError("the best weights are not of this system")
        return found

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The state dict that was saved under this name."""
        start = prefix + "/"
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}
