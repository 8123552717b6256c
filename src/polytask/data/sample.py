"""Training batches from the rows of one table, and the mix of several tables' rows.

Batches are cut from whole tensors: a permutation of row numbers, one `Batch.index` a batch. What an epoch yields depends on
the seed and its number alone, so a killed run repeats it exactly, and processes agree on it without talking to each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from polytask.core import Batch, Source, opt


def keyed(*key: int) -> torch.Generator:
    """A generator for this key; `SeedSequence` mixes the numbers in a way that numpy promises to keep.

    Keys of one use are of one length: `(s,)` and `(s, 0)` give the same.
    """
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


class Rows(Source):
    """Some rows of a batch, each once an epoch.

    `batch_size` is that of all processes together, so results hardly depend on how many there are. An epoch has
    `ceil(rows / batch_size)` batches whose sizes differ by one at most: no tiny last batch makes a noisy step. Process `rank`
    of `world` gets every `world`-th row of each batch: shares are disjoint and differ by one row at most.

    Errors: `ValueError` where there is no row, or where some process would get none of a batch.
    """

    def __init__(
        self,
        batch: Batch,
        rows: Int[Tensor, "rows"],
        batch_size: int,
        seed: int,
        *,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            raise ValueError(f"needs batch_size >= 1 and 0 <= rank < world; got {batch_size}, {rank}, {world}")
        self.batch, self.rows, self.seed, self.shuffle = batch, rows, seed, shuffle
        self.rank, self.world = rank, world
        self._batches = -(-len(rows) // batch_size)
        if not len(rows) or len(rows) // self._batches < world:
            raise ValueError(f"{len(rows)} rows in batches of {batch_size} do not give each of {world} processes a row of each")

    def chunks(self, number: int) -> tuple[Int[Tensor, "_"], ...]:
        """The row numbers of each batch of an epoch, as far as they are this process's."""
        order = self.rows
        if self.shuffle:
            order = order[torch.randperm(len(order), generator=keyed(self.seed, number)).to(order.device)]
        return tuple(chunk[self.rank :: self.world] for chunk in order.tensor_split(self._batches))

    def epoch(self, number: int) -> Iterator[Batch]:
        for chunk in self.chunks(number):
            yield self.batch.index(chunk)

    def __len__(self) -> int:
        return self._batches


@dataclass(frozen=True)
class MixOptions:
    """How batches of several sources are mixed."""

    policy: Literal["proportional", "temperature", "round_robin"] = opt(
        "proportional",
        "how often each source gives a batch: by its rows, by their 1/temperature-th power, or in turn",
        ours="each row once an epoch",
        choices=("proportional", "temperature", "round_robin"),
    )
    temperature: float = opt(
        5.0, "of policy temperature: 1 is proportional, large is equal", paper="Arivazhagan et al. 2019, sec. 4", ge=1
    )


class Mix(Source):
    """Several sources; each batch comes from one of them.

    An epoch has as many batches as the sources have together. Source i, of n_i rows, gives a share of them: its own number
    (`proportional`), n_i^(1/T) / sum_j n_j^(1/T) (`temperature`; Arivazhagan et al., "Massively multilingual neural machine
    translation in the wild", 2019), or 1/k in turn (`round_robin`), at least one. A source goes through its own epochs one
    after another, so all its rows are seen equally often, however many batches it gives an epoch of the mix.
    """

    def __init__(self, sources: Sequence[Rows], options: MixOptions, seed: int) -> None:
        self.sources, self.options, self.seed = tuple(sources), options, seed
        lengths = np.array([len(source) for source in self.sources])
        if options.policy == "proportional":
            self._counts = lengths
        else:
            equal = options.policy == "round_robin"
            rows = np.array([len(source.rows) for source in self.sources], dtype=np.float64)
            weights = np.ones(len(rows)) if equal else rows ** (1 / options.temperature)
            self._counts = _shares(weights, int(lengths.sum()))

    def schedule(self, number: int) -> list[int]:
        """Which source gives each batch of an epoch."""
        if self.options.policy == "round_robin":
            turns = [(turn, i) for i, count in enumerate(self._counts) for turn in range(count)]
            return [i for _, i in sorted(turns)]
        order = torch.repeat_interleave(torch.arange(len(self._counts)), torch.from_numpy(self._counts))
        shuffled: list[int] = order[torch.randperm(len(order), generator=keyed(self.seed, number, 1))].tolist()
        return shuffled

    def epoch(self, number: int) -> Iterator[Batch]:
        streams = [
            _stream(source, number * int(count), int(count)) for source, count in zip(self.sources, self._counts, strict=True)
        ]
        for i in self.schedule(number):
            yield self.sources[i].batch.index(next(streams[i]))

    def __len__(self) -> int:
        return int(self._counts.sum())


def _stream(source: Rows, start: int, count: int) -> Iterator[Tensor]:
    """Batches `start` to `start + count` of a source's epochs, one after another."""
    first, skipped = divmod(start, len(source))
    for number in range(first, -(-(start + count) // len(source))):
        chunks = source.chunks(number)[skipped : skipped + count]
        yield from chunks
        skipped, count = 0, count - len(chunks)


def _shares(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers that sum to `total`, in proportion to the weights (largest remainders), each at least one."""
    free = total - len(weights)
    exact = np.maximum(weights / weights.sum() * total - 1, 0)
    exact *= free / exact.sum() if free else 0
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64) + 1
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts
