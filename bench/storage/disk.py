"""Files that appear whole or not at all, whoever else writes to the folder and whenever the machine stops."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.storage.owner import is_left, is_own, unique_name

WORK = ".tmp"


def write_durably(path: Path, content: str | bytes) -> None:
    """Write a file, text in UTF-8, and see it on disk."""
    with path.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def replace_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside where it belongs, then put it there in one step, in place of an earlier one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{unique_name()}")
    try:
        write_durably(work, content)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def work_folder(folder: Path) -> Path:
    """A new folder for what is being written, under ``<folder>/.tmp``."""
    work = folder / WORK / unique_name()
    work.mkdir(parents=True)
    return work


def sweep(folder: Path) -> None:
    """Remove what processes that are gone left half-written in a folder, and what this one did."""
    for path in [*folder.glob(f"{WORK}/*"), *folder.glob(".*-*-*-*")]:
        if is_own(path.name.lstrip(".")) or is_left(path):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, or what is still there of it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
