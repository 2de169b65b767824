"""Seals: by its own text, and by the hashes of the files beside it, a record shows whether it is as it was written."""

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


class SealError(Exception):
    """A text is not as it was written; the message says in what way."""


class SealedFile(Part):
    """A file beside a record.

    Attributes:
        bytes: Its size.
        sha256: Of its content.
    """

    bytes: int
    sha256: str


class Seal(Part):
    """What a record is held against.

    Attributes:
        files: The files beside it, by name.
        sha256: Of the text without the seal, and of ``files``.
    """

    files: dict[str, SealedFile] = Field({})
    sha256: str


def sealed(text: str, files: Iterable[Path] = ()) -> str:
    """A JSON object of several lines, indented by one space, with its seal as its last key.

    Args:
        text: As `bench.results.record.Part.as_json` writes it.
        files: The files that belong to it, as they are now.
    """
    listed = {path.name: _sealed_file(path) for path in files}
    body = text.removesuffix(_END)
    assert body != text
    seal = Seal(files=listed, sha256=_digest(body.encode(), listed))
    return f"{body}{_MARK}{seal.model_dump_json()}{_END}"


def opened(data: bytes) -> tuple[bytes, Seal | None]:
    """A text without its seal, and the seal; None for a text that never had one.

    Args:
        data: What is on disk.

    Raises:
        SealError: It has been changed since it was sealed.
    """
    body, mark, rest = data.rpartition(_MARK.encode())
    if not mark:
        return data, None
    try:
        seal = Seal.model_validate_json(rest.removesuffix(_END.encode()))
    except ValueError:
        raise SealError("its seal cannot be read") from None
    if seal.sha256 != _digest(body, seal.files):
        raise SealError("wrong checksum")
    if any(not _FILE.fullmatch(name) for name in seal.files):  # names from disk never lead elsewhere
        raise SealError("its seal names files that no run leaves")
    return body + _END.encode(), seal


def broken_file(folder: Path, run_id: str, seal: Seal, *, closely: bool) -> str:
    """What is wrong with the files beside a record; empty where nothing is.

    Args:
        folder: Of the experiment's results; no link below it is followed.
        run_id: Of the run, whose folder they are in.
        seal: What they are held against.
        closely: Whether contents are read; otherwise sizes are compared.
    """
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


def _broken(path: Path, within: Path, file: SealedFile, *, closely: bool) -> str:
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


def _sealed_file(path: Path) -> SealedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SealedFile(bytes=path.stat().st_size, sha256=digest)


def _digest(body: bytes, files: dict[str, SealedFile]) -> str:
    listed = json.dumps({name: [file.bytes, file.sha256] for name, file in sorted(files.items())})
    return hashlib.sha256(body + b"\n" + listed.encode()).hexdigest()
