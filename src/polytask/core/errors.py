"""Errors that name the place, the value found and the fix; every fault of a call is reported at once."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, ClassVar


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where (file, column, row, option), what was found, and how to mend it.

    cells: rows and the values found there; the first `SHOWN` are shown.
    """

    SHOWN: ClassVar[int] = 5

    where: str
    problem: str
    fix: str = ""
    cells: tuple[tuple[int, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}{self._shown()}" + (f". {self.fix}" if self.fix else "")

    def _shown(self) -> str:
        if not self.cells:
            return ""
        shown = ", ".join(f"row {row}: {value!r}" for row, value in self.cells[: self.SHOWN])
        return f" ({shown}, ...)" if len(self.cells) > self.SHOWN else f" ({shown})"

    def numbered(self, rows: Sequence[int]) -> "Fault":
        """The same fault, its rows called by their numbers in `rows`; numbers beyond them, of items of lists, stay."""
        named = ((int(rows[row]) if row < len(rows) else row, value) for row, value in self.cells)
        return replace(self, cells=tuple(named))


class PolytaskError(Exception):
    """What the command line prints without a traceback, with exit code 2."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults

    def __reduce__(self) -> tuple[type["PolytaskError"], tuple[Fault, ...]]:
        return type(self), self.faults  # another process's error arrives as it was

    @classmethod
    def of(cls, where: str, problem: str, fix: str = "") -> "PolytaskError":
        """The error of a single fault."""
        return cls(Fault(where, problem, fix))


class DataError(PolytaskError):
    """The user's data cannot be used as asked."""


class OptionError(PolytaskError):
    """An option, a key of the configuration or a name is wrong."""


class MissingExtra(PolytaskError):  # noqa: N818 - it reads as what it says
    """An optional dependency is not installed."""


class RunError(PolytaskError):
    """A run folder is damaged, of another version, or training cannot go on."""


def shown(value: Any, most: int = 80) -> str:
    """A value as found, for a message: cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def nearest(name: Any, choices: Iterable[str]) -> str:
    """A sentence that proposes the closest of `choices`, or lists them."""
    known = sorted(choices)
    close = get_close_matches(str(name), known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return f"Known: {listed or 'none'}."


class Faults:
    """Collects faults, so that a user mends them all in one go."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, where: str, problem: str, fix: str = "") -> None:
        self.found.append(Fault(where, problem, fix))

    def unknown(self, where: str, name: str, choices: Iterable[str]) -> None:
        """A name that is not among `choices`; the nearest one is proposed."""
        self.add(where, f"unknown name '{name}'", nearest(name, choices))

    @contextmanager
    def gather(self, rows: Sequence[int] | None = None) -> Iterator[None]:
        """Add the faults of an error that ends the block, and go on behind it.

        rows: where the block sees some rows of a table only, their numbers in it.
        """
        try:
            yield
        except PolytaskError as error:
            self.found.extend(error.faults if rows is None else [fault.numbered(rows) for fault in error.faults])

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.found)


@contextmanager
def collect(kind: type[PolytaskError] = DataError) -> Iterator[Faults]:
    """Run the block to its end, then raise `kind` with every fault that it added.

    A `PolytaskError` that interrupts the block is joined to the faults found before it.
    """
    faults = Faults()
    try:
        yield faults
    except PolytaskError as error:
        faults.found.extend(error.faults)
        raise kind(*faults.found) from error
    if faults.found:
        raise kind(*faults.found)
