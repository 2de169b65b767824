"""Identities of the code that decides outcomes: of the harness, and of each strategy and forecaster.

An identity is part of the ids of runs, of checkpoints and of audits. It is a hash of the code behind a class (see
`bench.contracts.sources`). For code of this package, ``outcomes.json`` beside this module replaces the hash by a
number, which stays the same while changes of the code leave all outcomes as they were. Where the code is not the one
that the file knows, the hash counts. ``make outcomes`` brings the file up to date.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.contracts.sources import Module, Sources, modules_behind, sources_of

KNOWN = Path(__file__).with_name("outcomes.json")
HARNESS = "bench.evaluation.run"  # the module that carries out a run. With all that it imports, it is the harness
NO_OUTCOME = (  # modules and packages that the harness imports, and that decide no number
    *("bench.data.user_files", "bench.data.synthetic"),  # data count by a hash of their own
    *(
        "bench.contracts.discovery",
        "bench.contracts.plugin_import",
        "bench.contracts.sources",
        "bench.contracts.outcomes",
        "bench.results.provenance",
    ),
    *("bench.results.store", "bench.results", "bench.results.frame", "bench.contracts.naming", "bench.results.run_key"),
)


@dataclass(frozen=True)
class Known:
    """What ``outcomes.json`` says of a subject, such as ``harness`` or ``strategy rls``."""

    number: int  # replaces the hash of the code in identities
    content: str  # hash of the code
    earlier: tuple[str, ...] = ()  # identities of the same code in older versions of this package
    draws: bool = False  # whether it draws random numbers while it serves


def known(subject: str, code: Sources) -> Known | None:
    """What the file says of a subject; None if it does not know this code of it."""
    entry = known_subjects().get(subject)
    return entry if entry and entry.content == code.content else None


@cache
def known_subjects() -> dict[str, Known]:
    """All entries of the file."""
    entries = json.loads(KNOWN.read_bytes()) if KNOWN.is_file() else {}
    return {subject: Known(**entry) for subject, entry in entries.items()}


def identity(subject: str, code: Sources) -> str:
    """Identity of code, 64 hexadecimal digits; the versions of distributions that it imports are part of it."""
    entry = known(subject, code)
    decides = [f"{subject} {entry.number}" if entry else code.content, sorted(code.packages.items())]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


@cache
def harness() -> Sources:
    """The code of the harness."""
    return Sources({module.label: module.digest for module in _harness_modules().values()})


@cache
def harness_sha() -> str:
    """Identity of the harness."""
    return identity("harness", harness())


def code_of(cls: type[Any]) -> Sources:
    """The code and data behind a plug-in, without the harness; raises if a file in ``depends_on`` cannot be read."""
    return sources_of(cls, lambda name: name in _harness_modules())


@cache
def _harness_modules() -> dict[str, Module]:
    return modules_behind([HARNESS], lambda name: any(f"{name}.".startswith(f"{one}.") for one in NO_OUTCOME))[0]
