"""Markdown, numbers and file names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.blocks import Table, escape
from bench.report.render.markdown import inline, render
from bench.report.render.numbers import brief, count, fixed, percent, places, with_spread, words
from bench.results.disk import slug


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("titans-b", "titans-b"),
        ("my_strategy", "my_strategy"),
        ("_x_", r"\_x\_"),
        ("a|b", r"a\|b"),
        ("<b>", "&lt;b&gt;"),
        ("a\nb\tc", "a b c"),
        ("`$*[x]", r"\`\$\*\[x\]"),
        ("a\x00b\u202ec", "a b c"),
    ],
)
def test_escape(text: str, safe: str) -> None:
    assert inline(escape(text)) == safe


@given(st.text(max_size=40))
def test_escaped_text_holds_nothing_that_ends_a_cell_or_opens_a_tag(text: str) -> None:
    safe = inline(escape(text))
    assert not re.search(r"[\n\r<>]", safe)
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", safe)


@given(st.text(max_size=80), st.text(max_size=80))
def test_slugs_are_plain_and_no_two_alike(one: str, other: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,60}", slug(one))
    assert (slug(one) == slug(other)) == (one == other)


def test_slug_of_a_plain_name_is_the_name() -> None:
    assert slug("akl-pedestrians") == "akl-pedestrians"
    assert slug("AKL pedestrians").startswith("akl-pedestrians-")


def test_table() -> None:
    table = render([Table(["a", "b"], [["x", "1.0"]])])
    assert table.strip().split("\n")[1:] == ["|:----|----:|", "| x   | 1.0 |"]


def test_words_and_count() -> None:
    assert words(["a"]) == "a"
    assert words(["a", "b", "c"]) == "a, b and c"
    assert count(1, "run") == "1 run"
    assert count(1200, "run") == "1,200 runs"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.24, 0.5], 4), ([12.0, 15.0], 2), ([4000.0], 0), ([], 3), ([float("nan"), 0.0], 3), ([0.0004, 0.5, 0.6], 5)],
)
def test_places(values: list[float], expected: int) -> None:
    assert places(values) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5678, "1,234.57"),
        (-0.5, "\N{MINUS SIGN}0.50"),
        (-0.001, "0.00"),
        (float("nan"), "\N{EN DASH}"),
        (float("inf"), "∞"),
        (1.5e12, "1.5e+12"),
    ],
)
def test_fixed(value: float, text: str) -> None:
    assert fixed(value, 2) == text


def test_other_numbers() -> None:
    assert brief(0.01234) == "0.0123"
    assert brief(1234.5) == "1,234"
    assert brief(0.0) == "0"
    assert percent(12.34) == "+12.3"
    assert percent(-0.01) == "0.0"
    assert percent(-12.34) == "\N{MINUS SIGN}12.3"
    assert percent(float("nan")) == "\N{EN DASH}"
    assert with_spread(1.0, 0.25, 2) == "1.00 ± 0.25"
    assert with_spread(1.0, float("nan"), 2) == "1.00"
