"""Ctrl-C while training: the epoch is finished and saved first."""

import signal
import sys
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Inside, the first Ctrl-C only sets `asked`, so that training stops where a checkpoint is due; the second stops at once.

    Without effect outside the main thread, and where something else handles the signal.
    """

    def __init__(self, active: bool) -> None:
        self.active, self.asked = active, False

    def __enter__(self) -> "Interrupt":
        main = threading.current_thread() is threading.main_thread()
        self.active = self.active and main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self.active:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *error: Any) -> None:
        if self.active:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nstopping after this epoch; Ctrl-C again stops at once", file=sys.stderr)
