"""A source yields batches: the rows of a table, a mix of several, and later environments, episodes and task sequences."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from torch import Tensor

from .batch import Batch


class Source(ABC):
    """Yields the batches of an epoch.

    An epoch depends on its number, the seed and `state_dict` alone, so a killed run repeats it exactly.
    """

    @abstractmethod
    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0."""

    @abstractmethod
    def __len__(self) -> int:
        """Batches an epoch."""

    def state_dict(self) -> dict[str, Tensor]:
        """What earlier epochs left behind (a replay buffer): empty for rows of a table."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Take up what `state_dict` gave."""
