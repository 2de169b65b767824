"""What stands in place of a machine's paths in records, reports and tables: names without folders, each unique."""

from __future__ import annotations

import hashlib
import re
import shlex
import site
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

PLACES = ("path", "label", "events")
"""Options of a dataset that say where it lies, what it is called or what is known of it, and nothing about its rows."""

_QUOTED = re.compile(r"""(?P<quote>["'])(?:~?/|[A-Za-z]:[\\/])[^"'\n]*[\\/](?P<name>[^"'\n\\/]*)(?P=quote)""")
_BARE = re.compile(r"""(?:~|(?<![\w.~/\\-]))/(?:[^\s/"'`<>|*?:;,()\[\]{}=]+/)+(?P<name>[^\s/"'`<>|*?:;,()\[\]{}=]*)""")
"""Absolute paths in a text: between quotes, where they may hold anything, and elsewhere."""

_ABSOLUTE = re.compile(r"(?:~?/|[A-Za-z]:[\\/])[^/\\]+[/\\].*[^/\\]")
"""A value that is an absolute path of at least one folder."""

_WORD = re.compile(  # a word of a command that is an absolute path, or ends in one, or in one of a file of data
    r"(?P<before>(?:[^/\\]*?[=:])?)(?!//)(?:~?/|[A-Za-z]:[\\/]|(?<=:))(?:.*[/\\])?(?P<name>[^/\\]+)[/\\]*"
)


def file_name(path: str) -> str:
    """The last part of a path of any operating system."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def is_of_file(name: str) -> bool:
    """Whether a dataset's name is that of a user's file: ``csv:counts.csv``."""
    return ":" in name


def published(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and options of a dataset as they are recorded: of a file's path only the last part."""
    scheme, colon, path = name.partition(":")
    path = path if colon else str(options.get("path", ""))
    kept = {key: value for key, value in options.items() if key not in PLACES}
    return (f"{scheme}:{file_name(path)}" if path else name), kept


def place_of(name: str, options: Mapping[str, Any]) -> str:
    """A 12-digit hash of the resolved path of a dataset's file; empty for a dataset without a file."""
    path = name.partition(":")[2] or options.get("path")
    if not path:
        return ""
    file = Path(path).expanduser()
    try:
        here = file.stat()
    except OSError:
        return _place(file, Path.cwd())
    return _place(file, Path.cwd(), here.st_dev, here.st_ino)


@cache
def _place(file: Path, *_: Path | int) -> str:
    """The hash, cached by the path as written, the working folder and the inode: a link may change its target."""
    return hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]


def without_places(text: str) -> str:
    """A text without absolute paths: a module's path becomes its file, another path its last part."""
    if "/" not in text and "\\" not in text:
        return text
    for folder in _known_folders():
        text = text.replace(f"{folder}/", "")
    text = _QUOTED.sub(lambda found: "{0}{1}{0}".format(found["quote"], found["name"]), text)
    return _BARE.sub(lambda found: found["name"], text)


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without folders: an absolute path becomes its last part and an 8-digit hash of the whole."""
    return {key: _plain(value) for key, value in options.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain_options(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str) and _ABSOLUTE.match(value):
        return f"{file_name(value)} [{hashlib.sha256(value.encode()).hexdigest()[:8]}]"
    return value


def plain_command(command: str) -> str:
    """A command without the folders of absolute paths and of data files."""
    try:
        words = shlex.split(command)
    except ValueError:  # typed by nobody
        return without_places(command)
    found = ((_WORD.fullmatch(word), word) for word in words)
    return shlex.join(match.expand(r"\g<before>\g<name>") if match else word for match, word in found)


@cache
def _known_folders() -> tuple[str, ...]:
    """Folders of installed modules, and the user's home; inner folders first."""
    found = {str(Path(__file__).resolve().parents[2]), *site.getsitepackages(), sysconfig.get_path("stdlib")}
    found |= {sys.prefix, sys.base_prefix, str(Path.home())}
    return tuple(sorted((folder for folder in found if len(Path(folder).parts) > 2), key=len, reverse=True))


@dataclass(frozen=True)
class Called:
    """What a dataset is called."""

    name: str  # its name as it is recorded
    fingerprint: str  # hash of its data
    label: str = ""  # the user's name for it, if any
    # as given, without places
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any], fingerprint: str) -> Called:
        """From a name and options as an experiment, a record or a list of runs has them."""
        plain, kept = published(name, options)
        return cls(plain, fingerprint, str(options.get("label") or ""), kept)

    @property
    def is_file(self) -> bool:
        """Whether it is a user's file."""
        return is_of_file(self.name)

    @property
    def given(self) -> dict[str, Any]:
        """Its options, with its label if it has one: what a record holds."""
        return dict(self.options) | ({"label": self.label} if self.label else {})

    @property
    def key(self) -> tuple[str, str]:
        """What identifies a dataset: for a file its data, for any other its name and label."""
        return ("", self.fingerprint) if self.is_file else (self.name, self.label)


def titles(datasets: Iterable[Called]) -> dict[tuple[str, str], Called]:
    """What each dataset is called in tables, by its key: no two have the same name.

    A file has the label that was given to it first, else the name that came first. If another dataset has that name
    too, its options or the start of its fingerprint follow. Its options are those that came with that name.
    """
    first: dict[tuple[str, str], Called] = {}
    for dataset in datasets:
        if dataset.key not in first or (dataset.label and not first[dataset.key].label):
            first[dataset.key] = dataset
    found = {key: dataset.label or dataset.name for key, dataset in first.items()}
    for more in (_options, _mark):
        often = Counter(found.values())
        found = {
            key: title + more(first[key]) if often[title] > 1 and (first[key].is_file or key[1]) else title
            for key, title in found.items()
        }
    return {key: replace(dataset, name=found[key]) for key, dataset in first.items()}


def _options(dataset: Called) -> str:
    if not dataset.is_file:
        return f" ({dataset.name})"
    return f" ({', '.join(f'{key}={value}' for key, value in dataset.options.items())})" if dataset.options else ""


def _mark(dataset: Called) -> str:
    return f" [{dataset.fingerprint[:8]}]"


def shortest(paths: Sequence[str]) -> list[str]:
    """The last parts of each path, as many as tell it from the others; never absolute."""
    parts = [[part for part in re.split(r"[/\\]", path) if part not in ("", ".", "..")] or ["here"] for path in paths]
    found = []
    for own in parts:
        others = [other for other in parts if other != own]
        enough = (n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others))
        found.append("/".join(own[-next(enough, len(own)) :]))
    return found
