"""Plain files and folders: nothing is read, written or deleted through a link, a pipe, a socket or a device.

Results may come from somebody else. A link in them may lead anywhere, and a pipe never ends. The folder that the user
named may itself be a link; below it, every step of a path must be a real folder. Descriptors of folders are followed
step by step, so that no other process can put a link in the way between a check and what is done.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from bench.contracts.errors import BenchError

JSON_BYTES = 64 << 20  # no record, list or audit is larger

FRAME_BYTES = 1 << 30  # no frame is larger

DEEPEST = 32  # folders within each other; results have four

ENTER = os.O_RDONLY | os.O_DIRECTORY
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotPlainError(BenchError, OSError):
    """Something in a folder of ours is neither a file nor a folder. An `OSError`: it cannot be read."""


class TooLargeError(OSError):
    """A file is larger than any that is written here."""


def kind_of(path: Path) -> str:
    """What something is, such as ``a symbolic link``; empty for a file, a folder, and for nothing."""
    try:
        return _KINDS.get(stat.S_IFMT(path.lstat().st_mode), "")
    except OSError:
        return ""


def is_file(path: Path) -> bool:
    """Whether a file is there, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def require_plain(path: Path, within: Path) -> None:
    """Raise `NotPlainError` unless a path below ``within``, which may be a link, leads through real folders only."""
    step = within
    for part in _parts(path, within):
        step /= part
        if kind := kind_of(step):
            raise _not_plain(step, kind)


def make_folder(path: Path, within: Path) -> Path:
    """Make a folder, ``within`` or below it, and those above it; returns it.

    Raises:
        NotPlainError: A step of the path is no folder, but a link, say.
        OSError: It cannot be made.
    """
    within.mkdir(parents=True, exist_ok=True)
    with _opened(within, path.relative_to(within).parts, make=True):
        return path


@contextmanager
def open_file(path: Path, within: Path, at_most: int | None = None) -> Iterator[BufferedReader]:
    """Open a file below ``within`` to read it.

    Raises:
        NotPlainError: It is no file, or a step of the path is no folder, but a link, say.
        TooLargeError: It has more than ``at_most`` bytes.
        OSError: It cannot be read.
    """
    with _parent(path, within) as (parent, name):
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        _require(mode, path)  # before it is opened: opening a device may do something
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        descriptor = os.open(name, READ, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        _require(found.st_mode, path)
        if at_most is not None and found.st_size > at_most:
            raise TooLargeError(f"{path} has {found.st_size:,} bytes, more than the {at_most:,} that one may have")
        yield file


def read_file(path: Path, within: Path, at_most: int | None = None) -> bytes:
    """The bytes of a file; takes and raises what `open_file` does."""
    with open_file(path, within, at_most) as file:
        return file.read()


@contextmanager
def folder_at(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """A descriptor of a folder: of a named one, which may be a link, or of one in ``parent``, which may not."""
    here = os.open(path, ENTER if parent is None else ENTER | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield here
    finally:
        os.close(here)


def size_at(name: str, folder: int) -> int:
    """The bytes of a file in a folder; `OSError` if there is none: nothing, a link or a pipe, say."""
    return _file_at(name, folder).st_size


def read_at(name: str, folder: int, at_most: int) -> tuple[bytes, os.stat_result]:
    """A file in an open folder, and its status; `OSError` if it is none, too large or cannot be read."""
    _file_at(name, folder)  # before it is opened: opening a device may do something
    with os.fdopen(os.open(name, READ, dir_fd=folder), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > at_most:
            raise OSError(errno.EINVAL, "no file of ours", name)
        return file.readall(), found


def _file_at(name: str, folder: int) -> os.stat_result:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "no file", name)
    return found


def parse_json(data: bytes | str) -> Any:
    """The content of a JSON text; `ValueError` if it is none, or nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def read_object(path: Path, within: Path) -> dict[str, Any] | None:
    """A JSON object below ``within``; None if there is none, or it cannot be read."""
    try:
        found = parse_json(read_file(path, within, JSON_BYTES))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def remove(path: Path, within: Path) -> None:
    """Delete a file, or a folder with all in it, below ``within``. Every deletion of this package is done here.

    Links inside the folder are removed, not what they lead to. What cannot be deleted stays.

    Raises:
        NotPlainError: It is no file and no folder, or a step of the path is no folder, but a link, say.
    """
    with contextlib.suppress(FileNotFoundError), _parent(path, within) as (parent, name):
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if not stat.S_ISDIR(mode):
            _require(mode, path)
            os.unlink(name, dir_fd=parent)
            return
        assert shutil.rmtree.avoids_symlink_attacks
        try:
            shutil.rmtree(name, ignore_errors=True, dir_fd=parent)
        except RecursionError:
            raise _not_plain(path, "a folder of too many folders within each other") from None


def remove_if_empty(path: Path, within: Path) -> None:
    """Delete a folder if it is one and empty; arguments as of `remove`."""
    with contextlib.suppress(OSError), _parent(path, within) as (parent, name):
        os.rmdir(name, dir_fd=parent)


def strangers(folder: Path, only: Container[str] = ()) -> list[tuple[Path, str]]:
    """What is neither file nor folder in a folder, at any depth, and what it is; ``only`` limits the names."""
    found, waiting = [], [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > DEEPEST:
            found.append((here, f"a folder more than {DEEPEST} folders deep"))
            continue
        with contextlib.suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                if only and here == folder and entry.name not in only:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((here / entry.name, depth + 1))
                elif not entry.is_file(follow_symlinks=False):
                    found.append((here / entry.name, kind_of(here / entry.name)))
    return sorted(found)


def _parts(path: Path, within: Path) -> tuple[str, ...]:
    parts = path.relative_to(within).parts
    if not parts or ".." in parts:
        raise ValueError(f"{path} is not below {within}")
    return parts


@contextmanager
def _parent(path: Path, within: Path) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder of the last step of a path, and the name of that step."""
    *folders, name = _parts(path, within)
    with _opened(within, folders) as parent:
        yield parent, name


@contextmanager
def _opened(within: Path, folders: Iterable[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the last of some nested folders, each opened from the one above it."""
    with ExitStack() as stack:
        here, step = os.open(within, ENTER), within
        stack.callback(os.close, here)
        for folder in folders:
            step /= folder
            here = _entered(here, step, make=make)
            stack.callback(os.close, here)
        yield here


def _entered(parent: int, step: Path, *, make: bool) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(step.name, dir_fd=parent)
    try:
        return os.open(step.name, ENTER | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if kind := kind_of(step):
            raise _not_plain(step, kind) from None
        error.filename = str(step)
        raise


def _require(mode: int, path: Path) -> None:
    if kind := _KINDS.get(stat.S_IFMT(mode)):
        raise _not_plain(path, kind)


def _not_plain(path: Path, kind: str) -> NotPlainError:
    return NotPlainError(f"{path} is {kind}: nothing is read, written or deleted through it. Remove it by hand.")
