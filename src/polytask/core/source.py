"""A source yields batches: the rows of a table, a mix of several, and later environments, episodes and task sequences."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from .batch import Batch


class Source(ABC):
    """Yields the batches of an epoch. An epoch depends on its number and the seed alone, so a killed run repeats it exactly."""

    @abstractmethod
    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0."""

    @abstractmethod
    def __len__(self) -> int:
        """Batches an epoch."""
