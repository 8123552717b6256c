"""Times of two ways to do the same work, measured in turns."""

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True)
class Seconds:
    """What a piece of work took: on the clock, and of the processor time of this process or of its children."""

    clock: float
    cpu: float

    @classmethod
    def of(cls, work: Callable[[], object], children: bool = False) -> "Seconds":
        cpu = _of_children if children else time.process_time
        clock, used = time.perf_counter(), cpu()
        work()
        return cls(time.perf_counter() - clock, cpu() - used)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def in_turns(works: Sequence[Callable[[], object]], rounds: int, warm: int = 1, children: bool = False) -> list[list[Seconds]]:
    """Each work's times. A round does all works, every other one in reverse order; the first `warm` rounds do not count."""
    times: list[list[Seconds]] = [[] for _ in works]
    for number in range(rounds + warm):
        order = range(len(works)) if number % 2 else reversed(range(len(works)))
        for i in order:
            times[i].append(Seconds.of(works[i], children))
    return [each[warm:] for each in times]


@dataclass(frozen=True)
class Result:
    """Ours beside theirs: medians, and the median (and quartiles) of the rounds' ratios.

    by: the time that counts: `cpu`, which neighbours on the machine disturb less, or `clock`; the other one's ratio is beside.
    most, within: bounds of the ratio, and of our own time.
    """

    part: str
    what: str
    by: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    spread: tuple[float, float]
    other: float
    rounds: int
    most: float | None = None
    within: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the bounds are kept; None without any."""
        bounds = [(self.ratio, self.most), (self.ours, self.within)]
        return all(value <= bound for value, bound in bounds if bound is not None) if (self.most or self.within) else None


def compared(
    part: str, what: str, ours: Sequence[Seconds], theirs: Sequence[Seconds], *, per: int = 1, unit: str = "ms",
    by: str = "cpu", most: float | None = None, within: float | None = None,
) -> Result:  # fmt: skip
    """The result of rounds that were measured in turns; `per` is the units of work in a round."""
    other = "clock" if by == "cpu" else "cpu"
    ratios = {key: [getattr(a, key) / getattr(b, key) for a, b in zip(ours, theirs, strict=True)] for key in (by, other)}
    scale = {"s": 1.0, "ms": 1e3}[unit] / per
    mine, others = (scale * median(getattr(s, by) for s in each) for each in (ours, theirs))
    low, _, high = quantiles(ratios[by], n=4) if len(ours) > 1 else ratios[by] * 3
    ratio, beside = median(ratios[by]), median(ratios[other])
    return Result(part, what, by, unit, mine, others, ratio, (low, high), beside, len(ours), most, within)


HEADER = f"{'what':70} {'ours':>8} {'theirs':>8} {'':2} {'ratio':>6} {'quartiles':>12} {'by':>5} {'other':>6} {'bound':>7}"


def line(result: Result) -> str:
    """A line of the table."""
    bound = f"{result.most:.2f}" if result.most else f"{result.within:g} {result.unit}" if result.within else ""
    verdict = {None: "", True: "met", False: "MISSED"}[result.met]
    spread = f"{result.spread[0]:.2f}-{result.spread[1]:.2f}"
    return (
        f"{result.what:70} {result.ours:8.2f} {result.theirs:8.2f} {result.unit:2} {result.ratio:6.2f} {spread:>12} "
        f"{result.by:>5} {result.other:6.2f} {bound:>7} {verdict}"
    )


@dataclass
class Book:
    """All that was measured, and on what; printed as it comes."""

    path: Path
    quick: bool
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, *results: Result) -> None:
        """Take in and print results."""
        for result in results:
            self.put(result.part, {**asdict(result), "met": result.met})
            print(line(result), flush=True)

    def put(self, part: str, row: Mapping[str, Any]) -> None:
        """Take in a row of `part`."""
        known = self.parts.setdefault(part, {"machine": self._machine(), "rows": []})
        known["rows"].append(row)

    def save(self) -> None:
        """Write the JSON file: parts that were not measured this time stay as they were."""
        old = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.path.write_text(json.dumps({**old, **self.parts}, indent=1) + "\n")

    def _machine(self) -> dict[str, Any]:
        import torch

        packages = ("polytask", "torch", "lightning-fabric", "numpy", "pandas", "scikit-learn")
        return {
            "processor": platform.machine(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(), "threads": torch.get_num_threads(), "quick": self.quick,
            "versions": {name: version(name) for name in packages},
        }  # fmt: skip


Job = tuple[str, str, int, Mapping[str, Any]]
"""A table, the name of what is run on it, a seed, and options."""


def logged(log: Path) -> list[dict[str, Any]]:
    """The runs that a file of JSON lines holds."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def run_all(jobs: Sequence[Job], run: Callable[[Job], dict[str, Any]], log: Path, processes: int) -> None:
    """Run the jobs that the log lacks; each result has `table`, `name`, `seed` and `wall`, its seconds."""
    done = {(r["table"], r["name"], r["seed"]) for r in logged(log)}
    todo = [job for job in jobs if job[:3] not in done]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for number, result in enumerate(pool.map(run, todo), start=1):
            with log.open("a") as file:
                file.write(json.dumps(result) + "\n")
            told = f"{result['table']} {result['name']} seed {result['seed']} {result['wall']} s"
            print(f"{number}/{len(todo)} {told}", file=sys.stderr)
