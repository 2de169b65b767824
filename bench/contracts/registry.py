"""One generic registry: names to classes, with loud collisions and helpful misses."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.contracts.config import search_fault
from bench.contracts.errors import BenchError
from bench.contracts.outcomes import code_of, identity
from bench.contracts.sources import Sources

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def unknown(kind: str, name: str, available: Iterable[str]) -> BenchError:
    """The error for a name that is missing, such as a ``"strategy"``, with the nearest that exists."""
    names = sorted(available)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return BenchError(f"Unknown {kind} {name!r}.{hint} Available: {', '.join(names) or '(none)'}")


def not_a(base: type[Any], cls: object) -> str:
    """The fault of a class that should inherit from ``base``; empty if it does."""
    is_one = isinstance(cls, type) and issubclass(cls, base)
    return "" if is_one else f"must be a class that inherits from bench.{base.__name__}"


def not_a_config(base: type[Any], cls: type[Any]) -> str:
    """The fault of a class's ``Config``; empty if there is none."""
    return f"has a Config of its own: it {wrong}" if (wrong := not_a(base, cls.Config)) else search_fault(cls.Config)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered class and the file it came from."""

    name: str
    cls: type[T]
    file: Path
    kind: str = ""

    @property
    def subject(self) -> str:
        """Kind and name, such as ``strategy rls``."""
        return f"{self.kind} {self.name}"

    @cached_property
    def code(self) -> Sources:
        """The code and data behind the class; `BenchError` if a file in its ``depends_on`` cannot be read."""
        return code_of(self.cls)

    @cached_property
    def sha(self) -> str:
        """Identity of the code and data behind the class; if it changes, it is another plug-in."""
        return identity(self.subject, self.code)

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return (self.cls.__doc__ or "").strip().partition("\n")[0].strip()


class Registry(Generic[T]):
    """Names to classes of one kind.

    Args:
        kind: The word for one of them, as it appears in messages.
        objection: Says why a class cannot be one of them, empty where it can; None takes every class.
    """

    def __init__(self, kind: str, objection: Callable[[type[T]], str] | None = None) -> None:
        self.kind = kind
        self.objection = objection
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that enters a class under ``name``.

        Raises:
            BenchError: The name is malformed, or taken (both files are named); or the class is none of this kind.
        """
        if not isinstance(name, str):  # the decorator without its brackets
            raise BenchError(f'@register_{self.kind} takes a name: write @register_{self.kind}("my-{self.kind}")')
        if not NAME.fullmatch(name):
            raise BenchError(f"{name!r} cannot name a {self.kind}: use lower-case letters, digits, '-', '_' and '.'")

        def enter(cls: type[T]) -> type[T]:
            source = getattr(sys.modules[cls.__module__], "__file__", None)
            if source is None:
                raise BenchError(f"{self.kind} {name!r} must be defined in a file: its content is part of a run's id")
            file = Path(source).resolve()
            if objection := self.objection(cls) if self.objection else "":
                raise BenchError(f"{file}: {self.kind} {name!r} {objection}")
            if taken := self._entries.get(name):
                raise BenchError(
                    f"The {self.kind} name {name!r} is registered twice: in {taken.file} and in {file}. "
                    "Rename one of them."
                )
            self._entries[name] = Entry(name, cls, file, self.kind)
            return cls

        return enter

    def __getitem__(self, name: str) -> Entry[T]:
        """The entry called ``name``; an unknown name is a `BenchError` with a suggestion."""
        try:
            return self._entries[name]
        except KeyError:
            raise unknown(self.kind, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which they were registered."""
        return tuple(self._entries)

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Undo registrations made inside if an error ends it: what fails to load leaves nothing behind."""
        before = self._entries.copy()
        try:
            yield
        except BaseException:
            self._entries = before
            raise
