"""Options are typed and closed, and a mistake names the key, what was expected, and the nearest that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from bench import BenchError, Search, Strategy, StrategyConfig, register_strategy
from bench.contracts.config import Config, build, fitted, kinds_of, searches
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


class Searched(StrategyConfig):
    """Options with what is searched of them."""

    rate: Annotated[float, Search(1e-6, 1e-2, log=True)] = Field(1e-4, gt=0)
    width: Annotated[PositiveInt | None, Search(2, 64)] = None
    kind: Annotated[Literal["a", "b"], Search(choices=("a", "b"))] = "a"
    inner: TrainingConfig = TrainingConfig()
    fixed: float = 1.0


class Renewed(Searched):
    """The same, with another default and another search."""

    rate: float = 1e-3
    width: Annotated[PositiveInt, Search(1, 8)] = 4


def test_a_subclass_keeps_what_is_searched() -> None:
    found = searches(Renewed)
    assert list(found) == [("rate",), ("width",), ("kind",), ("inner", "lr"), ("inner", "weight_decay")]
    assert found["rate",] == Search(1e-6, 1e-2, log=True)
    assert found["width",] == Search(1, 8)
    assert Searched().model_dump(mode="json") == {
        "rate": 1e-4, "width": None, "kind": "a", "inner": TrainingConfig().model_dump(mode="json"), "fixed": 1.0,
    }  # fmt: skip


@given(st.floats(0, 1), st.floats(1e-8, 1e3), st.floats(1.5, 1e6), st.booleans())
def test_a_share_of_a_range_lies_in_it(share: float, low: float, ratio: float, log: bool) -> None:
    search = Search(low, low * ratio, log=log)
    assert low <= search.at(share) <= low * ratio
    assert (search.at(0.0), search.at(1.0)) == pytest.approx((low, low * ratio), rel=0.005)


def test_shares_of_every_kind() -> None:
    assert [Search(1e-6, 1e-2, log=True).at(share) for share in (0, 0.5, 0.6)] == [1e-6, 1e-4, 2.51e-4]
    assert [Search(2, 64, log=True).at(share) for share in (0, 0.5, 1)] == [2, 11, 64]
    assert isinstance(Search(2, 64).at(0.4), int)
    assert [Search(choices=("a", None)).at(share) for share in (0, 0.49, 0.5, 1)] == ["a", "a", None, None]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "low must be below high, or give choices"),
        ({"low": 2, "high": 1}, "low must be below high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low must be above 0 where log=True"),
        ({"low": 1.0, "high": 2.0, "choices": (1,)}, "give a range (low, high, log) or choices, not both"),
    ],
)
def test_a_search_that_is_none(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        Search(**given)
    assert message in str(caught.value)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("option", "default", "message"),
    [
        (
            Annotated[float, Search(-1.0, 2.0)],
            1.0,
            "searches option 'rate' by Search(low=-1.0, high=2.0, log=False, ch",
        ),
        (Annotated[float, Search(0.1, 2.0)], 3.0, "which leaves out its default (3.0)"),
        (Annotated[float, Search(choices=(1.0, "much"))], 1.0, "input should be a valid number"),
        (Annotated[float, Search(choices=(1.0, 2.0))], 3.0, "which leaves out its default (3.0)"),
    ],
)
def test_a_range_outside_of_the_option_is_refused_at_registration(option: Any, default: float, message: str) -> None:
    class Wrong(StrategyConfig):
        rate: option = Field(default, ge=0)

    with pytest.raises(BenchError) as caught:

        @register_strategy("wrong")
        class Mine(Strategy):
            """Mine."""

            Config = Wrong

    assert f"{__file__}: strategy 'wrong' searches option 'rate' by Search" in str(caught.value)
    assert message in str(caught.value)
    assert "wrong" not in STRATEGIES


@pytest.mark.usefixtures("registries")
def test_whatever_learns_in_service_says_what_to_search() -> None:
    """All options of the name that an optimiser's rate has, and of every strategy with options at all, but a season."""
    for entry in [*STRATEGIES, *FORECASTERS]:
        config, found = entry.cls.Config, searches(entry.cls.Config)
        assert ("online_lr" in config.model_fields) == (("online_lr",) in found), entry.name
        assert found or set(config.model_fields) <= {"season"}, entry.name
        for path, search in found.items():
            values = [search.at(share) for share in (0.0, 0.3, 1.0)]
            if len(path) == 1:
                assert [fitted(config.model_fields[path[0]], path[0], value, "") for value in values] == values
