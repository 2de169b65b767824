"""Which scenarios make a curve, what stands on it, and what fewer or later labels cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import fullest, label_curves, label_gains, label_worth, labels_released
from bench.contracts.protocol import Protocol
from bench.evaluation.stream import blocks, matured_origins

MakeRuns = Callable[..., pd.DataFrame]
Row = dict[str, Any]

FULL: Row = {"label_rate": 1.0, "label_seed": 0, "delay": 0, "labels": "matured"}


def regime(mse: float = 1.0, **changes: Any) -> Row:
    return FULL | {"mse": mse} | changes


def points(curves: pd.DataFrame, entry: str = "rls") -> list[tuple[float, str, float]]:
    rows = curves[curves["entry"] == entry]
    return list(zip(rows["x"], rows["way"], rows["mse"], strict=True))


def at(curves: pd.DataFrame, x: float) -> dict[str, Any]:
    """The row of the one entry at ``x``."""
    (row,) = curves[curves["x"] == x].to_dict("records")
    return {str(key): value for key, value in row.items()}


# Families


def test_the_share_is_rate_over_every(make_runs: MakeRuns) -> None:
    runs = make_runs(
        regime(1.0),
        regime(4.0, label_rate=0.1),
        regime(3.0, label_every=10),
        regime(5.0, label_every=10, label_rate=0.5),
        regime(2.0, label_rate=0.5),
    )
    curves = label_curves(runs)
    assert points(curves) == [
        (0.05, "both", 5.0), (0.1, "every", 3.0), (0.1, "drawn", 4.0), (0.5, "drawn", 2.0), (1.0, "all", 1.0)
    ]  # fmt: skip
    assert set(curves["family"]) == {"d"}
    assert fullest(curves) == "d, all labels"


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"delay": 9}, ["d", "d, labels 9 rows late"]),
        ({"dataset": "e"}, ["d", "e"]),
        ({"horizon": 48}, ["d (L=96, H=24, S=24, K=1)", "d (L=96, H=48, S=24, K=1)"]),
        ({"block": 7}, ["d (L=96, H=24, S=24, K=1)", "d (L=96, H=24, S=24, K=7)"]),
        ({"warm_start": False}, ["d (L=96, H=24, S=24, K=1)", "d (L=96, H=24, S=24, K=1, cold start)"]),
        ({"label_seed": 3}, ["d, draw 0", "d, draw 3"]),
        ({"labels": "instant"}, ["d", "d, instant labels (leaky)"]),
    ],
)
def test_what_differs_in_more_than_the_share_makes_another_family(
    make_runs: MakeRuns, other: Row, names: list[str]
) -> None:
    rows = [regime(1.0), regime(2.0, label_rate=0.1), regime(3.0, **other), regime(4.0, label_rate=0.1, **other)]
    curves = label_curves(make_runs(*rows))
    shares = curves[curves["kind"] == "share"]
    assert sorted(shares["family"].unique()) == names
    found = [points(here) for _, here in shares.groupby("family")]
    assert found == [[(0.1, "drawn", 2.0), (1.0, "all", 1.0)], [(0.1, "drawn", 4.0), (1.0, "all", 3.0)]]


def test_a_family_that_lacks_a_share_stands_by_itself(make_runs: MakeRuns) -> None:
    rows = [regime(), regime(label_rate=0.1), regime(label_rate=0.5), regime(dataset="e"), regime(dataset="e", delay=3)]
    curves = label_curves(make_runs(*rows))
    assert curves.groupby(["kind", "family"])["x"].apply(list).to_dict() == {
        ("share", "d"): [0.1, 0.5, 1.0],
        ("delay", "e"): [0, 3],
    }


@pytest.mark.parametrize(
    "rows",
    [
        [regime()],
        [regime(), regime(dataset="e", label_rate=0.1)],
        [regime(label_every=10), regime(label_rate=0.1)],  # one share, in two ways
        [regime(), regime(horizon=48)],
        [regime(horizon=1), regime(horizon=1, labels="instant")],  # a single row is over with the next
    ],
)
def test_without_a_second_share_or_delay_there_is_no_curve(make_runs: MakeRuns, rows: list[Row]) -> None:
    curves = label_curves(make_runs(*rows))
    assert curves.empty
    assert "family" in curves


def test_runs_without_columns_of_labels_have_no_curve(make_runs: MakeRuns) -> None:
    assert label_curves(make_runs({"mse": 1.0}, {"mse": 2.0, "dataset": "e"})).empty
    assert points(label_curves(make_runs({"mse": 1.0}, {"mse": 2.0, "label_every": 4}))) == [
        (0.25, "every", 2.0), (1.0, "all", 1.0)
    ]  # fmt: skip


def test_delays_and_instant_labels(make_runs: MakeRuns) -> None:
    runs = make_runs(regime(2.0), regime(3.0, delay=50), regime(1.0, labels="instant"))
    curves = label_curves(runs)
    assert set(curves["kind"]) == {"delay"}
    assert points(curves) == [(-23, "instant", 1.0), (0, "matured", 2.0), (50, "matured", 3.0)]
    assert curves["leaky"].tolist() == [True, False, False]
    assert fullest(curves) == "d, all labels"


# Points


def test_the_interval_is_students_over_seeds(make_runs: MakeRuns) -> None:
    rows = [regime(value, seed=seed) for seed, value in enumerate((1.0, 3.0))]
    rows += [regime(value, seed=seed, label_rate=0.5) for seed, value in enumerate((2.0, 3.0, 4.0))]
    curves = label_curves(make_runs(*rows))
    full, part = at(curves, 1.0), at(curves, 0.5)
    assert (full["seeds"], part["seeds"]) == (2, 3)
    assert [full[key] for key in ("low", "mse", "high")] == pytest.approx([2 - 12.7062, 2, 2 + 12.7062], abs=1e-4)
    half = 4.302653 / np.sqrt(3)
    assert [part[key] for key in ("low", "mse", "high")] == pytest.approx([3 - half, 3, 3 + half], abs=1e-5)


def test_one_seed_has_no_interval(make_runs: MakeRuns) -> None:
    curves = label_curves(make_runs(regime(1.0), regime(2.0, label_rate=0.5)))
    assert curves["mse"].tolist() == [2.0, 1.0]
    assert curves[["low", "high"]].isna().all(axis=None)


def test_what_failed_or_diverged_is_no_number(make_runs: MakeRuns) -> None:
    runs = make_runs(
        regime(1.0),
        regime(label_rate=0.5, status="failed", mse=float("nan")),
        regime(float("inf"), label_rate=0.1),
        regime(2.0, label_rate=0.1, seed=1),
        regime(3.0, strategy="ogd"),
    )
    curves = label_curves(runs)
    rls = curves[curves["entry"] == "rls"]
    assert rls[["x", "seeds", "failed"]].to_numpy().tolist() == [[0.1, 2, 0], [0.5, 0, 1], [1.0, 1, 0]]
    assert np.isnan(at(rls, 0.5)["mse"])
    assert np.isinf(at(rls, 0.1)["mse"])
    assert np.isnan(at(rls, 0.1)["low"])
    assert points(curves, "ogd") == [(1.0, "all", 3.0)]


def test_flat_is_what_no_seed_contradicts(make_runs: MakeRuns) -> None:
    rows = []
    for rate in (1.0, 0.5):
        for seed in (0, 1):
            rows.append(regime(1.0 + seed, strategy="frozen", forecaster="titans", label_rate=rate, seed=seed))
            moved = 0.1 * (rate < 1 and seed == 1)
            rows.append(regime(1.0 + moved, strategy="titans-c", forecaster="titans", label_rate=rate, seed=seed))
            rows.append(regime(9.0 + rate, label_rate=rate, seed=seed))
    curves = label_curves(make_runs(*rows))
    assert curves.groupby("entry")["moves"].unique().map(list).to_dict() == {
        "frozen": [False],
        "titans-c": [True],
        "rls": [True],
    }
    assert curves["no_labels"].tolist() == pytest.approx([1.5] * len(curves))


def test_no_labels_is_frozen_on_the_same_forecaster(make_runs: MakeRuns) -> None:
    rows = []
    for rate in (1.0, 0.5):
        for forecaster, error in (("titans", 2.0), ("linear", 4.0)):
            rows.append(regime(error, strategy="frozen", forecaster=forecaster, label_rate=rate))
            rows.append(regime(error - rate, strategy="titans-c", forecaster=forecaster, label_rate=rate))
    curves = label_curves(make_runs(*rows))
    assert curves.groupby("entry")["no_labels"].first().to_dict() == {
        "frozen + linear": 4.0,
        "frozen + titans": 2.0,
        "titans-c + linear": 4.0,
        "titans-c + titans": 2.0,
    }


def test_frozen_that_moves_is_no_reference(make_runs: MakeRuns) -> None:
    rows = [regime(1.0 + rate, strategy="frozen", forecaster="titans", label_rate=rate) for rate in (1.0, 0.5)]
    assert label_curves(make_runs(*rows))["no_labels"].isna().all()


# Worth


def stream(level: float, seeds: int = 2, origins: int = 200) -> pd.DataFrame:
    """``(origins, seeds)`` errors around a level, with the noise of the origin and not of the entry."""
    noise = np.random.default_rng(0).standard_normal((origins, seeds))
    return pd.DataFrame(level + 0.05 * noise, index=pd.RangeIndex(origins, name="origin"))


def test_worth_is_error_with_fewest_less_error_with_most(make_runs: MakeRuns) -> None:
    levels = {1.0: 1.0, 0.5: 1.2, 0.1: 1.5}
    rows = [regime(level, label_rate=rate) for rate, level in levels.items()]
    rows += [regime(1.3, strategy="frozen", label_rate=rate) for rate in levels]
    curves = label_curves(make_runs(*rows))
    names = dict(zip(curves["label_rate"], curves["scenario"], strict=True))
    errors = {names[rate]: {"rls": stream(level), "frozen": stream(1.3)} for rate, level in levels.items()}
    (row,) = label_worth(curves, errors, stretch=10).to_dict("records")  # frozen takes none
    assert (row["entry"], row["less"], row["more"]) == ("rls", "d, 10 % of labels", "d, all labels")
    assert row["mse_change"] == pytest.approx(50, abs=1)
    assert row["skill"] == pytest.approx(-50, abs=2)
    assert (row["verdict"], row["stretches"], row["seeds"]) == ("worse", 20, 2)


def test_the_cost_of_delay_is_matured_less_instant(make_runs: MakeRuns) -> None:
    curves = label_curves(
        make_runs(regime(2.0), regime(3.0, delay=5), regime(4.0, delay=50), regime(1.0, labels="instant"))
    )
    levels = dict(zip(curves["scenario"], curves["mse"], strict=True))
    errors = {scenario: {"rls": stream(level)} for scenario, level in levels.items()}
    found = label_worth(curves, errors, stretch=10)
    assert found[["less", "more"]].to_numpy().tolist() == [
        ["d, all labels", "d, instant labels (leaky)"],
        ["d, labels 50 rows late", "d, all labels"],
    ]
    assert found["mse_change"].tolist() == pytest.approx([100, 100], abs=2)


def test_worth_goes_by_what_an_entry_has(make_runs: MakeRuns) -> None:
    runs = make_runs(
        regime(1.0),
        regime(1.4, label_rate=0.5),
        regime(float("inf"), label_rate=0.1),
        regime(3.0, strategy="ogd"),
        regime(3.0, strategy="ogd", label_rate=0.5, status="failed"),
    )
    curves = label_curves(runs)
    errors = {"d, all labels": {"rls": stream(1.0)}, "d, 50 % of labels": {"rls": stream(1.4)}}
    found = label_worth(curves, errors, stretch=10)
    assert found[["entry", "less"]].to_numpy().tolist() == [["rls", "d, 50 % of labels"]]
    assert label_worth(curves, {}, stretch=10).empty


def test_gains_are_against_frozen_on_the_same_forecaster(make_runs: MakeRuns) -> None:
    rows, errors = [], {}
    for rate, name in ((1.0, "d, all labels"), (0.5, "d, 50 % of labels")):
        errors[name] = {"rls": stream(1.0 + rate)}
        rows.append(regime(1.0 + rate, label_rate=rate))
        for forecaster, error in (("titans", 2.0), ("linear", 4.0)):
            rows.append(regime(error, strategy="frozen", forecaster=forecaster, label_rate=rate))
            rows.append(regime(error - rate, strategy="titans-c", forecaster=forecaster, label_rate=rate))
            errors[name] |= {f"frozen + {forecaster}": stream(error), f"titans-c + {forecaster}": stream(error - rate)}
    found = label_gains(label_curves(make_runs(*rows)), errors, stretch=10)
    full = found[found["x"] == 1].set_index("entry")
    assert full["against"].to_dict() == {
        "rls": "frozen + linear",
        "titans-c + linear": "frozen + linear",
        "titans-c + titans": "frozen + titans",
    }
    lower = {"rls": -50.0, "titans-c + linear": -25.0, "titans-c + titans": -50.0}
    assert full["mse_change"].to_dict() == pytest.approx(lower, abs=0.5)
    half = found[found["x"] == 0.5].set_index("entry")
    lower = {"rls": -62.5, "titans-c + linear": -12.5, "titans-c + titans": -25.0}
    assert half["mse_change"].to_dict() == pytest.approx(lower, abs=0.5)
    assert label_gains(label_curves(make_runs(regime(1.0), regime(2.0, label_rate=0.5))), errors, stretch=10).empty


# How many labels


@settings(max_examples=60, deadline=None)
@given(
    horizon=st.integers(1, 6),
    stride=st.integers(1, 5),
    block=st.integers(1, 7),
    every=st.integers(1, 4),
    rate=st.sampled_from([0.1, 0.5, 1.0]),
    delay=st.integers(0, 90),
    warm=st.booleans(),
    instant=st.booleans(),
)
def test_labels_are_counted_as_the_stream_releases_them(
    horizon: int, stride: int, block: int, every: int, rate: float, delay: int, warm: bool, instant: bool
) -> None:
    protocol = Protocol(
        lookback=2, horizon=horizon, stride=stride, block=block, label_every=every, label_rate=rate,
        delay=0 if instant else delay, labels="instant" if instant else "matured", warm_start=warm,
    )  # fmt: skip
    train, start, end = 20, 33, 90
    first = following = train if warm else start
    released = 0
    for begin, stop in [(train, start), (start, end)][0 if warm else 1 :]:
        for origins in blocks(protocol, begin, stop):
            released += len(matured_origins(following, int(origins[0]), protocol, first))
            following = max(following, int(origins[0]) - protocol.lag + 1)
    assert labels_released(protocol, (train, start, end)) == released
