"""Replace rows that are not known yet with other values for a while, so that nothing can read them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench.evaluation.stream import PreparedSeries

AT_ONCE = 1 << 14
"""Rows that are written or drawn together."""


class KeptRows:
    """The rows ``first`` and later of a table ``(T, C)``, in an unnamed file, so that no object in memory has them."""

    def __init__(self, table: NDArray[np.float64], first: int) -> None:
        self._first, self._shape, self._dtype = first, table.shape, table.dtype
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the object
        for start in range(first, len(table), AT_ONCE):
            self._file.write(np.ascontiguousarray(table[start : start + AT_ONCE]).data)

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Rows ``start`` to ``stop``, ``(stop - start, C)``."""
        width = self._shape[1]
        size = width * self._dtype.itemsize
        self._file.seek((start - self._first) * size)
        rows = np.frombuffer(self._file.read((stop - start) * size), dtype=self._dtype)
        return rows.reshape(stop - start, width)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class HiddenRows:
    """Replaces the rows ``first`` and later of a stage, until revealed, with rows drawn from those before.

    The series itself is written to (and its twin, and the stage's own tables), so that whoever holds it, or a view of
    it, sees the drawn rows.
    """

    def __init__(self, stage: PreparedSeries, first: int, seed: int) -> None:
        series = stage.series
        self._stage, self._next = stage, first
        self._tables = [series.values, *([series.truth.twin] if series.truth is not None else [])]
        self._kept = [KeptRows(table, first) for table in self._tables]
        rng = np.random.default_rng(seed)
        for start in range(first, len(series), AT_ONCE):
            drawn = rng.integers(first, size=min(AT_ONCE, len(series) - start))
            self._write([table[drawn] for table in self._tables], start)

    def reveal(self, stop: int) -> None:
        """Restore the rows before ``stop``."""
        for start in range(self._next, stop, AT_ONCE):
            end = min(stop, start + AT_ONCE)
            self._write([kept.read(start, end) for kept in self._kept], start)
        self._next = max(self._next, stop)

    def _write(self, parts: list[NDArray[np.float64]], start: int) -> None:
        """Write rows from ``start`` on, in each of the tables, and in what the stage makes of the first."""
        rows = slice(start, start + len(parts[0]))
        for table, part in zip(self._tables, parts, strict=True):
            table[rows] = part
        self._stage.scale_again(rows)

    def close(self) -> None:
        """Restore all rows."""
        self.reveal(len(self._stage.series))
        for kept in self._kept:
            kept.close()


@contextmanager
def hidden(stage: PreparedSeries, first: int, seed: int = 0) -> Iterator[HiddenRows]:
    """Hide the rows of a stage from ``first`` (at least 1) on until they are revealed, or until the end."""
    rows = HiddenRows(stage, first, seed)
    try:
        yield rows
    finally:
        rows.close()
