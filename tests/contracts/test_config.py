"""Options are typed and closed, and a mistake names the key, what was expected, and the nearest that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from bench import BenchError
from bench.contracts.config import Config, build, kinds_of
from bench.contracts.dataset import DATASETS
from bench.contracts.forecaster import FORECASTERS, TrainingConfig
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.strategy import STRATEGIES
from bench.execution.engines.cluster import RayOptions
from bench.execution.experiment import Experiment, expand


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


NEGATIVE = {"memory_step_bias", "memory_momentum_bias", "memory_decay_bias", "magnitude", "na_values"}
"""Options that may be below zero."""

RANGE = "greater than|less than|from .* to|finite|number|between|must be|names layer|leaves each|no use for|needs"
"""What a message says of where an option may lie, or of what it needs beside it."""


def numeric(cls: type[BaseModel], before: str = "") -> Iterator[tuple[str, frozenset[Any], bool]]:
    """Each option that is a number, or holds some: its path, the types it takes, whether it is a list."""
    for name, field in cls.model_fields.items():
        kinds = kinds_of(field)
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        for model in inner:
            yield from numeric(model, f"{before}{name}.")
        if kinds & {int, float}:
            yield before + name, kinds, "tuple" in str(field.annotation) or "list" in str(field.annotation)


def given_at(path: str, value: Any) -> dict[str, Any]:
    *outer, name = path.split(".")
    found = {name: value}
    for key in reversed(outer):
        found = {key: [{"kind": "mean", "onset": 5} | found] if key == "drifts" else found}
    return found


@pytest.mark.usefixtures("registries")
def test_no_number_beyond_its_range_is_taken() -> None:
    """Every numeric option of experiments, protocols, training and plug-ins: a line with the option and its range."""
    needed: dict[type[BaseModel], dict[str, Any]] = {
        Experiment: {"name": "e", "strategies": ["rls"], "datasets": ["etth1"]},
    }
    classes: set[type[BaseModel]] = {Experiment, ProtocolSpec, TrainingConfig, RayOptions}
    classes |= {entry.cls.Config for registry in (STRATEGIES, FORECASTERS, DATASETS) for entry in registry}
    tried = 0
    for cls in sorted(classes, key=lambda cls: cls.__qualname__):
        base = needed.get(cls, {}) | ({"path": "x"} if "path" in cls.model_fields else {})
        build(cls, base, "test")
        for path, kinds, is_list in numeric(cls):
            bad: list[Any] = [float("nan"), float("inf"), -float("inf"), 2**63, -(2**63), 1e300]
            bad += [True] if bool not in kinds else []
            bad += [1.0, 1.5] if float not in kinds else []
            bad += [-1] if path.rpartition(".")[2] not in NEGATIVE else []
            if str in kinds:  # a text that may be a number, such as a mark of missing values
                bad = [True]
            for value in bad:
                with pytest.raises(BenchError) as refused:
                    build(cls, base | given_at(path, [value] if is_list else value), "test")
                said = str(refused.value)
                tried += 1
                assert path in said or path.rpartition(".")[2] in said, (cls, path, value, said)
                assert "\n" not in said
                assert re.search(RANGE, said), said
    assert tried > 500


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("option", ["stride", "block"])
def test_steps_are_no_longer_than_the_stream(option: str) -> None:
    values = {"name": "e", "strategies": ["rls"], "datasets": [{"name": "abrupt-mean", "rows": 400}]}
    protocol = {"lookback": 12, "horizon": 3}
    expand(build(Experiment, values | {"protocol": protocol | {option: 300}}, "test"), "cpu")
    with pytest.raises(BenchError, match=rf"dataset 'abrupt-mean': protocol option '{option}' .* from 1 to 300"):
        expand(build(Experiment, values | {"protocol": protocol | {option: 301}}, "test"), "cpu")
