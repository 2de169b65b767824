"""Units that a window is cut into: memory chunks, segments, and the units in which a memory is carried."""

from __future__ import annotations

import math

from bench.contracts.errors import BenchError


def smallest_unit(segment: int, longterm: int, chunk: int) -> tuple[int, int]:
    """Patches and tokens of the smallest unit of a memory that can be carried: whole chunks, and whole segments.

    Without long-term tokens behind each segment, segments have no effect on what is written.
    """
    if not longterm:
        return chunk, chunk
    segments = math.lcm(segment + longterm, chunk) // (segment + longterm)
    return segments * segment, segments * (segment + longterm)


def no_unit(unit: int, longterm: int, chunk: int, patches: int) -> str:
    """Why a memory cannot be carried in units of so many patches of a window; empty if it can."""
    if not longterm or unit < patches:
        return ""
    return (
        f"with {longterm} long-term tokens behind each segment, and memory chunks of {chunk}, the memory is carried in "
        f"units of {unit} tokens, which must be fewer than a window's {patches}."
    )


def require_whole_chunks(batch_size: int | None, chunk: int) -> None:
    """`BenchError` for a memory batch that is not whole chunks."""
    if batch_size is not None and batch_size % chunk:
        raise BenchError(
            f"titans: neural_memory_batch_size={batch_size} must be a multiple of the memory chunk ({chunk}). "
            f"It can with neural_memory_batch_size = {max(1, round(batch_size / chunk)) * chunk}."
        )


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of ``number`` that is at most ``limit``."""
    return max(d for d in range(1, limit + 1) if number % d == 0)
