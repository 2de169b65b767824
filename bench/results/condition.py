"""How a run is found on disk: whole, damaged, absent; and what its record's file says."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.results.checksums import ChecksumError, Checksums, verify
from bench.results.migrations import migrated
from bench.results.plain import JSON_BYTES, folder_at, parse_json, read_at, size_at
from bench.results.record import SCHEMA_VERSION, Record

RECORD = "record.json"

State = Literal["ok", "failed", "skipped", "absent", "damaged", "newer"]


@dataclass(frozen=True)
class Condition:
    """How a run is found on disk."""

    state: State  # the record's status; or absent, damaged, or newer: by a later version of this package
    reason: str = ""  # what the damage is
    seconds: float = field(default=0.0, compare=False)  # what the run took, where it has a record
    # of the record's file: a record that is written anew has another
    stamp: tuple[int, int] = field(default=(0, 0), compare=False)

    @property
    def is_done(self) -> bool:
        """Whether the run ended well."""
        return self.state in ("ok", "skipped")


class DamagedError(Exception):
    """A record is not as it was written; the message says in what way."""


class NewerError(Exception):
    """A record is by a later version of this package."""


def parsed(text: bytes, run_id: str) -> tuple[Record, Checksums | None]:
    """The record in a file, and its checksums; `DamagedError` if it is not as it was written."""
    try:
        body, seal = verify(text)
        if seal is not None and _CURRENT in body:  # the usual case, and quick
            record = Record.model_validate_json(body)
        else:
            record = Record.model_validate(_migrated(parse_json(body), seal))
    except ChecksumError as error:
        raise DamagedError(f"{RECORD}: {error}") from None
    except (ValueError, KeyError, TypeError) as error:  # of the last two, what JSON of any other form leads to
        raise DamagedError(f"{RECORD} cannot be read: {str(error).splitlines()[0]}") from None
    if record.run_id != run_id:
        raise DamagedError(f"{RECORD} is of another run, {record.run_id!r}")
    return record, seal


_CURRENT = f'"schema_version": {SCHEMA_VERSION},'.encode()


def _migrated(values: dict[str, Any], seal: Checksums | None) -> dict[str, Any]:
    """A record's values in today's version; versions with checksums must have them."""
    version = values["schema_version"]
    if version > SCHEMA_VERSION:
        raise NewerError
    if seal is None and version > 1:
        raise ChecksumError("its seal is missing")
    return migrated(values)


def whole_run(run_id: str, experiment: int) -> Condition | None:
    """The condition of a run that is whole, in an open folder of the experiment; None for any other run."""
    try:
        with folder_at(run_id, experiment) as folder:
            text, file = read_at(RECORD, folder, JSON_BYTES)
            record, seal = parsed(text, run_id)
            if seal is None or any(size_at(name, folder) != made.bytes for name, made in seal.files.items()):
                return None
    except (OSError, ValueError, DamagedError, NewerError):  # ValueError: a name that no file can have
        return None
    return Condition(record.status, seconds=record.seconds, stamp=stamp_of(file))


def stamp_of(file: os.stat_result) -> tuple[int, int]:
    """What differs if the file is another one, or was written again."""
    return file.st_ino, file.st_mtime_ns
