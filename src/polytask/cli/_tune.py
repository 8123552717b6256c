"""`tune`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polytask.core import OptionError
from polytask.engine import space
from polytask.engine.config import named
from polytask.engine.tune import Tuning
from polytask.engine.tune import tune as search
from polytask.report import tables

from . import _train


def asked(given: Sequence[str] | None, searching: bool = True) -> dict[str, Any]:
    """What `--search` asks for, by option. Raises `OptionError` where an option is given twice, or nothing is searched."""
    if given and not searching:
        raise OptionError.of(f"--search {given[0]}", "goes with --tuned", "Add --tuned, or leave it out")
    found: dict[str, Any] = {}
    for text in given or []:
        name, domain = space.read(text)
        if name in found:
            raise OptionError.of(f"--search {text}", f"'{name}' is given twice", "Write --search NAME=A,B,C once")
        found[name] = domain
    return found


def tune(
    data: str, tasks: str | None, systems: str | None, balancers: str | None, trials: int, seconds: float | None,
    searched: Sequence[str] | None, out: Path, given: Sequence[str] | None, values: _train.Settings, jobs: int | None, on: str,
    nested: Mapping[str, Any] | None = None,
) -> Tuning:  # fmt: skip
    """Search each system's options and show the best."""
    sources, declared, values = _train.from_file(data, tasks, values, nested)
    system, own = named(values.pop("system", {}), "hard_sharing")
    balancer, rule = named(values.pop("balancer", {}), "equal")
    listed = _train.names(systems) if systems else [system]
    chosen = _train.names(balancers) if balancers else [balancer]
    base = {Path(system).stem: own} if system in listed else {}
    base |= {balancer: rule} if balancer in chosen else {}
    values, options = _train.by_system(given, values, listed, base)
    declared, values = _train.with_options(declared, values)
    how = "The same command goes on from here: trials that have ended are not run again"
    with _train.stoppable(how), _train.counted() as done:
        found = search(
            sources, declared, systems=listed, balancers=chosen, trials=trials, seconds=seconds,
            search=asked(searched), settings=values, options=options, out=out, jobs=jobs, on=on, done=done,
        )  # fmt: skip
    tables.show(
        tables.tuning(found),
        f"The model: {out / 'best'}   (polytask predict {out / 'best'} NEW.csv)",
        f"Its options: {out / 'tuned.yaml'}   (polytask fit {out / 'tuned.yaml'} --seed 1)",
    )
    return found
