"""Identities of the code that decides outcomes: of the harness, and of each strategy and forecaster.

An identity is part of the ids of runs, of checkpoints and of audits. It is a hash of the code behind a class (see
`bench.sources`). For code of this package, ``outcomes.json`` beside this module replaces the hash by a number, which
stays the same while changes of the code leave all outcomes as they were. Where the code is not the one that the file
knows, the hash counts. ``make outcomes`` brings the file up to date.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from bench.sources import Module, Sources, modules_behind, sources_of

KNOWN = Path(__file__).with_name("outcomes.json")
HARNESS = "bench.run"
"""The module that carries out a run. With all that it imports, it is the harness."""

NO_OUTCOME = (
    *("bench.files", "bench.drift"),  # data count by a hash of their own
    *("bench.plugins", "bench.plugin_import", "bench.sources", "bench.outcomes", "bench.provenance"),
    *("bench.store", "bench.storage", "bench.tidy"),
)
"""Modules and packages that the harness imports, and that decide no number."""


@cache
def harness() -> Sources:
    """The code of the harness."""
    return Sources({module.label: module.digest for module in _harness_modules().values()})


@cache
def harness_sha() -> str:
    """Identity of the harness, 64 hexadecimal digits."""
    return _sha("harness", harness())


def code_of(cls: type[Any]) -> Sources:
    """The code and data behind a plug-in, without the harness, which all have in common.

    Raises:
        BenchError: A file in its ``depends_on`` cannot be read.
    """
    return sources_of(cls, lambda name: name in _harness_modules())


def plugin_sha(kind: str, name: str, code: Sources) -> str:
    """Identity of a plug-in, 64 hexadecimal digits; distributions that it imports are in it by version.

    Args:
        kind: ``strategy``, ``forecaster`` or ``dataset``.
        name: Registered name.
        code: From `code_of`.
    """
    return _sha(f"{kind} {name}", code)


@cache
def known() -> dict[str, dict[str, Any]]:
    """What ``outcomes.json`` holds by subject (``harness``, ``strategy rls``): ``number`` and ``content``."""
    return json.loads(KNOWN.read_bytes()) if KNOWN.is_file() else {}


def _sha(subject: str, code: Sources) -> str:
    entry = known().get(subject, {})
    is_known = entry.get("content") == code.content
    decides = [f"{subject} {entry['number']}" if is_known else code.content, sorted(code.packages.items())]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


@cache
def _harness_modules() -> dict[str, Module]:
    return modules_behind([HARNESS], lambda name: any(f"{name}.".startswith(f"{one}.") for one in NO_OUTCOME))[0]
