"""``bench new``: a file to start from, for each kind of plug-in and for an experiment."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from bench.contracts.errors import BenchError
from bench.execution.console import load_all, out

TEMPLATES = Path(__file__).with_name("templates")
FOLDERS = {
    "strategy": "adapters",
    "forecaster": "adapters",
    "dataset": "datasets",
    "metric": "adapters",
    "section": "adapters",
    "experiment": "experiments",
}
"""Kinds, and the folder of the working folder where a file of the kind is found without being named."""

NEXT = {
    "strategy": ("check {0} --quick", "run smoke --strategy persistence --strategy {0}"),
    "forecaster": ("check {0}", "run smoke --strategy persistence --strategy frozen --forecaster {0}"),
    "dataset": ("check {0}", "data describe {0}", "run smoke --strategy persistence --strategy rls --dataset {0}"),
    "metric": ("check {0}", "run smoke --strategy persistence --strategy rls --rescore"),
    "section": ("run smoke --strategy persistence --strategy rls", "report smoke"),
    "experiment": ("run {0} --dry-run", "run {0}"),
}
"""What to do with a new file of a kind; ``{0}`` is its name."""


def new(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(FOLDERS)}.")],
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, '-', '_' and '.'.")],
    folder: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Where the file goes; by default adapters, datasets or experiments here."),
    ] = None,
) -> None:
    """Write a file to start from: a strategy, forecaster, dataset, metric, section of reports, or experiment."""
    from bench.contracts.registry import NAME, unknown

    if kind not in FOLDERS:
        raise unknown("kind of file", kind, FOLDERS)
    if not NAME.fullmatch(name):
        raise BenchError(f"{name!r} cannot name a {kind}: use lower-case letters, digits, '-', '_' and '.'")
    _require_free(kind, name)
    file = written(kind, name, folder or Path(FOLDERS[kind]))
    out.say(file)
    for line in commands(kind, name, file, is_found=folder is None):
        out.say(f"  {line}")


def written(kind: str, name: str, folder: Path) -> Path:
    """Write the template of a kind under a name; returns the file.

    Raises:
        BenchError: The file is there already.
    """
    template = (TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8")
    file = folder / (f"{name}.toml" if kind == "experiment" else f"{_identifier(name, template)}.py")
    folder.mkdir(parents=True, exist_ok=True)
    text = template.replace("my-plugin", name)
    text = text.replace("my_plugin", _identifier(name, template)).replace("MyPlugin", _class_name(name, template))
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise BenchError(f"{file} is there already. Choose another name, or another --folder.") from None
    return file


def commands(kind: str, name: str, file: Path, *, is_found: bool) -> list[str]:
    """What to do next, as commands; ``is_found`` says that the file need not be named."""
    if kind == "experiment":
        return [f"bench {line.format(name if is_found else file)}" for line in NEXT[kind]]
    plugins = "" if is_found else f" --plugins {file}"
    return [f"bench {line.format(name)}{plugins}" for line in NEXT[kind]]


def _require_free(kind: str, name: str) -> None:
    from bench.contracts.discovery import REGISTRIES
    from bench.execution.experiment import experiment_files

    load_all()
    files = {entry.name: entry.file for registry in REGISTRIES if registry.kind == kind for entry in registry}
    files |= experiment_files() if kind == "experiment" else {}
    if name in files:
        raise BenchError(f"The {kind} {name!r} is there already, in {files[name]}. Choose another name.")


def _identifier(name: str, template: str) -> str:
    """A name as Python has it, unless it means something else in the template."""
    return _apart(re.sub(r"[-.]", "_", name), "my_", template)


def _class_name(name: str, template: str) -> str:
    return _apart("".join(part.capitalize() for part in re.split(r"[-._]", name)), "My", template)


def _apart(word: str, before: str, template: str) -> str:
    is_used = keyword.iskeyword(word) or re.search(rf"\b{word}\b", template) is not None
    return before + word if is_used or not word.isidentifier() else word
