"""Each finding of the checks is explained: why it matters, what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import testing
from bench.testing.explanations import EXPLAINED, explanation

FOLDER = Path(testing.__file__).parent
FINDERS = {"CheckError", "LeakError", "TamperingError", "NondeterministicError", "OrderError", "InsensitiveError"}
BEGINNINGS = {"text": "not deterministic"}  # what a variable of the canary holds


def text_of(node: ast.expr) -> str:
    """A text as it may be when it is put together; empty for what is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            BEGINNINGS.get(ast.unparse(part.value), "5") if isinstance(part, ast.FormattedValue) else text_of(part)
            for part in node.values
        )
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def findings() -> Iterator[str]:
    """What the checks say where something is wrong."""
    for file in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if isinstance(node, ast.Call) and (called in FINDERS or called == "require") and text_of(node.args[-1]):
                yield text_of(node.args[-1])


@pytest.mark.parametrize("finding", sorted(findings()))
def test_a_finding_is_explained(finding: str) -> None:
    said = explanation(finding)
    assert said is not None
    assert said.why.endswith(".")
    assert said.what_to_do.endswith(".")


def test_there_are_findings_and_no_idle_explanation() -> None:
    texts = list(findings())
    assert len(texts) > 25
    said = {id(explanation(text)) for text in texts}
    on_purpose = id(explanation("leaks on purpose, as its group says, and is never ranked: leaks"))
    assert {id(one) for one in EXPLAINED.values()} == said | {on_purpose}


def test_an_error_that_a_plug_in_raised_is_not_explained() -> None:
    assert explanation("ZeroDivisionError: division by zero (mine.py, line 7)") is None
