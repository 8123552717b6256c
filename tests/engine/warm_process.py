"""A process that has imported everything and forks a child for each command: a fresh `polytask`, without its start-up time.

with Warm() as warm:
    child = warm.start("fit", "my.csv", ..., folder=folder)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()          # the exit code, or the signal's number with a minus
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass
class Child:
    """A `polytask` that is running."""

    warm: "Warm"
    pid: int
    log: Path

    def wait(self) -> int:
        return int(self.warm.ask({"wait": self.pid}))

    @property
    def said(self) -> str:
        """What it printed, errors included."""
        return self.log.read_text() if self.log.exists() else ""


class Warm:
    """Starts children, which are in process groups of their own."""

    def __enter__(self) -> "Warm":
        command = [sys.executable, __file__]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.ask({}) == 0
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)

    def start(self, *arguments: str, folder: Path, die: int = 0, pause: str = "") -> Child:
        """Start a command.

        die: at which moment of its writes it kills itself (0: at none). pause: the function that it sleeps at (`a.b.name`).
        """
        log = folder / f"{time.monotonic_ns()}.log"
        order = {"start": arguments, "folder": str(folder), "log": str(log), "die": die, "pause": pause}
        return Child(self, int(self.ask(order)), log)

    def ask(self, order: dict[str, Any]) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def _die_writing(stage: int) -> None:
    """Let the process kill itself at this of the moments before, in and after its writes, all counted."""
    from polytask.engine import _files

    write, flush, passed = _files.write, _files._flush, 0

    def pass_by(torn: Path | None = None) -> None:
        nonlocal passed
        passed += 1
        if passed == stage:
            if torn is not None:
                os.truncate(torn, torn.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def mortal_write(path: Path, save: Callable[[Path], None]) -> None:
        def torn_save(temporary: Path) -> None:
            save(temporary)
            pass_by(temporary)

        pass_by()
        write(path, torn_save)

    def mortal_flush(path: Path) -> None:
        pass_by()
        flush(path)
        pass_by()

    _files.write, _files._flush = mortal_write, mortal_flush


def _pause_at(module: str, name: str) -> None:
    def pause(*given: Any, **named: Any) -> None:
        print("pausing", flush=True)
        time.sleep(60)

    setattr(import_module(module), name, pause)


def _child(order: dict[str, Any]) -> None:
    os.setsid()
    os.chdir(order["folder"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if order["die"]:
        _die_writing(order["die"])
    if order["pause"]:
        _pause_at(*order["pause"].rsplit(".", 1))
    from polytask.cli import main

    sys.argv = ["polytask", *order["start"]]
    code: Any = 99
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve() -> None:
    from polytask.core import registry
    from polytask.data import read

    for module in ("_app", "_merge", "_train", "_tune", "_use"):
        import_module(f"polytask.cli.{module}")
    for module in ("sklearn.metrics", "sklearn.tree", "optuna", "optuna.storages", "alembic.command", "sqlite3"):
        import_module(module)
    for system in ("cross_stitch", "hard_sharing", "single_task"):
        registry.load(system)
    read._formats()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        order = json.loads(line)
        answer = 0
        if "start" in order:
            answer = os.fork()
            if answer == 0:
                _child(order)
        elif "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
