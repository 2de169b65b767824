"""``python -m tests.outcomes_file``, or ``make outcomes``: bring ``bench/outcomes.json`` up to date.

Run it after a change of code under which all results stay as they were: each subject keeps its number, and results on
disk stay valid. Where results change, name the subjects on the command line (``harness``, ``"strategy rls"``): each
gets the next number, and its runs are new ones.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from bench.errors import BenchError
from bench.forecaster import FORECASTERS
from bench.outcomes import KNOWN, harness, known
from bench.plugins import home, load_plugins
from bench.strategy import STRATEGIES


def contents() -> dict[str, str]:
    """Hash of the code of each subject that this repository brings along."""
    load_plugins()
    found = {"harness": harness().content}
    for registry in (STRATEGIES, FORECASTERS):
        found |= {f"{registry.kind} {e.name}": e.code.content for e in registry if home() in e.file.parents}
    return found


def main(changed: list[str]) -> None:
    """Write the file.

    Args:
        changed: Subjects whose numbers change.
    """
    entries: dict[str, dict[str, Any]] = {}
    for subject, content in contents().items():
        entry = known().get(subject, {"number": 0 if subject in changed else 1})
        entries[subject] = entry | {"number": entry["number"] + (subject in changed), "content": content}
    if unknown := set(changed) - set(entries):
        raise BenchError(f"{', '.join(sorted(unknown))}: not one of {', '.join(entries)}")
    KNOWN.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    print(f"{KNOWN}: {len(entries)} subjects")


if __name__ == "__main__":
    main(sys.argv[1:])
