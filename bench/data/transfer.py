"""One file over HTTP, in as many pieces as it takes: what has arrived stays, and the next try asks for the rest."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from bench.results.plain import remove

TIMEOUT_S = 30.0  # longest silence of a server; also how often its speed is looked at
SLOWEST = 256  # bytes a second that a server must send, over `TIMEOUT_S`
MAX_ATTEMPTS = 5  # at one address, as long as each brings something or the server is only busy
PAUSE_S = 1.0  # before the second try; doubled before each further one
LARGEST = 4 << 30  # bytes: no file of ours is larger, so what goes on sending is not one of them
CHUNK_BYTES = 1 << 18
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Advance = Callable[[int, int | None], None]


class TransferError(OSError):
    """An address does not give the file; the message says why."""


class UnsafeAddressError(TransferError):
    """An address, or one that it leads to, that is not https."""


@dataclass(frozen=True)
class Version:
    """Which version of a file has begun to arrive, as its server named it."""

    url: str  # where it comes from
    validator: str  # its strong ETag, or else its Last-Modified; empty where the server gave neither
    total: int | None  # bytes of the whole file, where the server said


@dataclass(frozen=True)
class Partial:
    """A file that is arriving: ``<path>`` holds its first bytes, ``<path>.json`` their `Version`."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self) -> Version | None:
        """The version of the bytes that have arrived; None if unknown."""
        try:
            return Version(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, version: Version) -> None:
        """Note which version arrives from now on."""
        self._note.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def discard(self) -> None:
        """Remove what has arrived."""
        for path in (self.path, self._note):
            remove(path, path.parent)

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")


def transfer(url: str, partial: Partial, advance: Advance) -> bool:
    """Complete ``partial`` with what ``url`` sends; returns whether bytes of an earlier try are part of the file.

    A server that supports byte ranges is asked for the missing ones, on the condition that its file is still the one
    that began to arrive; from any other server, or another address, everything comes again. ``advance`` gets the bytes
    that have arrived and the total, if it is known.

    Raises:
        UnsafeAddressError: The address, or one that it leads to, is not https.
        TransferError: It does not give the whole file. What has arrived stays in ``partial``.
    """
    require_safe(url)
    pause, resumed = PAUSE_S, False
    for attempt in range(1, MAX_ATTEMPTS + 1):
        before = partial.size
        try:
            return _receive(url, partial, advance) or resumed
        except UnsafeAddressError:
            raise
        except (OSError, HTTPException) as error:
            status = error.code if isinstance(error, HTTPError) else None
            reason = _reason(error)
            moved = status is None and partial.size != before  # to have forgotten a wrong piece is to have moved, too
            if attempt == MAX_ATTEMPTS or not (moved or status in BUSY):
                raise TransferError(reason) from None
        resumed = resumed or partial.size > 0
        time.sleep(pause)
        pause *= 2
    raise AssertionError("the last try returns or raises")


def require_safe(url: str) -> None:
    """Raise `UnsafeAddressError` for an address that is not https; http is allowed on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise UnsafeAddressError(f"{url}: data are fetched over https only. Give an https address.")


class _SafeRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        try:
            require_safe(newurl)
        except UnsafeAddressError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(url: str, partial: Partial, advance: Advance) -> bool:
    """Make one request; True if it went on from bytes that had arrived."""
    known, size = partial.version(), partial.size
    goes_on = size > 0 and known is not None and known.url == url and bool(known.validator)
    headers = {"Accept-Encoding": "identity", "User-Agent": "adaptbench"}
    if goes_on:
        assert known is not None
        headers |= {"Range": f"bytes={size}-", "If-Range": known.validator}
    else:
        partial.discard()
    try:
        response = build_opener(_SafeRedirects).open(Request(url, headers=headers), timeout=TIMEOUT_S)  # noqa: S310
    except HTTPError as error:
        if error.code == 416 and goes_on:
            error.close()
            return _settle(error.headers.get("Content-Range"), partial) or _receive(url, partial, advance)
        raise
    with response:
        return _keep(url, response, partial, advance)


def _settle(content_range: str | None, partial: Partial) -> bool:
    """Whether the server's answer says that all bytes have arrived; otherwise they are removed."""
    complete = re.fullmatch(r"bytes \*/(\d+)", (content_range or "").strip())
    if complete and int(complete[1]) == partial.size:
        return True
    partial.discard()
    return False


def _keep(url: str, response: HTTPResponse, partial: Partial, advance: Advance) -> bool:
    """Append a response to what has arrived, or replace it."""
    start, version = _placed(url, response, partial)
    partial.begin(version)
    received, total = start, version.total
    with partial.path.open("ab" if start else "wb") as target:
        for chunk in _chunks(response):
            target.write(chunk)
            received += len(chunk)
            if received > LARGEST:
                target.truncate(0)
                raise TransferError(f"it sends more than {LARGEST:,} bytes")
            advance(received, total)
        target.flush()
        os.fsync(target.fileno())
    if total is not None and received != total:
        if received > total:
            partial.discard()
        raise TransferError(f"the connection closed after {received:,} of {total:,} bytes")
    return start > 0


def _placed(url: str, response: HTTPResponse, partial: Partial) -> tuple[int, Version]:
    """Where a response's first byte belongs, and in which version of the file."""
    validator = _validator(response.headers)
    if response.status != 206:
        length = response.headers.get("Content-Length") or ""
        return 0, Version(url, validator, int(length) if length.isdecimal() else None)
    known, size = partial.version(), partial.size
    assert known is not None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", (response.headers.get("Content-Range") or "").strip())
    total = int(found[2]) if found and found[2] != "*" else known.total
    same = validator in ("", known.validator) and total == (known.total or total)
    if not found or int(found[1]) != size or not same:
        partial.discard()
        raise TransferError("it sent another part of the file, or of another version of it, than the one asked for")
    return size, Version(url, known.validator, total)


def _validator(headers: HTTPMessage) -> str:
    """The version's name for ``If-Range``; a weak tag does not serve."""
    tag = headers.get("ETag") or ""
    return tag if tag.startswith('"') else headers.get("Last-Modified") or ""


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """The body as it arrives; raises `TransferError` if it came slower than `SLOWEST` over a whole `TIMEOUT_S`."""
    looked, since = time.monotonic(), 0
    while chunk := response.read1(CHUNK_BYTES):
        yield chunk
        since += len(chunk)
        elapsed = time.monotonic() - looked
        if elapsed > TIMEOUT_S:
            if since < SLOWEST * elapsed:
                raise TransferError(f"it sends less than {SLOWEST} bytes a second")
            looked, since = time.monotonic(), 0


def _reason(error: Exception) -> str:
    """Why a try failed, in a few words; closes an HTTP error's connection."""
    if isinstance(error, HTTPError):
        error.close()
        return f"HTTP status {error.code}, {error.reason}"
    reason: Any = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer for {TIMEOUT_S:g} s"
    return str(reason) or type(reason).__name__


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Wait until no other process downloads into a folder; the system releases the lock if a process dies."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: what two processes wrote into one another fails its hash
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
