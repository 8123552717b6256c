"""The command line in this process, and a small table: what is said, how it ends, what is left."""

import contextlib
import io
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pandas as pd

from polytask.cli import main

FAST = [
    *("--epochs", "2", "--set", "members=1", "--set", "width=8", "--set", "embedding=none", "--set", "training.steps=1"),
    *("--set", "training.accelerator=cpu", "--set", "training.save_every=0"),
]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def table(rows: int = 150) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(rows, 2)), columns=["age", "dose"])
    frame["ward"] = draw.choice(["n", "s"], rows)
    frame["cost"] = frame["age"] + 0.1 * draw.normal(size=rows)
    frame["ill"] = np.where(frame["dose"] + draw.normal(size=rows) > 0, "yes", "no")
    return frame


def polytask(*arguments: str) -> Outcome:
    """`polytask arguments`; an exception that the command line lets through is raised here too."""
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    arguments_given = mock.patch.object(sys, "argv", ["polytask", *arguments])
    with arguments_given, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Outcome(int(code or 0), out.getvalue(), err.getvalue())  # type: ignore[call-overload]


def refused(*arguments: str) -> str:
    """The errors of a command that must fail: exit code 2, a line an error (warnings and notes beside them), nothing else."""
    found = polytask(*arguments)
    assert found.code == 2, found
    lines = found.err.strip().splitlines()
    assert all(line.startswith(("error: ", "warning: ", "note: ")) for line in lines), found.err
    assert any(line.startswith("error: ") for line in lines), found.err
    return found.err


def files(folder: Path) -> dict[str, bytes]:
    """Every file under a folder with its content, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
