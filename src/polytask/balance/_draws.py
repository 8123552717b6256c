"""Random numbers that are the same in every process and after a restart."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Draws(nn.Module):
    """Random generators whose seeds follow from a seed and the number of the draw; both are in the state."""

    seed: Tensor
    number: Tensor

    def __init__(self, seed: int | None) -> None:
        super().__init__()
        self.register_buffer("seed", torch.tensor(torch.initial_seed() % 2**32 if seed is None else seed))
        self.register_buffer("number", torch.tensor(0))

    def next(self) -> torch.Generator:
        """The next generator."""
        generator = torch.Generator().manual_seed(int(self.seed) * 2**31 + int(self.number))
        self.number += 1
        return generator

    @contextmanager
    def globally(self, device: torch.device) -> Iterator[None]:
        """What is drawn in the block with torch's own generators, of the processor or of `device`, leaves no trace outside."""
        with torch.random.fork_rng([]) if device.type == "cpu" else torch.random.fork_rng([device], device_type=device.type):
            seed = self.next().initial_seed()
            torch.default_generator.manual_seed(seed) if device.type == "cpu" else torch.manual_seed(seed)
            yield
