"""How far the stream is from training, column by column."""

import numpy as np
import pytest

from bench.analysis.statistics.change_points import drift_evidence, largest_steps


def test_shifts_are_in_training_deviations_and_ratios_of_variances() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(1000, 2)) * [1.0, 5.0] + [0.0, 100.0]
    values[300:400, 0] += 2
    values[400:, 1] = 3 * (values[400:, 1] - 100) + 90
    found = drift_evidence(values, ("a", "b"), (300, 400, 1000)).set_index("column")
    train, validation, stream = values[:300], values[300:400], values[400:]
    for place, name in enumerate("ab"):
        mean, deviation = train[:, place].mean(), train[:, place].std()
        for part, rows in (("validation", validation), ("stream", stream)):
            assert found.loc[name, f"{part}_shift"] == pytest.approx((rows[:, place].mean() - mean) / deviation)
            assert found.loc[name, f"{part}_ratio"] == pytest.approx((rows[:, place].std() / deviation) ** 2)
    assert found.loc["a", "validation_shift"] == pytest.approx(2, abs=0.3)
    assert found.loc["b", "stream_ratio"] == pytest.approx(9, rel=0.2)


def test_rows_after_the_end_do_not_count() -> None:
    values = np.random.default_rng(0).normal(size=(500, 1))
    before = drift_evidence(values[:400], ("a",), (100, 200, 400))
    values[400:] += 50
    assert drift_evidence(values, ("a",), (100, 200, 400))["stream_shift"].tolist() == before["stream_shift"].tolist()


@pytest.mark.parametrize("season", [None, 12])
def test_the_largest_step_is_where_two_levels_fit_best(season: int | None) -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(900, 3)) * 0.1
    if season:
        values += np.sin(np.arange(900) * 2 * np.pi / season)[:, None]
    values[250:, 0] += 1
    values[700:, 1] -= 2
    values[-1] += 3  # one odd row is no level
    values[:, 2] = 4.0
    rows, steps = largest_steps(values, season)
    assert rows[:2] == pytest.approx([250, 700], abs=6)
    assert rows[2] == -1
    assert steps[0] > 0.5
    assert steps[1] < -0.5
    assert np.isnan(steps[2])


def test_what_cannot_be_told_is_no_number() -> None:
    found = drift_evidence(np.ones((20, 1)), ("a",), (10, 10, 20)).iloc[0]
    assert np.isnan([found["validation_shift"], found["stream_shift"], found["stream_ratio"]]).all()
