"""Run by `polytask check` in a process of its own: does data-parallel training of a system work?

A fresh process can fork safely, since it has not yet used threads.
"""

import multiprocessing
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from polytask.core import Batch, Schema, System, registry
from polytask.core.option import make

ROWS = 32


class Losses(nn.Module):
    """The sum of a system's losses."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, batch: Batch) -> Tensor:
        return torch.stack(list(self.system.losses(batch).values())).sum()


def half(rank: int, system: System, batch: Batch, folder: str) -> None:
    """Train one step on every second row, as process `rank` of two, and save the averaged gradient."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(Losses(system))
    model(batch.index(torch.arange(rank, len(batch), 2))).backward()
    gradients = torch.cat([p.grad.flatten() for p in system.parameters() if p.grad is not None])
    save_file({"gradients": gradients}, Path(folder) / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


def main(target: str) -> None:
    """Compare what two processes got; an assertion error says what is wrong."""
    cls, schema = registry.load(target), Schema.parse(registry.card_of(registry.file_of(target)).example)
    system = cls.build(schema, make(cls.options_type, {}, target))
    assert any(p.requires_grad for p in system.parameters()), "nothing is trained by gradients"
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        processes = [context.Process(target=half, args=(rank, system, schema.example(ROWS), folder)) for rank in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0, "a process failed"
        first, second = (load_file(Path(folder) / f"{rank}.safetensors")["gradients"] for rank in range(2))
    torch.testing.assert_close(first, second)
    assert bool(torch.isfinite(first).all()), "a gradient is not finite"


if __name__ == "__main__":
    main(sys.argv[1])
