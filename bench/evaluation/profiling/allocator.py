"""How the C library's allocator treats memory that was freed: kept while a run is served, given back before one."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
KEPT, FROM_HEAP = 256 << 20, 32 << 20  # bytes; the second is as much as glibc allows


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Let the process keep up to 256 MiB that it freed, rather than hand it back and ask again at each step.

    By default glibc maps tensors of more than 128 KiB afresh, page by page: for a batch of 24 windows that is thousands
    of page faults a step and 5 to 25 % of its time, more or less from one process to the next. Done once a process.

    Returns:
        Whether the allocator is one that can be told: glibc's.
    """
    library = _glibc()
    return bool(library and library.mallopt(MMAP_THRESHOLD, FROM_HEAP) and library.mallopt(TRIM_THRESHOLD, KEPT))


def give_back_freed_memory() -> None:
    """Hand freed memory back to the system, so that what is in use from here on can be seen."""
    if library := _glibc():
        library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
