"""Runs claims: only what the book does not hold yet, in parallel processes, each cell written down as it ends."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from polytask.core import Fault, OptionError, PolytaskError
from polytask.engine import parallel

from . import content
from .book import Book, Record, latest
from .claim import SIZES, Claim, get

Done = Callable[[int, int, str], None]
"""Called at the start and as cells end: how many are done, of how many, and what ended last."""


@dataclass(frozen=True)
class Group:
    """The cells of a claim under one seed: one process runs them, so that arms can share what a seed prepares."""

    claim: str
    seed: int
    size: str
    cells: tuple[tuple[str, str], ...]
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.claim}, seed {self.seed}"


def run(
    claims: Sequence[str],
    size: str = "quick",
    seeds: int | None = None,
    folder: Path | str = "ledger",
    jobs: int | None = None,
    again: bool = False,
    done: Done | None = None,
) -> list[Fault]:
    """Measure every cell of `claims` that the ledger in `folder` does not hold yet; the faults of cells that failed.

    seeds: how many (None: as the claim states for this size). jobs: processes at once (None: one a core), each of one thread.
    again: measure anew what the ledger holds; old records stay.
    What is measured is written down cell by cell: a stopped run goes on from there.
    """
    if size not in SIZES:
        raise OptionError.of("size", f"is {size!r}", f"Write one of {', '.join(SIZES)}")
    if seeds is not None and seeds < 1:
        raise OptionError.of("seeds", f"must be at least 1; got {seeds}")
    found = [get(id) for id in claims]
    groups = [group for claim in found for group in _groups(claim, size, seeds, Path(folder), again)]
    total = sum((seeds or claim.seeds[size]) * len(claim.everything) for claim in found)
    finished = total - sum(len(group.cells) for group in groups)
    report = done or (lambda finished, total, last: None)
    report(finished, total, "")
    faults: list[Fault] = []
    with closing(parallel.each(measure, groups, jobs or os.cpu_count() or 1)) as ended:
        for group, failed in ended:
            finished += len(group.cells)
            faults += failed
            report(finished, total, group.name)
    return faults


def current(claim: Claim, size: str, records: Sequence[Record]) -> list[Record]:
    """The records of the code as it is now, the newest of each arm and seed."""
    found = latest(records, size)
    keys = {(r.arm, r.seed): content.key(claim, r.arm, r.seed, size) for r in found}
    return latest([r for r in records if r.key == keys.get((r.arm, r.seed))], size)


def _groups(claim: Claim, size: str, seeds: int | None, folder: Path, again: bool) -> list[Group]:
    held = set() if again else {(r.arm, r.seed, r.key) for r in Book(folder).read(claim.id) if r.size == size}
    groups = []
    for seed in range(seeds or claim.seeds[size]):
        cells = [(arm, content.key(claim, arm, seed, size)) for arm in claim.everything]
        cells = [(arm, key) for arm, key in cells if (arm, seed, key) not in held]
        name = claim.id if claim.path.parent.name == "claims" else str(claim.path)
        if cells:
            groups.append(Group(name, seed, size, tuple(cells), folder))
    return groups


def measure(group: Group) -> list[Fault]:
    """Measure the cells of a group and write each down as it ends; what failed, with the claim, arm and seed."""
    claim = get(group.claim)
    torch.set_num_threads(1)
    faults: list[Fault] = []
    for arm, key in group.cells:
        started = time.perf_counter()
        try:
            measured = claim.measure()(arm, group.seed, group.size)
        except PolytaskError as error:
            faults += [Fault(f"{group.name}, {arm}: {fault.where}", fault.problem, fault.fix) for fault in error.faults]
            continue
        cell = (claim.id, arm, group.seed, group.size, key)
        Book(group.folder).append(Record.of(cell, measured, time.perf_counter() - started))
    return faults
