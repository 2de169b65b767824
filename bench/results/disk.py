"""Files that appear whole or not at all, whoever else writes to the folder and whenever the machine stops."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

from bench.results.file_lock import LOCKS, Lock, break_left
from bench.results.owner import has_exited, is_own, is_stale, names_process, unique_name
from bench.results.plain import NotPlainError, is_folder, make_folder, remove, require_plain

WORK = ".tmp"
SESSIONS, HERE, RUNNING = ".sessions", "here", "running"
"""Where sessions are told of, beside all experiments; those that are there, and those that have runs under way."""

CHANGE_POINTS = ".change-points"
"""Where estimated change points are kept, in an experiment's folder; hidden, as each other folder there is a run."""


def write_durably(path: Path, content: str | bytes) -> None:
    """Write a new file, text in UTF-8, and wait until it is on disk."""
    with path.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def replace_whole(path: Path, content: str | bytes, within: Path) -> None:
    """Write a file beside its place, then rename it into place, over an earlier one.

    What killed processes left half-written in its folder is removed.

    Args:
        path: Its place; the folder is made.
        content: Text in UTF-8, or bytes.
        within: The folder that the user named; below it, nothing is written through a link.

    Raises:
        NotPlainError: A step of the path is a link, say.
    """
    make_folder(path.parent, within)
    require_plain(path, within)
    for left in path.parent.glob(".*"):
        if is_stale(left):
            _remove(left, within)
    work = path.with_name(f".{unique_name()}")
    try:
        write_durably(work, content)
        work.replace(path)
    finally:
        remove(work, within)


def work_folder(folder: Path) -> Path:
    """A new folder for what is being written, under ``<folder>/.tmp``; `NotPlainError` if that is a link."""
    work = make_folder(folder / WORK, folder) / unique_name()
    work.mkdir()
    return work


def left_in(folder: Path) -> list[Path]:
    """What dead processes left half-written or locked in a folder, or in its ``.tmp``."""
    return [path for path in _inside(folder) if is_stale(path) or has_exited(_holder(path, folder))]


def sweep(folder: Path, *, own: bool = True) -> None:
    """Remove what dead processes, and this one if ``own``, left half-written or locked in a folder; links stay."""
    for path in left_in(folder):
        _remove(path, folder)
    for path in _inside(folder) if own else ():
        if is_own(path.name.lstrip(".")) or is_own(_holder(path, folder)):
            _remove(path, folder)


def _inside(folder: Path) -> list[Path]:
    """What a process locked, or named after itself, in a folder or in its ``.tmp``."""
    found = list[Path]()
    for place in (folder, folder / WORK):
        if not is_folder(place):
            continue
        with contextlib.suppress(OSError), os.scandir(place) as entries:  # paths of all runs would take long
            names = [entry.name for entry in entries if entry.name.endswith(LOCKS) or names_process(entry.name)]
            found += [place / name for name in sorted(names)]
    return found


def _holder(path: Path, within: Path) -> str:
    """The holder of a lock; empty if the path is no lock."""
    return Lock(path, within).holder if path.suffix in LOCKS else ""


def _remove(path: Path, within: Path) -> None:
    if path.suffix in LOCKS:
        break_left(path, within, own=True)
    else:
        with contextlib.suppress(NotPlainError):
            remove(path, within)


def slug(text: str) -> str:
    """A file name for any text, no two alike: letters, digits and hyphens, and a hash where anything was lost."""
    short = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48]
    if short and short == text:
        return short
    return "-".join(part for part in (short, hashlib.sha256(text.encode()).hexdigest()[:8]) if part)
