"""The machine that a measurement runs on: its other load, and its power supply."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

SHORTEST = 0.05
"""Seconds below which the system's counters, which tick every 10 ms, are too coarse."""


class BusyCores:
    """How many cores this process keeps busy, and how many others do, since this was made.

    Time that a virtual machine's host took for others counts as theirs.
    """

    def __init__(self) -> None:
        self._busy, self._own, self._wall = _busy_seconds(), _own_seconds(), time.perf_counter()

    def own_and_others(self) -> tuple[float, float]:
        """Mean numbers so far: this process's, all its threads together, and others'; NaN if it is too early."""
        wall = time.perf_counter() - self._wall
        if wall < SHORTEST:
            return float("nan"), float("nan")
        own = _own_seconds() - self._own
        return own / wall, max(0.0, (_busy_seconds() - self._busy - own) / wall)


def cores() -> int:
    """Logical cores of the machine."""
    return psutil.cpu_count() or 1


def power_state() -> str:
    """Power supply and the clock's governor; empty if the system does not tell."""
    parts = []
    governor = _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor:
        parts.append(f"governor {governor}")
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is not None:
        parts.append("on mains" if battery.power_plugged else f"on battery, {battery.percent:.0f} %")
    return ", ".join(parts)


def _busy_seconds() -> float:
    """Seconds, summed over cores, that were not idle since the machine started."""
    times = psutil.cpu_times()._asdict()
    idle = times.get("idle", 0.0) + times.get("iowait", 0.0)
    within_others = times.get("guest", 0.0) + times.get("guest_nice", 0.0)  # the system counts them twice
    return float(sum(times.values()) - idle - within_others)


def _own_seconds() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip().partition("\n")[0]
    except OSError:
        return ""
