"""The code that results were made by, kept beside them: with it, a run that is new can say which file changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.contracts.sources import Sources
from bench.results.disk import replace_whole
from bench.results.plain import JSON_BYTES, is_file, read_file
from bench.results.store import SWEEP

CODE = ".code"


def code_folder(experiment: Path) -> Path:
    """Where code is kept for an experiment, or for a sweep below it: with that of all others in the results folder."""
    return (experiment.parent if experiment.name == SWEEP else experiment).parent / CODE


def keep_code(folder: Path, code: Mapping[str, Sources]) -> None:
    """Keep what identities stand for.

    Args:
        folder: From `code_folder`.
        code: By identity.
    """
    for sha, sources in code.items():
        if not is_file(file := _file(folder, sha)):
            content = {"sha": sha, "files": dict(sources.files), "packages": dict(sources.packages)}
            replace_whole(file, json.dumps(content, indent=1), folder.parent)


def read_code(folder: Path, sha: str) -> Sources | None:
    """What an identity stands for; None where that was not kept, or cannot be read."""
    try:
        content = json.loads(read_file(_file(folder, sha), folder.parent, JSON_BYTES))
        return Sources(dict(content["files"]), dict(content["packages"])) if content["sha"] == sha else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _file(folder: Path, sha: str) -> Path:
    return folder / f"{sha[:16]}.json"
