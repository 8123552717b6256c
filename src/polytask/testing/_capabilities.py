"""Capabilities are measured, never declared: export, compile, half precision, two processes."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from polytask.core import Batch, Columns, System

from . import _report


class _Flat(nn.Module):
    """A system as a function from its input columns to its outputs, all tensors."""

    def __init__(self, system: System, batch: Batch) -> None:
        super().__init__()
        self.system, self.batch, self.names = system, batch, tuple(batch.inputs)

    def forward(self, columns: list[Tensor]) -> list[Tensor]:
        inputs = Columns(dict(zip(self.names, columns, strict=True)), len(self.batch))
        return list(self.system(replace(self.batch, inputs=inputs)).values())


def _example(batch: Batch) -> tuple[list[Tensor]]:
    return ([batch.inputs.tensor(name).clone() for name in batch.inputs],)


def export(system: System, batch: Batch) -> None:
    """`torch.export` gives a program with the same outputs."""
    flat, example = _Flat(system, batch), _example(batch)
    program = torch.export.export(flat, example, strict=False)
    for ours, exported in zip(flat(*example), program.module()(*example), strict=True):
        torch.testing.assert_close(ours, exported)


def compile(system: System, batch: Batch) -> None:
    """`torch.compile` captures the system as one graph with the same outputs."""
    torch.compiler.reset()
    flat, example = _Flat(system, batch), _example(batch)
    compiled = torch.compile(flat, backend="eager", fullgraph=True)
    for ours, theirs in zip(flat(*example), compiled(*example), strict=True):
        torch.testing.assert_close(ours, theirs)


def half(system: System, batch: Batch) -> None:
    """Losses under bfloat16 autocast are finite and within 5 % (or 0.05) of those in float32."""
    full = system.losses(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = system.losses(batch)
    for name, loss in full.items():
        torch.testing.assert_close(reduced[name].float(), loss, rtol=0.05, atol=0.05)


def two_processes(target: str | None) -> None:
    """Gradients of two processes with half of the rows each, averaged, are finite and alike in both."""
    assert target is not None, "a class is not measured: give an id or a file"
    command = [sys.executable, "-m", "polytask.testing._two_processes", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]


_PATIENCE = 60.0
"""Seconds after which processes that hang are ended."""


_MEASURES: dict[str, Callable[[System, Batch], None]] = {
    "export": export,
    "compile": compile,
    "half precision": half,
}


def measure(system: System, batch: Batch, target: str | None) -> dict[str, str]:
    """Each capability's outcome: `yes`, or why not."""
    attempts = {name: partial(attempt, system, batch) for name, attempt in _MEASURES.items()}
    attempts["two processes"] = partial(two_processes, target)
    return _report.measure(attempts)
