"""Ctrl-C while training, and a batch system's SIGTERM: the epoch is finished and saved first."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C."""


def code(error: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped by a signal: 128 and its number."""
    return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


def stop(number: int, frame: FrameType | None) -> None:
    """A signal handler that ends the work here."""
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


class Interrupt:
    """Inside, the first signal only sets `asked`, so that training stops where a checkpoint is due; the second stops at once.

    Without effect outside the main thread, and for a signal that something else handles.
    """

    def __init__(self, active: bool) -> None:
        self.active = active and threading.current_thread() is threading.main_thread()
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        for number in SIGNALS if self.active else ():
            before = signal.getsignal(number)
            if before in (signal.default_int_handler, stop):
                self._before[number] = before
                signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def error(self) -> KeyboardInterrupt:
        """What to raise once the work is saved."""
        return Terminated() if self.asked == signal.SIGTERM else KeyboardInterrupt()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number)
        for each in self._before:
            signal.signal(each, stop)
        print("\nstopping after this epoch; once more stops at once", file=sys.stderr)
