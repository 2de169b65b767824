"""What is written as TOML reads back as it was."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.execution.tune.toml_text import toml_lines

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(st.dictionaries(texts, values, max_size=4))
def test_it_reads_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml_lines(table)) == table


def test_an_experiment_reads_well() -> None:
    table = {"strategies": ["rls", {"name": "titans-c", "online_lr": 1e-5}], "seeds": [0, 1], "training": None}
    assert toml_lines(table) == (
        'strategies = [\n  "rls",\n  { name = "titans-c", online_lr = 1e-05 },\n]\nseeds = [0, 1]\n'
    )


def test_what_toml_cannot_say_is_left_out() -> None:
    assert toml_lines({"a": None, "b": {"c": None, "d": 1}, "e": [None, 2]}) == "b = { d = 1 }\ne = [2]\n"
