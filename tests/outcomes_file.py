"""``python -m tests.outcomes_file``, or ``make outcomes``: bring ``bench/contracts/outcomes.json`` up to date.

Run it after a change of code under which all results stay as they were: each subject keeps its number, and results on
disk stay valid. Where results change, name the subjects on the command line (``harness``, ``"strategy rls"``): each
gets the next number, and its runs are new ones.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace

from bench.contracts.discovery import home, load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.metric import METRICS
from bench.contracts.outcomes import KNOWN, Known, harness, known_subjects
from bench.contracts.strategy import STRATEGIES
from bench.results.record import FIELDS


def contents() -> dict[str, str]:
    """Hash of the code of each subject that this repository brings along."""
    load_plugins()
    plugins = [*STRATEGIES, *FORECASTERS, *(metric for metric in METRICS if metric.name not in FIELDS)]
    entries = [entry for entry in plugins if home() in entry.file.parents]
    return {"harness": harness().content} | {entry.subject: entry.code.content for entry in entries}


def main(changed: list[str]) -> None:
    """Write the file.

    Args:
        changed: Subjects whose results change.
    """
    entries = {}
    for subject, content in contents().items():
        before = known_subjects().get(subject)
        if before is None or subject in changed:  # then nothing of an earlier version is of the same code
            number, draws = (before.number + 1, before.draws) if before else (1, False)
            entries[subject] = Known(number, content, draws=draws)
        else:
            entries[subject] = replace(before, content=content)
    if unknown := set(changed) - set(entries):
        raise SystemExit(f"{', '.join(sorted(unknown))}: not one of {', '.join(entries)}")
    KNOWN.write_text(json.dumps({s: asdict(entry) for s, entry in entries.items()}, indent=1) + "\n", encoding="utf-8")
    print(f"{KNOWN}: {len(entries)} subjects")


if __name__ == "__main__":
    main(sys.argv[1:])
