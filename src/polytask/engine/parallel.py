"""Work in parallel processes that leave nothing behind when they are stopped."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def each(run: Callable[[Item], Outcome], items: Sequence[Item], jobs: int) -> Generator[tuple[Item, Outcome], None, None]:
    """Run every item, `jobs` at once, and yield each with its outcome as it ends; closing this ends the processes.

    `run` and what it takes and gives must pass between processes; with one job, or one item, it runs here.
    """
    if jobs == 1 or len(items) <= 1:
        for item in items:
            yield item, run(item)
        return
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(jobs, len(items)), mp_context=context, initializer=_end_with_parent) as pool:
        pending = {pool.submit(run, item): item for item in items}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """A killed parent leaves no process behind; Ctrl-C reaches the parent, which ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
