"""Where labels go, so that none covers another: plain geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def spread_out(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near as can be to those wanted, at least ``gap`` apart, within ``[low, high]``.

    Args:
        wanted: One position for each label.
        gap: Least distance; made smaller where the labels would not fit.
        low: Lowest position.
        high: Highest position.

    Returns:
        Positions in the order of ``wanted``.
    """
    n = len(wanted)
    if n == 0:
        return []
    gap = min(gap, (high - low) / max(n - 1, 1))
    order = np.argsort(wanted, kind="stable")
    # With i * gap taken off, "gap apart" becomes "not falling": the nearest such sequence is its isotonic fit.
    free = np.clip(np.asarray(wanted, dtype=float)[order], low, high) - gap * np.arange(n)
    blocks: list[tuple[float, int]] = []
    for value in free:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    fitted = np.concatenate([np.full(size, mean) for mean, size in blocks])
    placed = np.clip(fitted, low, high - gap * (n - 1)) + gap * np.arange(n)
    result = np.empty(n)
    result[order] = placed
    return [float(value) for value in result]


def stack_labels(at: Sequence[float], lengths: Sequence[float], right: float) -> list[tuple[float, int]] | None:
    """Rows above the axes for labels that begin at upright strokes, so that no label covers another or a stroke.

    Args:
        at: Where the strokes stand, rising.
        lengths: Of the labels, in the same unit.
        right: Where labels must end.

    Returns:
        Start and row (0 is the lowest) of each label; None where three rows do not hold them.
    """
    found: list[tuple[float, int]] = []
    for i in reversed(range(len(at))):
        start = min(at[i], right - lengths[i])
        stop = start + lengths[i]
        if start < 0 or any(start < x < at[i] for x in at[:i]):
            return None
        # an earlier label goes over the later ones it reaches: their strokes end below it
        below = [row for x, (begin, row) in zip(reversed(at[i + 1 :]), found, strict=True) if min(x, begin) < stop]
        row = 1 + max(below, default=-1)
        if row > 2:
            return None
        found.append((start, row))
    return found[::-1]


@dataclass(frozen=True)
class Box:
    """A rectangle, in any unit."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Area in common."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    def holds(self, other: Box) -> bool:
        """Whether the other one lies inside."""
        inside = self.left <= other.left and other.right <= self.right
        return inside and self.bottom <= other.bottom and other.top <= self.top


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    clear: float,
    obstacles: Sequence[Box] = (),
) -> list[Box]:
    """A box for each point's label: near it, inside the frame, off the other labels and points.

    Tries right, left, above, below and between, at growing distances, and takes the first place without an overlap
    (or the one with the least). Points with the most neighbours choose first.

    Args:
        points: ``(x, y)`` of each point, in pixels.
        sizes: ``(width, height)`` of each label.
        frame: Where labels may be.
        clear: Radius around each point to be kept free.
        obstacles: What else is not to be covered.
    """
    dots = [Box(x - clear, y - clear, x + clear, y + clear) for x, y in points]
    crowd = [sum(math.hypot(x - a, y - b) < 12 * clear for a, b in points) for x, y in points]
    placed: dict[int, Box] = {}
    for i in sorted(range(len(points)), key=lambda i: (-crowd[i], i)):
        taken = [*dots, *obstacles, *placed.values()]
        best: tuple[float, Box] | None = None
        for candidate in _candidates(points[i], sizes[i], clear):
            cost = sum(candidate.overlap(box) for box in taken) + (0 if frame.holds(candidate) else 1e6)
            if best is None or cost < best[0]:
                best = (cost, candidate)
            if cost == 0:
                break
        assert best is not None
        placed[i] = best[1]
    return [placed[i] for i in range(len(points))]


def _candidates(point: tuple[float, float], size: tuple[float, float], clear: float) -> list[Box]:
    (x, y), (width, height) = point, size
    directions = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
    boxes = []
    for ring in range(8):
        away = clear * (1.5 + 1.6 * ring)
        for right, up in directions:
            centre_x = x + right * (away + width / 2)
            centre_y = y + up * (away + height / 2)
            half_w, half_h = width / 2, height / 2
            boxes.append(Box(centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h))
    return boxes
