"""Change points of the level: found where they are, and not where there are none."""

import numpy as np
import pytest
from scipy.signal import lfilter

pytest.importorskip("ruptures", reason="change points need adaptbench[drift]")

from bench.analysis.statistics.change_points import MOST, POINTS, block_length, change_points

Floats = np.ndarray


def waves(rows: int, persistence: float, columns: int = 1, seed: int = 0) -> Floats:
    """A first-order autoregression of unit variance, ``(rows, columns)``."""
    draw = np.random.default_rng(seed)
    values = lfilter([1], [1, -persistence], draw.normal(size=(rows + 200, columns)), axis=0)
    return np.asarray(values[200:] * np.sqrt(1 - persistence**2))


def names(values: Floats) -> tuple[str, ...]:
    return tuple(f"c{k}" for k in range(values.shape[1]))


@pytest.mark.parametrize("persistence", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("columns", [1, 5])
def test_a_series_without_a_change_has_none(persistence: float, columns: int) -> None:
    found = [len(change_points(v, names(v))) for v in (waves(1000, persistence, columns, s) for s in range(20))]
    assert np.count_nonzero(found) <= 1


@pytest.mark.parametrize("persistence", [0.0, 0.5, 0.8])
def test_a_step_is_found_where_it_is(persistence: float) -> None:
    hits = 0
    for seed in range(20):
        values = waves(1000, persistence, 3, seed)
        values[600:, 1] += 4.0
        found = change_points(values, names(values))
        hits += len(found) == 1 and abs(int(found["row"].iloc[0]) - 600) <= 15
        assert found["column"].eq("c1").all()
        assert (found["shift"] > 0).all()
    assert hits >= 19


def test_rows_are_those_of_the_long_series() -> None:
    values = waves(70_000, 0.5, 2)
    values[42_000:] -= 1.5
    found = change_points(values, names(values))
    assert block_length(70_000, None) == 35
    assert abs(int(found["row"].iloc[0]) - 42_000) <= 2 * 35
    assert (found["shift"] < 0).all()


@pytest.mark.parametrize(
    ("rows", "season"), [(500, 24), (17_538, 168), (14_400, 24), (57_600, 96), (900, None), (9, 4)]
)
def test_blocks_divide_a_season_and_are_few_enough(rows: int, season: int | None) -> None:
    block = block_length(rows, season)
    assert rows // block <= POINTS
    assert season is None or season % block == 0


def test_a_season_is_no_change() -> None:
    values = waves(1200, 0.3) + 3 * (np.arange(1200) % 300 < 150)[:, None]
    assert len(change_points(values, ("x",), season=300)) == 0
    assert len(change_points(values, ("x",))) == 7 < MOST


def test_a_trend_comes_out_as_stairs() -> None:
    values = waves(1000, 0.2) + np.linspace(0, 12, 1000)[:, None]
    found = change_points(values, ("x",))
    assert len(found) >= 4
    assert (found["shift"] > 0).all()


def test_too_few_rows_and_columns_that_stand_still_have_none() -> None:
    assert len(change_points(np.ones((500, 2)), ("a", "b"))) == 0
    assert len(change_points(np.repeat([0.0, 9.0], 15)[:, None], ("x",))) == 0
    still = np.column_stack([np.ones(500), np.repeat([0.0, 1.0], 250)])
    assert change_points(still, ("a", "b"))[["row", "column"]].to_numpy().tolist() == [[250, "b"]]


def test_units_do_not_matter() -> None:
    values = waves(800, 0.4, 2)
    values[500:] += 2
    scaled = change_points(values * [1e-9, 1e9] + [5, -1e12], names(values))
    assert scaled["row"].tolist() == change_points(values, names(values))["row"].tolist()


@pytest.mark.parametrize(("unit", "offset"), [(1e-14, 0.0), (1.0, 1e13), (1e-100, 0.0), (1e100, 0.0)])
def test_the_unit_decides_nothing(unit: float, offset: float) -> None:
    values = 5 * waves(1000, 0.5)
    values[600:] += 20
    found = change_points(values * unit + offset, ("c0",))
    assert found["row"].tolist() == change_points(values, ("c0",))["row"].tolist() != []
    np.testing.assert_allclose(found["shift"], change_points(values, ("c0",))["shift"], rtol=1e-2)
