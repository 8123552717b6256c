"""Runs checks and collects their outcomes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

Outcome = str
"""`passed`, `failed`, `expected` (fails, and its file says why) or `unexpected` (passes, though its file says it fails)."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check."""

    name: str
    outcome: Outcome
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one thing, and its measured capabilities."""

    of: str
    checks: Sequence[Check]
    capabilities: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(check.outcome in ("passed", "expected") for check in self.checks)

    def failures(self) -> str:
        """Every failure, a line each."""
        return "\n".join(f"{c.name}: {c.outcome}: {c.message}" for c in self.checks if c.outcome not in ("passed", "expected"))


Checks = Mapping[str, Callable[[Any], None]]
"""What a suite asks of a case, by name; an error is a failure."""


def checks_in(module: Mapping[str, Any]) -> dict[str, Callable[[Any], None]]:
    """The functions `check_NAME` of a module that are written so far, by name."""
    return {
        name.removeprefix("check_"): check for name, check in module.items() if name.startswith("check_") and callable(check)
    }


def run_checks(checks: Checks, case: Any, expected: Mapping[str, str] | None = None) -> list[Check]:
    """Run every check; an `AssertionError` or any other error fails it. `expected` failures are strict."""
    expected = expected or {}
    found = [_run(name, partial(check, case), expected.get(name)) for name, check in checks.items()]
    unknown = [Check(name, "failed", 0.0, "xfail names no check") for name in expected if name not in checks]
    return found + unknown


def measure(attempts: Mapping[str, Callable[[], None]]) -> dict[str, str]:
    """Each capability's outcome: `yes`, or why not."""
    found = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            found[name] = "yes"
        except Exception as error:  # whatever goes wrong is the answer
            found[name] = "no: " + (str(error).strip() or type(error).__name__).split("\n")[0][:120]
    return found


def _run(name: str, check: Callable[[], None], reason: str | None) -> Check:
    started = time.perf_counter()
    try:
        check()
    except Exception as error:  # a check may fail in any way: that is what it finds
        seconds = time.perf_counter() - started
        if reason is not None:
            return Check(name, "expected", seconds, reason)
        return Check(name, "failed", seconds, f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - started
    if reason is not None:
        return Check(name, "unexpected", seconds, f"passes, though xfail says: {reason}")
    return Check(name, "passed", seconds)
