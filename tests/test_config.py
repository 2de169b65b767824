"""Options are typed and closed, and a mistake names the key, what was expected, and the nearest that is there."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, PositiveInt, ValidationError

from bench import BenchError
from bench.config import Config, build


class Inner(Config):
    steps: PositiveInt | None = 2
    batch: PositiveInt = 3


class Outer(Config):
    rate: float = 0.1
    mode: Literal["fast", "slow"] = "fast"
    inner: Inner = Inner()


def test_what_fits_is_built() -> None:
    built = build(Outer, {"rate": 1, "inner": {"steps": None}}, "strategy 'x'")
    assert built == Outer(rate=1.0, inner=Inner(steps=None))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rat": 1}, "unknown option 'rat'. Did you mean 'rate'? Options: inner, mode, rate"),
        ({"zzz": 1}, "unknown option 'zzz'. Options: inner, mode, rate"),
        ({"inner": {"step": 1}}, "unknown option 'inner.step'. Did you mean 'steps'? Options: batch, steps"),
        ({"rate": "x"}, "option 'rate': input should be a valid number, unable to parse string as a number (got 'x')"),
        ({"rate": float("nan")}, "option 'rate': input should be a finite number (got nan)"),
        ({"mode": "fats"}, "option 'mode': input should be 'fast' or 'slow' (got 'fats')"),
        ({"inner": {"batch": 0}}, "option 'inner.batch': input should be greater than 0 (got 0)"),
    ],
)
def test_a_mistake_is_explained(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        build(Outer, values, "strategy 'x'")
    assert str(caught.value) == f"strategy 'x': {message}"


class Forms(Config):
    needed: int
    either: str | dict[str, Any] | list[str | dict[str, Any]] = "a"
    listed: list[str | dict[str, Any]] = Field([])
    pair: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pair": ["a"]}, "option 'needed': field required"),
        ({"needed": 1, "either": 5}, "option 'either': input should be text, a table or a list (got 5)"),
        ({"needed": 1, "listed": ["a", 5]}, "option 'listed.1': input should be text or a table (got 5)"),
        ({"needed": 1, "pair": "a"}, "option 'pair': input should be a valid list (got 'a')"),
    ],
)
def test_a_value_of_the_wrong_form_is_one_mistake_in_the_words_of_toml(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        build(Forms, values, "here")
    assert str(caught.value) == f"here: {message}"


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(BenchError, match=r"^here: option 'rate': .*; unknown option 'inne'\. Did you mean 'inner'"):
        build(Outer, {"rate": "x", "inne": 1}, "here")


def test_a_class_without_options_says_so() -> None:
    with pytest.raises(BenchError, match=r"^here: unknown option 'lr'\. Options: \(none\)$"):
        build(Config, {"lr": 1}, "here")


def test_options_cannot_be_changed_in_service() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().rate = 0.2  # type: ignore[misc]
