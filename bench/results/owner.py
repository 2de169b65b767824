"""Who is writing: a process, told from all others on all machines that share a folder, and whether it still lives."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
import uuid
from functools import cache
from pathlib import Path

import psutil

ABANDONED_S = 86_400.0
"""After so long without a change, what a process of another machine began is taken to be left for good."""

_NAME = re.compile(r"(?P<machine>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-(?P<start>[0-9]{1,20})(?:-[0-9a-f]+)?")


@cache
def machine() -> str:
    """Hash of this machine, since its last start, and of its process namespace."""
    facts = [platform.node()]
    try:
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        facts.append(str(Path("/proc/self/ns/pid").stat().st_ino))  # containers may share a name, and not numbers
    except OSError:
        pass
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def process_name(pid: int | None = None) -> str:
    """Machine, number and start of a process here, by default this one; numbers are reused, starts are not."""
    return _own_name(os.getpid()) if pid is None else f"{machine()}-{pid}-{_start(pid)}"


@cache
def _own_name(pid: int) -> str:
    return process_name(pid)


def unique_name() -> str:
    """A name that no other writer has, and that names its process."""
    return f"{process_name()}-{uuid.uuid4().hex[:12]}"


def names_process(name: str) -> bool:
    """Whether a file or folder is named after a process, as by `unique_name`, perhaps with a dot before it."""
    return _NAME.match(name.lstrip(".")) is not None


def is_own(name: str) -> bool:
    """Whether this process made a name."""
    return name.startswith(f"{process_name()}-")


def has_exited(name: str) -> bool:
    """Whether a process of this machine made a name and has ended; False for other machines."""
    found = _NAME.fullmatch(name)
    return found is not None and found["machine"] == machine() and _start(int(found["pid"])) != found["start"]


def is_here(name: str) -> bool:
    """Whether a process of this machine made a name; it may have ended."""
    return name.startswith(f"{machine()}-")


def process_of(name: str) -> str:
    """The process that made a name, in words for users."""
    found = _NAME.fullmatch(name)
    return f"process {found['pid']}" if found and is_here(name) else "a process of another machine"


def is_stale(path: Path) -> bool:
    """Whether the process that made a file or folder, and named it after itself, has ended.

    For a process of another machine this is a guess: it has, if nothing changed for a day.
    """
    name = path.name.lstrip(".")
    if _NAME.fullmatch(name) is None:
        return False
    if is_here(name):
        return has_exited(name)
    try:
        return time.time() - path.stat(follow_symlinks=False).st_mtime > ABANDONED_S
    except OSError:  # gone meanwhile
        return False


def _start(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty if it does not exist, or is a zombie."""
    if not Path("/proc/self/stat").is_file():
        return _start_by_clock(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _start_by_clock(pid: int) -> str:
    """When a process began, in seconds, for systems without ``/proc``."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(int(process.create_time()))
    except psutil.Error:
        return ""
