"""Memory: how much the machine has, and how what is free goes back to it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

_LIMIT = Path("/sys/fs/cgroup/memory.max")


def total() -> int | None:
    """Bytes of memory that this process may use: the machine's or the container's; None where the system does not say."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return machine


@contextmanager
def lean() -> Iterator[None]:
    """Within, Arrow keeps nothing for later that it has freed; at the end, all that is free goes back to the system."""
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)
        release()


def release() -> None:
    """Give what is free back to the system. The GNU C library does so by itself only with what lies at the end of the heap."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library
        return
