"""The palette of the figures on a dark page."""

from __future__ import annotations

DARK_PAPER = "#16181d"  # as `style.css` has it
CONTRAST = 3.5
STEPS = 50
GREY = 12  # channels that differ by less make a grey


def on_dark(colour: str) -> str:
    """A colour, ``#rrggbb``, that stands out from dark paper: itself, a dark grey's reverse, or mixed with white."""
    own = _channels(colour)
    if max(own) - min(own) < GREY and contrast(colour, DARK_PAPER) < CONTRAST:
        return _hex(tuple(255 - channel for channel in own))
    for step in range(STEPS + 1):
        found = _hex(tuple(round(channel + (255 - channel) * step / STEPS) for channel in own))
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


def _hex(channels: tuple[int, ...]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it for sRGB."""
    shares = [channel / 255 for channel in _channels(colour)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
