"""Names that told a stranger nothing are gone, and stay so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

RIDDLES = frozenset(
    re.findall(
        r"\w+",
        """
        helps contrasts pays undominated duels selection pairing aftermath placing timekeeping stopping upkeep
        crew Crew Hand Facts mourn heed _mourn _heed _outlive_nobody _deaf_children _give _dismiss
        TRIES STILLBORN stillborn LAST_WORDS_S Sight Trail Pace Workplace is_left is_gone
        carry_out outlook prospect narrow at_address sealed SealError
        Service Stage Gauge Watch young Prefixes Turn Marks hears DeafError
        """,
    )
)
"""No module, class, function, attribute or argument is called so; what each is called now: `docs/glossary.md`."""

IN_NO_TEXT = re.compile(r"\b(crew|mourn|heed|aftermath|undominated|stillborn|duels)\b", re.IGNORECASE)


def identifiers(path: Path) -> set[str]:
    """All names that a module binds or uses, and its own."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {path.stem} | {
        name
        for node in nodes
        for key in ("id", "name", "attr", "arg", "asname")
        if isinstance(name := getattr(node, key, None), str)
    }


@pytest.mark.parametrize("folder", ["bench", "adapters", "datasets"])
def test_no_riddle_is_a_name(folder: str) -> None:
    found = {str(path.relative_to(ROOT)): identifiers(path) & RIDDLES for path in (ROOT / folder).rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_test_is_named_after_one() -> None:
    assert {
        path.name for path in (ROOT / "tests").rglob("test_*.py") if path.stem.removeprefix("test_") in RIDDLES
    } == set()


def test_no_riddle_stands_in_docs_and_reports() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "reports" / "example").rglob("*.md"), ROOT / "README.md"]
    scripts = [path for path in (ROOT / "bench").rglob("*") if path.suffix in {".py", ".js", ".css", ".html"}]
    found = {}
    for path in [*pages, *scripts]:
        text = path.read_text(encoding="utf-8")
        names = set(re.findall(r"`(\w+)(?:\.py)?`", text)) & RIDDLES if path in pages else set[str]()
        found[str(path.relative_to(ROOT))] = {*IN_NO_TEXT.findall(text), *names}
    assert {path: words for path, words in found.items() if words} == {}
