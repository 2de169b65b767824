"""Checksums of a record and of the files beside it: whether they are as they were written."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from bench.results.plain import FRAME_BYTES, kind_of, open_file
from bench.results.record import Part

_MARK = ',\n "seal": '
_END = "\n}"
_FILE = re.compile(r"[a-z]+\.parquet")


class ChecksumError(Exception):
    """A text was changed since it was written; the message says in what way."""


class FileChecksum(Part):
    """Size and hash of a file beside a record."""

    bytes: int  # its size
    sha256: str  # of its content


class Checksums(Part):
    """What a record and the files beside it must agree with."""

    files: dict[str, FileChecksum] = Field({})  # the files beside it, by name
    sha256: str  # of the text without the seal, and of files


def add_checksum(text: str, files: Iterable[Path] = ()) -> str:
    """A JSON object of several lines, as `Part.as_json` writes it, with its checksums as its last key, ``seal``."""
    listed = {path.name: _checksum_of(path) for path in files}
    body = text.removesuffix(_END)
    assert body != text
    seal = Checksums(files=listed, sha256=_digest(body.encode(), listed))
    return f"{body}{_MARK}{seal.model_dump_json()}{_END}"


def verify(data: bytes) -> tuple[bytes, Checksums | None]:
    """A text without its checksums, and these; None for a text that never had any.

    Raises:
        ChecksumError: It was changed since it was written.
    """
    body, mark, rest = data.rpartition(_MARK.encode())
    if not mark:
        return data, None
    try:
        seal = Checksums.model_validate_json(rest.removesuffix(_END.encode()))
    except ValueError:
        raise ChecksumError("its seal cannot be read") from None
    if seal.sha256 != _digest(body, seal.files):
        raise ChecksumError("wrong checksum")
    if any(not _FILE.fullmatch(name) for name in seal.files):  # names from disk never lead elsewhere
        raise ChecksumError("its seal names files that no run leaves")
    return body + _END.encode(), seal


def broken_file(folder: Path, run_id: str, seal: Checksums, *, closely: bool) -> str:
    """What is wrong with the files beside a record; empty if nothing is. ``closely`` reads contents, not only sizes."""
    for name, file in seal.files.items():
        try:
            broken = _broken(folder / run_id / name, folder, file, closely=closely)
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read: {error}"
        if broken:
            return broken
    return ""


def _broken(path: Path, within: Path, file: FileChecksum, *, closely: bool) -> str:
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        return f"{path.name} is {kind_of(path) or 'a folder'}"
    if found.st_size != file.bytes:
        return f"{path.name} has {found.st_size:,} bytes, not {file.bytes:,}"
    if closely:
        with open_file(path, within, FRAME_BYTES) as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                return f"{path.name}: wrong checksum"
    return ""


def _checksum_of(path: Path) -> FileChecksum:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileChecksum(bytes=path.stat().st_size, sha256=digest)


def _digest(body: bytes, files: dict[str, FileChecksum]) -> str:
    listed = json.dumps({name: [file.bytes, file.sha256] for name, file in sorted(files.items())})
    return hashlib.sha256(body + b"\n" + listed.encode()).hexdigest()
