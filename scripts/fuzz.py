"""Looks for exceptions that no user should see: whatever a target raises beside a `PolytaskError` is a finding.

    python scripts/fuzz.py --minutes 10 --seed 0               all targets in turn
    python scripts/fuzz.py --only reader --seed 0 --case 1234  one case again, with its traceback and its files

A target is a function of a random generator and an empty folder, in `TARGETS` of a file `scripts/_fuzz_*.py`, by its name. A
case depends on seed, target and number only. Each place that raises is shown once. Exit code 1 where something was found.
"""

import argparse
import faulthandler
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import count
from pathlib import Path

from polytask.core.errors import PolytaskError

Target = Callable[[random.Random, Path], None]
SLOW = 10.0
"""Seconds of a case that are a finding, too."""


def targets() -> dict[str, Target]:
    """All targets by name."""
    modules = [import_module(path.stem) for path in sorted(Path(__file__).parent.glob("_fuzz_*.py"))]
    return {name: target for module in modules for name, target in module.TARGETS.items()}


def attempt(target: Target, name: str, seed: int, case: int, folder: Path) -> tuple[str, str] | None:
    """None, or the place that raised and its traceback."""
    begin = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target(random.Random(f"{seed} {name} {case}"), folder)
    except PolytaskError as error:
        if not error.faults or not all(fault.where and fault.problem for fault in error.faults):
            return "an error that says nothing", traceback.format_exc()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "polytask" in frame.filename] or frames
        return f"{type(error).__name__} in {own[-1].filename}:{own[-1].lineno}", traceback.format_exc()
    taken = time.monotonic() - begin
    return (f"{name} is slow", f"{taken:.0f} seconds\n") if taken > SLOW else None


def fuzz(chosen: Mapping[str, Target], minutes: float, seed: int) -> int:
    """How many places raised."""
    end, seen, cases = time.monotonic() + 60 * minutes, dict[str, int](), dict.fromkeys(chosen, 0)
    with tempfile.TemporaryDirectory() as folder:
        for case in count():
            for name, target in chosen.items():
                if time.monotonic() > end:
                    shown = ", ".join(f"{n} {done}" for n, done in cases.items())
                    print(f"{len(seen)} findings in cases: {shown}; each so often: {list(seen.values())}")
                    return len(seen)
                work = Path(folder) / f"{name}-{case}"
                work.mkdir()
                found = attempt(target, name, seed, case, work)
                cases[name] += 1
                if found is not None:
                    place, trace = found
                    if place not in seen:
                        print(
                            f"{trace}{place}\n  python scripts/fuzz.py --only {name} --seed {seed} --case {case}\n", flush=True
                        )
                    seen[place] = seen.get(place, 0) + 1
    return 0


def again(target: Target, name: str, seed: int, case: int) -> int:
    """One case, its files kept."""
    work = Path(tempfile.mkdtemp(prefix=f"{name}-{case}-"))
    found = attempt(target, name, seed, case, work)
    print(found[1] if found else "nothing wrong", f"files in {work}", sep="\n")
    return int(found is not None)


def main() -> None:
    """Read the arguments and fuzz."""
    faulthandler.enable()
    known = targets()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=sorted(known), help="a target; may be repeated")
    parser.add_argument("--case", type=int, help="run this case of the one target again")
    given = parser.parse_args()
    chosen = {name: known[name] for name in given.only or known}
    if given.case is None:
        sys.exit(bool(fuzz(chosen, given.minutes, given.seed)))
    name, target = next(iter(chosen.items()))
    sys.exit(again(target, name, given.seed, given.case))


if __name__ == "__main__":
    main()
