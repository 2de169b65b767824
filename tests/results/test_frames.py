"""`bench.load_errors` and `bench.load_forecasts`: frames of many runs as one, with whose they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench import BenchError, load_errors, load_forecasts, load_results
from bench.results.archive import publish
from bench.results.store import FORECASTS, ORIGINS

from .test_maintenance import filled
from .test_store import FRAMES, record

EXAMPLE = Path(__file__).parents[2] / "reports" / "example" / "results"
KEYS = ["experiment", "run_id", "strategy", "forecaster", "dataset", "protocol", "seed"]


@pytest.mark.parametrize(("load", "file"), [(load_errors, ORIGINS), (load_forecasts, FORECASTS)])
def test_frames_of_all_runs_say_whose_they_are(tmp_path: Path, load: Callable[..., pd.DataFrame], file: str) -> None:
    store = filled(tmp_path, "a", "b")
    store.write(record("c", status="failed"), {})
    store.write_manifest({"c": "cell c"}, keep=True)
    found = load(tmp_path)
    assert found.columns.tolist() == [*KEYS, *FRAMES[file].columns]
    assert found["run_id"].unique().tolist() == ["a", "b"]
    assert found[KEYS].iloc[0].tolist() == ["e", "a", "rls", "none", "d", "day-ahead", 0]
    pd.testing.assert_frame_equal(
        found.loc[found["run_id"] == "b", FRAMES[file].columns].reset_index(drop=True), FRAMES[file]
    )
    assert load(tmp_path, runs=["b"])["run_id"].unique().tolist() == ["b"]


def test_errors_of_an_experiment_are_those_of_its_runs() -> None:
    runs = load_results(EXAMPLE)
    chosen = runs[(runs["strategy"] == "rls") & (runs["status"] == "ok")]
    errors = load_errors(EXAMPLE, chosen["run_id"])
    means = errors.groupby("run_id")["mse"].mean()
    assert means.to_numpy() == pytest.approx(chosen.set_index("run_id")["mse"][means.index].to_numpy())
    forecasts = load_forecasts(EXAMPLE, chosen["run_id"])
    assert forecasts["lead"].min() == 1
    assert forecasts["lead"].max() == chosen["horizon"].max()
    assert forecasts[["forecast", "truth"]].notna().all(axis=None)


def test_an_archive_has_errors_and_no_forecasts(tmp_path: Path) -> None:
    made = publish(filled(tmp_path, "a").folder, tmp_path / "public")
    assert load_errors(made.path)["mse"].tolist() == pytest.approx(FRAMES[ORIGINS]["mse"].tolist())
    with pytest.raises(BenchError, match=r"No forecasts in .*archive"):
        load_forecasts(made.path)


def test_what_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="No results in"):
        load_errors(tmp_path)
    store = filled(tmp_path, "a")
    with pytest.raises(BenchError, match="No run x in"):
        load_errors(tmp_path, ["a", "x"])
    (store.folder / "a" / ORIGINS).write_bytes(b"broken")
    with pytest.raises(BenchError, match=r"origins.parquet cannot be read .*bench results check"):
        load_errors(tmp_path)
