"""Identities of code: which of this package's own have a number, and what a number is worth."""

from __future__ import annotations

import pytest

from bench.outcomes import Known, identity, known_subjects
from bench.sources import Sources

from .outcomes_file import contents


def test_the_file_of_outcomes_is_of_today_s_code() -> None:
    """If this fails: ``make outcomes`` if no number changes, otherwise name what changes; see its docstring."""
    assert {subject: entry.content for subject, entry in known_subjects().items()} == contents()


def test_a_number_stands_for_the_code_that_the_file_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = Sources({"a.py": "1"}, {"torch": "2"}), Sources({"a.py": "2"}, {"torch": "2"})
    file: dict[str, Known] = {}
    monkeypatch.setattr("bench.outcomes.known_subjects", lambda: file)

    def sha(code: Sources) -> str:
        return identity("strategy mine", code)

    assert sha(before) != sha(after)  # unknown: by its content
    file["strategy mine"] = Known(1, before.content)
    first = sha(before)
    file["strategy mine"] = Known(1, after.content)
    assert sha(after) == first  # the numbers stay, by the author's word
    assert sha(before) != first  # and what the file does not know is another
    file["strategy mine"] = Known(2, after.content)
    assert sha(after) != first
    assert sha(Sources(after.files, {"torch": "3"})) != sha(after)
