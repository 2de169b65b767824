"""From text to points: what is written is what is tried, and a mistake is said at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import BenchError, StrategyConfig, register_strategy
from bench.contracts.strategy import Strategy
from bench.evaluation.run_spec import Choice, Pair, forecaster_config, strategy_config
from bench.execution.tune.grid import Axis, axes_of, parse_grid, points_of
from bench.results.trials import value_text

pytestmark = pytest.mark.usefixtures("registries")

words = st.from_regex(r"[a-z][a-z_-]{0,8}", fullmatch=True).filter(
    lambda word: word not in ("true", "false", "inf", "nan")
)
scalars = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | words
keys = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}\.[a-z_]{1,8}", fullmatch=True)


@given(st.dictionaries(keys, st.lists(scalars, min_size=1, max_size=6), min_size=1, max_size=4))
def test_what_is_written_on_the_command_line_is_what_is_meant(grid: dict[str, list[Any]]) -> None:
    texts = [f"{key}={','.join(value_text(value) for value in values)}" for key, values in grid.items()]
    found = parse_grid(texts)
    assert list(found) == list(grid)
    for key, values in grid.items():
        assert found[key] == values
        assert [type(value) for value in found[key]] == [type(value) for value in values]


def test_values_of_every_kind() -> None:
    assert parse_grid(["a.b=1e-5, 1e-4"]) == {"a.b": [1e-5, 1e-4]}
    assert parse_grid([" a.b = [1, 2],[3]"]) == {"a.b": [[1, 2], [3]]}
    assert parse_grid(['a.b="x,y",z']) == {"a.b": ['"x', 'y"', "z"]}  # what is no TOML as a whole is cut at commas
    assert parse_grid(['a.b="x,y","z"']) == {"a.b": ["x,y", "z"]}
    assert parse_grid(["a.b=none,0.5,exact,true"]) == {"a.b": ["none", 0.5, "exact", True]}
    assert parse_grid(["a.b=2024-01-31"]) == {"a.b": ["2024-01-31"]}


@pytest.mark.parametrize("text", ["1\nc = 2", "1]\nc = [2"])
def test_a_line_break_drops_nothing(text: str) -> None:
    assert parse_grid([f"a.b={text}"]) == {"a.b": [text]}


@pytest.mark.parametrize("text", ["", "a.b", "a.b=", "=1", "a.b= "])
def test_another_form_is_an_error(text: str) -> None:
    with pytest.raises(BenchError, match=r"expected PLUGIN\.OPTION=VALUE,VALUE,\.\.\. such as titans-c\.online_lr="):
        parse_grid([text])


def test_a_key_given_twice_is_an_error() -> None:
    with pytest.raises(BenchError, match=r"a\.b is given twice"):
        parse_grid(["a.b=1", "a.b=2"])


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("rsl.ridge", [1.0], "grid 'rsl.ridge': Unknown strategy or forecaster 'rsl'. Did you mean 'rls'? Available: "),
        ("titans-a.memory_max_lr", [1.0], "'titans-a' is not in this experiment. Add it (--strategy adds one), or ta"),
        ("rls", [1.0], "grid 'rls': which option of 'rls'? Write rls.OPTION"),
        ("rls.rigde", [1.0], "grid 'rls.rigde': Unknown option 'rigde'. Did you mean 'ridge'? Available: forgetting"),
        ("rls.ridge", [1.0, -1], "grid 'rls.ridge': option 'ridge': input should be greater than or equal to 0 (got"),
        ("rls.ridge", ["much"], "grid 'rls.ridge': option 'ridge': input should be a valid number"),
        ("rls.ridge", ["none"], "grid 'rls.ridge': option 'ridge': input should be a valid number"),
        ("rls.ridge", [math.inf], "grid 'rls.ridge': option 'ridge': input should be a finite number"),
        ("rls.ridge", [], "grid 'rls.ridge': no values. Give at least one."),
        ("rls.ridge.more", [1.0], "grid 'rls.ridge.more': option 'ridge' holds a value, and no options of its own"),
        ("titans.training", [{}], "this is a table of options. Write one of them behind a dot: batch, clip, epochs"),
        ("titans.training.stepz", [1], "Unknown option 'stepz'. Did you mean 'steps'? Available: batch, clip"),
        ("titans.training.steps", ["none"], "option 'steps': input should be a valid integer"),  # unset is not default
    ],
)  # fmt: skip
def test_mistakes(key: str, values: list[Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        axes_of({key: values}, ["rls", "titans-c", "titans"])
    assert message in str(caught.value)


def test_values_are_what_the_option_holds() -> None:
    (axis,) = axes_of({"titans-c.memory_max_lr": ["none", 1, "0.5", 1.0]}, ["titans-c"])
    assert axis == Axis("titans-c", ("memory_max_lr",), (None, 1.0, 0.5))  # 1 and 1.0 are one
    (axis,) = axes_of({"titans.normalize": ["none", "last"]}, ["titans"])
    assert axis.values == ("none", "last")  # a text that the option takes as it is
    (axis,) = axes_of({"titans.training.steps": [3]}, ["titans"])
    assert axis.path == ("training", "steps")


def test_a_name_may_hold_dots() -> None:
    class Rated(StrategyConfig):
        rate: float = 1.0
        b: float = 0.0

    for name in ("a", "a.b"):

        @register_strategy(name)
        class Mine(Strategy):
            """Mine."""

            Config = Rated

    (first, second) = axes_of({"a.b": [1], "a.b.rate": [2]}, ["a", "a.b"])
    assert (first.plugin, first.path) == ("a", ("b",))
    assert (second.plugin, second.path) == ("a.b", ("rate",))


PAIR: Pair = (Choice("titans-c", {"carry": "exact"}), Choice("titans", {"dim": 8, "training": {"steps": 9, "lr": 0.5}}))


def test_options_of_a_pair_make_a_product() -> None:
    grid: dict[str, list[Any]] = {
        "titans-c.online_lr": [1e-4, 1e-3],
        "titans.training.steps": [3, 5, 7],
        "rls.ridge": [1.0, 2.0],
        "titans-c.memory_max_lr": ["none"],
    }
    axes = axes_of(grid, ["titans-c", "titans", "rls"])
    points = points_of(PAIR, axes)
    expected = [(lr, steps) for lr in (1e-4, 1e-3) for steps in (3, 5, 7)]
    assert [point.values for point in points] == [
        {"online_lr": lr, "titans.training.steps": steps, "memory_max_lr": None} for lr, steps in expected
    ]
    for point, (lr, steps) in zip(points, expected, strict=True):
        strategy, forecaster = point.pair
        assert strategy == Choice("titans-c", {"carry": "exact", "online_lr": lr})
        assert forecaster == Choice("titans", {"dim": 8, "training": {"steps": steps, "lr": 0.5}})
        assert strategy_config(strategy).online_lr == lr
        assert forecaster_config(forecaster).training.steps == steps
    assert PAIR[1]
    assert PAIR[1].options["training"]["steps"] == 9
    assert points_of((Choice("rls", {}), None), axes_of({"titans.dim": [8]}, ["titans"])) == []


def test_an_option_that_is_left_unset_is_as_registered() -> None:
    pair: Pair = (Choice("titans-b", {"memory_max_lr": 0.5}), None)
    found = points_of(pair, axes_of({"titans-b.memory_max_lr": ["none", 0.1]}, ["titans-b"]))
    assert [point.pair[0].options for point in found] == [{}, {"memory_max_lr": 0.1}]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_every_point_is_there_once(sizes: list[int], data: st.DataObject) -> None:
    options = ["memory_max_lr", "online_lr", "online_clip"][: len(sizes)]
    rates = st.floats(1e-6, 10.0)
    grid = {
        f"titans-c.{option}": data.draw(st.lists(rates, min_size=size, max_size=size, unique=True))
        for option, size in zip(options, sizes, strict=True)
    }
    points = points_of(PAIR, axes_of(grid, ["titans-c"]))
    assert len(points) == math.prod(sizes) == len({str(point.values) for point in points})
    for point in points:
        for option, value in point.values.items():
            assert value in grid[f"titans-c.{option}"]
            assert getattr(strategy_config(point.pair[0]), option) == value


def test_values_that_do_not_go_together_are_refused() -> None:
    from pydantic import model_validator

    class Both(StrategyConfig):
        low: float = 0.0
        high: float = 1.0

        @model_validator(mode="after")
        def ordered(self) -> Both:
            if self.low > self.high:
                raise ValueError("low must not be above high")
            return self

    @register_strategy("band")
    class Band(Strategy):
        """Between two values."""

        Config = Both

    axes = axes_of({"band.low": [2, 3], "band.high": [2, 4]}, ["band"])
    with pytest.raises(BenchError, match=r"grid point low=3.0, high=2.0: strategy 'band': .*low must not be"):
        points_of((Choice("band", {}), None), axes)
