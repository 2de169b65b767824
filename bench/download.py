"""Files that the project names, finds, downloads and checks, but does not carry."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.errors import BenchError

FOLDER_VARIABLE = "BENCH_DATA_DIR"
TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 18
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Advance = Callable[[int, int | None], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file that is had from elsewhere.

    Attributes:
        filename: Its name in a data folder and in the cache.
        urls: Where to get it, in the order to try.
        sha256: Hashes of its accepted contents (copies in circulation may differ in their line endings).
    """

    filename: str
    urls: tuple[str, ...]
    sha256: tuple[str, ...]


def cache_folder() -> Path:
    """Where downloads are kept for this user."""
    from platformdirs import user_cache_path

    return user_cache_path("adaptbench") / "data"


def data_folder() -> Path | None:
    """The folder that ``BENCH_DATA_DIR`` names, or None where it is not set.

    Raises:
        BenchError: It names no folder.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise BenchError(f"{FOLDER_VARIABLE}={named}: no such folder. Create it, or unset the variable.")
    return folder


def locate(file: RemoteFile) -> Path | None:
    """Where ``file`` is on this machine: in ``BENCH_DATA_DIR``, then in the cache; None where it is in neither.

    Raises:
        BenchError: A file of that name is there, with other contents than the accepted ones.
    """
    for folder in (data_folder(), cache_folder()):
        if folder is not None and (path := folder / file.filename).is_file():
            _require_accepted(path, file)
            return path
    return None


def fetch(file: RemoteFile, progress: bool = True) -> Path:
    """The path of ``file``, downloaded to the cache and checked where it is not on this machine yet.

    Args:
        file: What to get.
        progress: Show a progress bar on the standard error stream.

    Raises:
        BenchError: It cannot be had, or what was sent is not what was expected.
    """
    if path := locate(file):
        return path
    failures = []
    for url in file.urls:
        _require_safe(url)
        try:
            return _download(url, file, progress)
        except OSError as error:
            failures.append(f"{url} ({_reason(error)})")
    raise BenchError(
        f"{file.filename} is not on this machine and could not be downloaded. Tried: {'; '.join(failures)}. "
        f"Go online and try again, or put the file in a folder and set {FOLDER_VARIABLE} to that folder."
    )


def _download(url: str, file: RemoteFile, progress: bool) -> Path:
    """Fetch ``url`` into the cache; what is not complete and accepted leaves nothing behind."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as part:
        partial = Path(part.name)
        try:
            with _bar(file.filename, progress) as advance:
                found = _copy(url, part, advance)
            part.close()
            if found not in file.sha256:
                raise BenchError(
                    f"{file.filename}: {url} sent a file with sha256 {found}, expected {' or '.join(file.sha256)}. "
                    f"Get an unmodified copy elsewhere, put it in a folder and set {FOLDER_VARIABLE} to that folder."
                )
            return partial.replace(folder / file.filename)
        finally:
            part.close()
            partial.unlink(missing_ok=True)


def _copy(url: str, target: IO[bytes], advance: Advance) -> str:
    """Copy what ``url`` sends to ``target`` and return its sha256.

    Raises:
        OSError: The address cannot be reached or does not send the whole file.
    """
    from http.client import HTTPException
    from urllib.request import urlopen

    digest, received = hashlib.sha256(), 0
    try:
        with urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - the scheme has been checked
            _require_safe(response.geturl())
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
            while chunk := response.read(CHUNK_BYTES):
                target.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                advance(received, total)
    except HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    if total is not None and received < total:
        raise OSError(f"the connection closed after {received:,} of {total:,} bytes")
    return digest.hexdigest()


@contextlib.contextmanager
def _bar(name: str, show: bool) -> Iterator[Advance]:
    """A progress bar in bytes, or nothing."""
    if not show:
        yield lambda _received, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(f"Downloading {name}", total=None)
        yield lambda received, total: bars.update(task, completed=received, total=total)


def _require_safe(url: str) -> None:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise BenchError(f"{url}: data are fetched over https only. Give an https address.")


def _require_accepted(path: Path, file: RemoteFile) -> None:
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found not in file.sha256:
        raise BenchError(
            f"{path}: sha256 is {found}, expected {' or '.join(file.sha256)}: not the published {file.filename}. "
            f"Put an unmodified copy there, or remove the file so that it can be downloaded."
        )


def _reason(error: OSError) -> str:
    """Why an address failed, in a few words; closes what an HTTP error still holds open."""
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        error.close()
        return f"HTTP status {error.code}, {error.reason}"
    reason = error.reason if isinstance(error, URLError) else error
    return str(reason) or type(error).__name__
