"""Results at the edge: errors of 0, equal ones, without bound, few of all. No reader meets nan, inf or an absurdity.

Each case is a whole experiment that is written, reported on and pooled; `ODD` finds what must not be printed anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.synthetic import Drift
from bench.report import PAGE, write_report
from bench.report.html.board import board_payload
from bench.report.pooled.loading import read_pooled
from bench.report.pooled.text import pooled_leaderboard
from bench.report.render.markdown import render
from bench.report.render.numbers import fixed, places
from bench.report.sections.verdict_cells import p_text
from bench.report.view.comparisons import skill_table
from bench.report.view.loading import read_results
from bench.results.record import EventRecord, TruthRecord
from bench.results.store import ORIGINS, Store

from .test_page import payload_of

ODD = re.compile(r"(?<![A-Za-z0-9_.-])[-+\u2212]?(nan|inf|infinity)(?![A-Za-z0-9_-])", re.IGNORECASE)
HUGE = re.compile(r"\d(\.\d+)?e\+?(\d\d)(?!\d)\s*%|[\d,]{9,}(\.\d+)?\s*%")  # percent of what is next to nothing
PLAIN = {"persistence": 0.4, "rls": 0.2, "frozen": 0.25, "titans-a": 0.24}
DRIFT = Drift(kind="mean", onset=1200 + 20 * 24)

pytestmark = pytest.mark.slow

Errors = Mapping[str, float]
"""MSE of each strategy; 0 is exact, infinite diverged, NaN failed."""


def write(
    store: Store, fakes: Any, errors: Errors, scenario: Any, seeds: int = 1, unit: float = 1.0, **dataset: Any
) -> None:
    """Runs whose errors are these, times noise where there are several origins."""
    for name, error in errors.items():
        strategy = fakes.Strategy(name, error, uses_forecaster=name in ("frozen", "titans-a"), noise=0.0)
        for seed in range(seeds):
            if np.isnan(error):
                fakes.write_failure(store, strategy, scenario, seed)
                continue
            rows = scenario.borders[1] + scenario.stride * np.arange(scenario.origins)
            noise = np.exp(0.3 * np.random.default_rng(seed).standard_normal(len(rows)))
            mse = error * (noise if np.isfinite(error) else np.ones(len(rows)))
            frame = pd.DataFrame({"origin": rows, "time": rows, "mse": mse, "mae": np.sqrt(mse)})
            frame = frame.assign(mse_original=unit**2 * mse, mae_original=unit * np.sqrt(mse))
            record = fakes.record(strategy, scenario, seed)
            summary = fakes.errors(strategy, scenario, frame)
            means = {"mse_original": unit**2 * summary.mse, "mae_original": unit * summary.mae}
            means["rmse_original"] = unit * summary.rmse
            record = record.model_copy(
                update={
                    "errors": summary.model_copy(update=means),
                    "dataset": record.dataset.model_copy(update=dataset),
                    "run_id": f"{record.run_id}-{dataset.get('fingerprint', '')}",
                }
            )
            store.write(record, {ORIGINS: frame})
            fakes.write_verdict(store, record)


def on_one(errors: Errors, seeds: int = 1, **shape: Any) -> Callable[[Store, Any], None]:
    unit = shape.pop("unit", 1.0)

    def make(store: Store, fakes: Any) -> None:
        shape.setdefault("targets", ("y",))
        write(store, fakes, errors, fakes.Scenario(events=(), dates=False, **shape), seeds, unit)

    return make


def on_each(*errors: Errors, seeds: int = 1, **shape: Any) -> Callable[[Store, Any], None]:
    def make(store: Store, fakes: Any) -> None:
        for i, some in enumerate(errors):
            scenario = fakes.Scenario(f"set-{i}", ("y", "z"), events=(), dates=False, **shape)
            write(store, fakes, some, scenario, seeds)

    return make


def around_events(errors: Errors) -> Callable[[Store, Any], None]:
    def make(store: Store, fakes: Any) -> None:
        write(store, fakes, errors, fakes.Scenario(dates=False), seeds=2)

    return make


def with_truth(errors: Errors, on_twin: Errors) -> Callable[[Store, Any], None]:
    def make(store: Store, fakes: Any) -> None:
        for name, some, drifts in (("jump", errors, [DRIFT]), ("still", on_twin, [])):
            scenario = fakes.Scenario(name, ("y",), events=(), origins=80, dates=False)
            events = [EventRecord(row=DRIFT.start, time="0", name="mean", kind="abrupt")] if drifts else []
            truth = TruthRecord(drifts=drifts, twin="still")
            write(store, fakes, some, scenario, 2, fingerprint=name, truth=truth, events=events)

    return make


def under_regimes(errors: Errors) -> Callable[[Store, Any], None]:
    def make(store: Store, fakes: Any) -> None:
        for regime in ({}, {"label_every": 10}, {"label_rate": 0.1}, {"delay": 48}, {"labels": "instant"}):
            scenario = fakes.Scenario(targets=("y",), events=(), dates=False, regime=regime)
            write(store, fakes, errors, scenario, 2)

    return make


NONE = dict.fromkeys(PLAIN, 0.0)
CASES: dict[str, Callable[[Store, Any], None]] = {
    "persistence exact": on_one(PLAIN | {"persistence": 0.0}),
    "frozen exact": on_one(PLAIN | {"frozen": 0.0}, seeds=3),
    "best exact": on_one(PLAIN | {"rls": 0.0}),
    "both references exact": on_one(PLAIN | {"persistence": 0.0, "frozen": 0.0}, seeds=2),
    "all exact": on_one(NONE, seeds=2),
    "all equal": on_one(dict.fromkeys(PLAIN, 0.3), seeds=2),
    "a single strategy": on_one({"rls": 0.2}),
    "one origin": on_one(PLAIN, origins=1),
    "one origin, exact": on_one(NONE, origins=1),
    "two origins": on_one(PLAIN, seeds=2, origins=2),
    "all failed": on_one(dict.fromkeys(PLAIN, float("nan"))),
    "all but one failed": on_one(dict.fromkeys(PLAIN, float("nan")) | {"rls": 0.2}),
    "all diverged": on_one(dict.fromkeys(PLAIN, float("inf")), seeds=2),
    "best is exact, others diverged": on_one(dict.fromkeys(PLAIN, float("inf")) | {"rls": 0.0}),
    "persistence diverged": on_one(PLAIN | {"persistence": float("inf")}),
    "frozen diverged": on_one(PLAIN | {"frozen": float("inf")}),
    "tiny unit": on_one(PLAIN, unit=1e-14),
    "huge unit": on_one(PLAIN, unit=1e13),
    "tiny errors": on_one({name: 1e-13 * error for name, error in PLAIN.items()}),
    "two strategies on two sets": on_each({"persistence": 0.4, "rls": 0.3}, {"persistence": 0.4, "rls": 0.5}),
    "two equal strategies on five sets": on_each(*[{"persistence": 0.4, "rls": 0.4}] * 5, origins=20),
    "one of two sets flat": on_each(PLAIN, PLAIN | {"persistence": 0.0}, seeds=2),
    "five sets, one flat": on_each(*[PLAIN] * 4, NONE, origins=20),
    "five sets, one diverged": on_each(*[PLAIN] * 4, dict.fromkeys(PLAIN, float("inf")), origins=20),
    "13 sets": on_each(*[PLAIN | {"frozen": 0.0}] * 7, *[PLAIN | {"persistence": 0.0}] * 6, origins=5),
    "13 exact sets": on_each(*[NONE] * 13, origins=5),
    "events, persistence exact": around_events(PLAIN | {"persistence": 0.0}),
    "events, all exact": around_events(NONE),
    "known drift, all exact": with_truth(NONE, NONE),
    "known drift, frozen exact": with_truth(PLAIN | {"frozen": 0.0}, PLAIN | {"frozen": 0.0}),
    "known drift, exact on the twin": with_truth(PLAIN, NONE),
    "known drift, diverged": with_truth(PLAIN | {"frozen": float("inf")}, PLAIN),
    "labels, all exact": under_regimes(NONE),
    "labels, frozen exact": under_regimes(PLAIN | {"frozen": 0.0}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_nothing_odd_is_printed(case: str, tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    CASES[case](store, fakes)
    write_report(store.folder, tmp_path / "report", page=True)
    files = [path for path in (tmp_path / "report").rglob("*") if path.suffix in (".md", ".tex", ".svg")]
    told = {path.name: path.read_text(encoding="utf-8") for path in files}
    told["leaderboard"] = render(pooled_leaderboard(read_pooled([str(store.folder)])))
    page = payload_of((tmp_path / "report" / PAGE).read_text(encoding="utf-8"))
    told["page"] = "\n".join(text for column in page["board"]["columns"] for text in column["texts"])
    for name, text in told.items():
        for pattern in (ODD, HUGE):
            found = pattern.search(text)
            assert found is None, f"{name}: ...{text[max(0, found.start() - 120) : found.end() + 40]}..."


def test_skill_against_a_reference_without_error_is_undefined(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    on_each(PLAIN, PLAIN | {"persistence": 0.0}, seeds=2)(store, fakes)
    readme = write_report(store.folder, tmp_path / "report").read_text(encoding="utf-8")
    assert "Without error (but for float32's rounding): persistence on set-1." in readme
    assert "Over all of them the share below persistence is undefined: somewhere it has no error." in readme
    assert "**persistence** has no error: nothing is better than repeating the last value." in readme
    for heading in ("## Leaderboard", "### set-1"):
        lines = [line for line in readme.partition(f"{heading}\n")[2].split("\n") if line.startswith("| rls")]
        assert "undefined" in lines[0], heading
    flat = (tmp_path / "report" / "tables" / "latex" / "set-1.tex").read_text(encoding="utf-8")
    assert "rls & " in flat
    assert "undefined" in flat
    assert "undefined" in render(pooled_leaderboard(read_pooled([str(store.folder)])))
    results = read_results(store.folder)
    columns = {column["key"]: column["texts"] for column in board_payload(results)["columns"]}
    assert columns["skill_persistence"].count("undefined") == 3
    skill_intervals = skill_table(results)[skill_table(results)["scenario"] == "set-1"].set_index(
        ["entry", "reference"]
    )
    assert skill_intervals.loc[("rls", "persistence"), "verdict"] == "undefined"
    assert skill_intervals.loc[("rls", "frozen"), "verdict"] == "better"
    assert skill_intervals.loc[("persistence", "frozen"), "skill"] == 100
    board = pd.read_csv(tmp_path / "report" / "tables" / "leaderboard.csv").set_index(["scenario", "entry"])
    assert board["undefined_persistence"].to_dict() == {key: key[0] == "set-1" for key in board.index}
    skills = board["skill_persistence"].unstack("scenario")
    assert skills["set-1"].isna().all()
    assert skills["set-0"].notna().all()


def test_what_cannot_be_tested_has_no_p_value(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    CASES["two strategies on two sets"](store, fakes)
    readme = write_report(store.folder, tmp_path / "report").read_text(encoding="utf-8")
    assert "## Ranks" not in readme
    assert p_text(float("nan")) == "not tested"


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ([3e-15, 1e-15], ["3e-15", "1e-15"]),
        ([1.5e-4, 2e-5], ["0.000150", "0.000020"]),
        ([0.5, 0.25], ["0.5000", "0.2500"]),
        ([2e9, -1e8], ["2e+09", "\u22121e+08"]),
        ([float("inf"), float("-inf")], ["\u221e", "\u2212\u221e"]),
    ],
)
def test_numbers_of_any_size_show_digits_that_count(values: list[float], printed: list[str]) -> None:
    assert [fixed(value, places(values)) for value in values] == printed
