"""The registry of the report's sections: a plug-in may bring some, as it may bring a strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from bench.contracts.registry import Registry

SECTIONS: Registry[Any] = Registry("section")

Compose = TypeVar("Compose", bound=Callable[..., Any])


@dataclass(frozen=True)
class Placement:
    """Where a section stands.

    Attributes:
        after: The section that it follows; empty for the first.
        on_pages: Whether it also stands on pages of single datasets.
        in_html: Whether it also stands on the HTML page.
    """

    after: str
    on_pages: bool
    in_html: bool


PLACEMENTS: dict[str, Placement] = {}


def register_section(
    name: str, *, after: str, on_pages: bool = False, in_html: bool = True
) -> Callable[[Compose], Compose]:
    """Decorator that makes a function a section of every report.

    The function takes the experiment, `bench.report.view.loaded.Results`, and returns a list of the blocks of
    `bench.report`; an empty one where the section has nothing to say.

    Args:
        name: Of the section; another one may follow it.
        after: The name of the section that it follows, such as ``skill``.
        on_pages: Whether it also stands on the pages that single datasets have where there are very many.
        in_html: Whether it also stands on the HTML page.

    Raises:
        BenchError: The name is malformed, or taken.
    """

    def enter(compose: Compose) -> Compose:
        SECTIONS.register(name)(compose)  # type: ignore[arg-type]  # the registry is generic over classes
        PLACEMENTS[name] = Placement(after, on_pages, in_html)
        return compose

    return enter
