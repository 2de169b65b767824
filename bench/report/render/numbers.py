"""How numbers are printed, and words between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
UNDEFINED = "undefined"
"""What is printed for a share of nothing: skill or a ratio where the reference has no error."""
MOST_PLACES = 6


def places(values: Iterable[float], digits: int = 4) -> int:
    """Decimals of a column: its median shows so many digits that count, its smallest number two less; at most 6.

    What is too small for these, `fixed` prints with a power of ten.
    """
    finite = [abs(value) for value in values if np.isfinite(value) and value != 0]
    if not finite:
        return 3
    order = np.floor(np.log10([float(np.median(finite)), min(finite)]))
    return int(np.clip(max(digits - 1 - order[0], digits - 3 - order[1]), 0, MOST_PLACES))


def fixed(value: float, decimals: int) -> str:
    """A number of a column with ``decimals``; a dash for NaN, ∞ for an error without bound."""
    if np.isnan(value):
        return NONE
    if np.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    tiny = decimals == MOST_PLACES and 0 < abs(value) < 10.0**-MOST_PLACES
    text = f"{value:.3g}" if tiny or abs(value) >= 1e7 else f"{value:z,.{decimals}f}"  # z: no negative zero
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def brief(value: float) -> str:
    """A number on its own: three digits that count; nothing is 0."""
    return "0" if value == 0 else fixed(value, places([value], 3))


def percent(value: float) -> str:
    """Signed, one decimal."""
    if not np.isfinite(value):
        return NONE
    rounded = round(value, 1)
    return f"+{fixed(rounded, 1)}" if rounded > 0 else fixed(rounded, 1)


def with_spread(mean: float, sd: float, decimals: int) -> str:
    """``mean ± sd``, or the mean alone where there is no spread."""
    if np.isnan(sd) or not np.isfinite(mean):
        return fixed(mean, decimals)
    return f"{fixed(mean, decimals)} ± {fixed(sd, decimals)}"


def count(number: int, noun: str, several: str = "") -> str:
    """``1 run``, ``1,200 runs``; ``several`` is the plural where it does not end in s alone."""
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"


def words(items: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
