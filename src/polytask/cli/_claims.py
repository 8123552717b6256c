"""`claims list | show | run | table | report`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.progress import TimeRemainingColumn

from polytask.core import OptionError, nearest
from polytask.ledger import claim as claims
from polytask.ledger import run as running
from polytask.ledger.book import Book
from polytask.ledger.verdict import Verdict, judge
from polytask.report import tables

from . import _train


def chosen(ids: Sequence[str] | None, field: str | None) -> list[str]:
    """The claims that are meant: those named, those of a field, or all."""
    if field is None:
        return list(ids or claims.names())
    of_field = {id: claims.get(id).card.field for id in ids or claims.names()}
    found = [id for id, own in of_field.items() if own == field]
    if not found:
        raise OptionError.of("--field", f"no claim of field '{field}'", nearest(field, set(of_field.values())))
    return found


def verdicts(ids: Sequence[str], size: str, folder: Path) -> tuple[list[Verdict], list[str]]:
    """The verdicts of what the ledger holds of the code as it is; and the claims whose records are of earlier code."""
    found, stale = [], []
    for id in ids:
        claim = claims.get(id)
        records = Book(folder).read(claim.id)
        current = running.current(claim, size, records)
        if not current and any(record.size == size for record in records):
            stale.append(claim.id)
        found.append(judge(claim, size, current))
    return found, stale


def listed(field: str | None) -> None:
    """A line a claim."""
    found = [claims.get(id) for id in chosen(None, field)]
    rows = [[claim.id, claim.card.field, claim.statement, ", ".join(claim.data) or "-"] for claim in found]
    tables.show(tables.plain("Claims", ["id", "field", "statement", "data"], rows))


def show(id: str, size: str, folder: Path) -> None:
    """All that a claim states, and what the ledger says of it."""
    claim = claims.get(id)
    about = [
        ["statement", claim.statement], ["source", claim.source], ["reported", claim.reported],
        ["data", ", ".join(claim.data) or "-"], ["simulated", claim.simulated or "nothing"],
        ["seeds", ", ".join(f"{name}: {count}" for name, count in claim.seeds.items())], ["may differ", claim.differs or "-"],
        *([f"arm {name}", text] for name, text in claim.arms.items()),
        *([f"control {name}", text] for name, text in claim.controls.items()),
        *([f"unequal: {name}", text] for name, text in claim.unfair.items()),
    ]  # fmt: skip
    tables.show(tables.plain(claim.card.title, ["", ""], about))
    _tell(*verdicts([id], size, folder))


def run(
    ids: Sequence[str] | None, field: str | None, size: str, seeds: int | None, jobs: int | None, folder: Path, again: bool
) -> None:
    """Measure what is missing, then say what it shows; exit code 1 where a cell failed or a budget was unequal."""
    wanted = chosen(ids, field)
    with _train.stoppable("The same command goes on from here"), _train.bar(TimeRemainingColumn()) as progress:
        line = progress.add_task("measuring", total=None)

        def done(finished: int, total: int, last: str) -> None:
            progress.update(line, completed=finished, total=total, description=last or "measuring")

        faults = running.run(wanted, size, seeds, folder, jobs, again, done)
    found, stale = verdicts(wanted, size, folder)
    _tell(found, stale)
    for fault in faults:
        print(f"failed: {fault}", file=sys.stderr)
    if faults or any(verdict.unfair for verdict in found):
        raise typer.Exit(1)


def table(field: str | None, size: str, folder: Path) -> None:
    """A line a claim: the verdict and the first deciding effect."""
    found, stale = verdicts(chosen(None, field), size, folder)
    tables.show(tables.verdicts(found))
    _stale(stale)


def report(field: str | None, size: str, folder: Path, out: Path) -> None:
    """Write the page of all claims."""
    from polytask.report import claims as page

    found, stale = verdicts(chosen(None, field), size, folder)
    page.write(found, out)
    tables.show(f"The page: {out}")
    _stale(stale)


def _tell(found: Sequence[Verdict], stale: Sequence[str]) -> None:
    for verdict in found:
        tables.show("", *tables.verdict(verdict))
    _stale(stale)


def _stale(ids: Sequence[str]) -> None:
    if ids:
        again = f"polytask claims run {' '.join(ids)}"
        print(f"the ledger's records of {', '.join(ids)} are of earlier code; measure again: {again}", file=sys.stderr)
