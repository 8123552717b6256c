"""Work in parallel processes, here or on a Ray cluster, that leave nothing behind when they are stopped."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from polytask.core import MissingExtra, OptionError, RunError, nearest

from . import _files

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
LOCAL, RAY = "local", "ray"


class Each(Protocol):
    """Runs every item and yields each with its outcome as it ends."""

    def __call__(self, run: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """`run` and what it takes and gives must pass between processes."""


def each(
    run: Callable[[Item], Outcome], items: Sequence[Item], jobs: int | None, on: str = LOCAL
) -> Generator[tuple[Item, Outcome], None, None]:
    """Run every item, `jobs` at once, and yield each with its outcome as it ends; closing this ends the processes.

    As `workers`, for one lot of items.
    """
    with workers(jobs, on) as pool:
        yield from pool(run, items)


def workers(jobs: int | None = None, on: str = LOCAL) -> AbstractContextManager[Each]:
    """Processes for several lots of items, one after another; an error, or leaving early, ends them.

    jobs: how many at once (None: one a processor core of this machine, or of the cluster); with one job, or one item, it runs
        in this process.
    on: "local"; "ray": the cluster of `RAY_ADDRESS`, or one of this machine's cores; or "ray://HOST:PORT". All paths must be
        on a disk that the cluster's machines share, under the same name.
    Raises `OptionError` (another `on`), `MissingExtra` (Ray is not installed), `RunError` (no cluster answers).
    """
    if on == LOCAL:
        return _processes(jobs or os.cpu_count() or 1)
    if on != RAY and not on.startswith("ray://"):
        raise OptionError.of("on", f"unknown place '{on}'", nearest(on, [LOCAL, RAY, "ray://HOST:PORT"]))
    return _ray(jobs, None if on == RAY else on)


@contextmanager
def _processes(jobs: int) -> Iterator[Each]:
    before = set(multiprocessing.active_children())
    pool: ProcessPoolExecutor | None = None

    def each(run: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        nonlocal pool
        if jobs == 1 or len(items) <= 1:
            for item in items:
                yield item, run(item)
            return
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent)
        pending = {pool.submit(run, item): item for item in items}
        for future in as_completed(pending):
            yield pending[future], future.result()

    try:
        yield each
    except BaseException:
        if pool is not None:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
        raise
    if pool is not None:
        pool.shutdown()


def _end_with_parent() -> None:
    """A killed parent leaves no process behind; Ctrl-C reaches the parent, which ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _ray(jobs: int | None, address: str | None) -> Iterator[Each]:
    try:
        import ray
    except ImportError as error:
        raise MissingExtra.of("--on ray", "needs the package 'ray'", "pip install 'polytask[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            place = address or os.environ.get("RAY_ADDRESS") or "this machine"
            fix = "Start one with: ray start --head; give --on ray://HOST:10001 or set RAY_ADDRESS"
            raise RunError.of(f"Ray at {place}", f"does not answer ({_files.one_line(error)})", fix) from error
    # A machine's accelerator is hidden from tasks that ask for none.
    share: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1 if ray.cluster_resources().get("GPU") else 0}
    running: dict[Any, Any] = {}

    def each(run: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        task, waiting = ray.remote(**share)(run), list(items)
        while waiting or running:
            while waiting and (jobs is None or len(running) < jobs):
                item = waiting.pop(0)
                running[task.remote(item)] = item
            ended = ray.wait(list(running), num_returns=1)[0][0]
            item = running.pop(ended)
            try:
                outcome = ray.get(ended)
            except ray.exceptions.RayTaskError:
                raise  # an error of ours, with the trace of where it was
            except ray.exceptions.RayError as error:
                fix = "The same command goes on from here. Are all paths on a shared disk?"
                raise RunError.of("the Ray cluster", f"lost a task ({_files.one_line(error)})", fix) from error
            yield item, outcome

    try:
        yield each
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()
