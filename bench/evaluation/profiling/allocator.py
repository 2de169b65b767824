"""The C library's allocator: keep freed memory while a run is served, return it to the system before one."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
KEPT, FROM_HEAP = 256 << 20, 32 << 20  # bytes; the second is as much as glibc allows


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Let the process keep up to 256 MiB of freed memory; True if the allocator is glibc's. Done once a process.

    By default glibc maps tensors of more than 128 KiB anew, page by page: for a batch of 24 windows that is thousands
    of page faults a step and 5 to 25 % of its time, varying between processes.
    """
    library = _glibc()
    return bool(library and library.mallopt(MMAP_THRESHOLD, FROM_HEAP) and library.mallopt(TRIM_THRESHOLD, KEPT))


def give_back_freed_memory() -> None:
    """Return freed memory to the system, so that memory in use from here on can be measured."""
    if library := _glibc():
        library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
