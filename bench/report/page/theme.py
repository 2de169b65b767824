"""The palette of the figures on a dark page."""

from __future__ import annotations

DARK_PAPER = "#16181d"  # as `style.css` has it
CONTRAST = 3.5
STEPS = 50


def on_dark(colour: str) -> str:
    """A colour mixed with white until it stands out from the dark paper; one that does already is left alone.

    Args:
        colour: ``#rrggbb``.
    """
    own = _channels(colour)
    for step in range(STEPS + 1):
        mixed = tuple(round(channel + (255 - channel) * step / STEPS) for channel in own)
        found = "#" + "".join(f"{channel:02x}" for channel in mixed)
        if contrast(found, DARK_PAPER) >= CONTRAST:
            return found
    raise AssertionError("white stands out from dark paper")


def contrast(one: str, other: str) -> float:
    """Ratio of two colours' luminances, 1 to 21.

    Source: WCAG 2.2, "contrast ratio".
    """
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it for sRGB."""
    shares = [channel / 255 for channel in _channels(colour)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
