"""What the report says of drifts whose truth is known, from errors made by hand."""

# ruff: noqa: RUF001 - the minus sign is what reports print

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.synthetic import Drift
from bench.report import write_report
from bench.report.view.drift_measures import known_drifts, recoveries, regrets
from bench.report.view.drift_sets import DriftSet
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.results.record import EventRecord, TruthRecord
from bench.results.store import ORIGINS, Store

START, ORIGIN_COUNT, STRIDE = 1200, 120, 24
END = START + (ORIGIN_COUNT - 1) * STRIDE + 24
ONSET, BACK = START + 40 * STRIDE, START + 80 * STRIDE
LATE = 10
"""Origins that rls takes to recover."""
JUMP = Drift(kind="mean", onset=ONSET)
RAMP = Drift(kind="trend", onset=ONSET + 240, transition="linear", width=480, magnitude=2.0)
ABA = Drift(kind="frequency", onset=ONSET, transition="recurring", width=BACK - ONSET, rest=10_000)

Given = dict[str, Any]


def noise(seed: int) -> Any:
    return np.exp(0.3 * np.random.default_rng(seed).standard_normal(ORIGIN_COUNT))


def factor(strategy: str, drift: Drift | None) -> Any:
    """What a strategy's error is times the noise, at each origin."""
    rows = START + STRIDE * np.arange(ORIGIN_COUNT)
    level = np.full(ORIGIN_COUNT, {"frozen": 1.0, "rls": 1.05, "persistence": 4.0}[strategy])
    if drift is None or strategy == "persistence":
        return level
    changes = [(ONSET, BACK), (BACK, END)] if drift == ABA else [(drift.start, END)]
    for i, (row, end) in enumerate(changes):
        new_law = (rows >= row) & (rows < end)
        late = new_law & (rows < drift.end + LATE * STRIDE) if i == 0 else new_law & (rows < row + 3 * STRIDE)
        harmed = late if strategy == "rls" else new_law & (i == 0)
        level = np.where(harmed, 3.0, level)
    return level


def write_set(store: Store, fakes: Any, name: str, given: Given, drift: Drift | None, seed: int, own: str) -> None:
    still = f"still {seed}"
    scenario = fakes.Scenario(name=name, targets=("x1", "x2"), events=(), origins=ORIGIN_COUNT, dates=False)
    events = [(row, f"{drift.kind}{'' if new else ' as before'}") for row, new in drift.switches(END)] if drift else []
    dataset = scenario.record().model_copy(
        update={
            "given": given,
            "fingerprint": own if drift else still,
            "truth": TruthRecord(drifts=[drift] if drift else [], twin=still),
            "events": [EventRecord(row=row, time=str(row), name=event, kind="abrupt") for row, event in events],
        }
    )
    for strategy in fakes.strategies:
        if strategy.name not in ("frozen", "rls", "persistence"):
            continue
        for run_seed in range(2):
            mse = noise(seed) * factor(strategy.name, drift) * (1 + 0.001 * run_seed)
            rows = START + STRIDE * np.arange(ORIGIN_COUNT)
            frame = pd.DataFrame({"origin": rows, "time": rows, "mse": mse, "mae": mse})
            frame = frame.assign(mse_original=mse, mae_original=mse)
            run_id = (
                f"{name}-{strategy.name}-{run_seed}-{len(given)}-{given.get('seed', 0)}-{given.get('magnitude', '')}"
            )
            record = fakes.record(strategy, scenario, run_seed, dataset=dataset, run_id=run_id.replace(" ", "-"))
            errors = fakes.errors(strategy, scenario, frame)
            store.write_manifest({record.run_id: record.run_id}, keep=True)
            store.write(record.model_copy(update={"errors": errors}), {ORIGINS: frame})
            fakes.write_verdict(store, record)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Path:
    store = Store(tmp_path_factory.mktemp("drift") / "default")
    for seed in range(3):
        given = {"seed": seed} if seed else {}
        write_set(store, fakes, "no-drift", given, None, seed, "")
        write_set(store, fakes, "jump", given, JUMP, seed, f"jump {seed}")
    write_set(store, fakes, "jump", {"twin": True}, None, 0, "")
    write_set(store, fakes, "aba", {}, ABA, 0, "aba")
    write_set(store, fakes, "ramp", {"magnitude": "large"}, RAMP, 0, "ramp")
    return store.folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return read_results(folder)


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(folder, tmp_path_factory.mktemp("reports") / "default")


@pytest.fixture(scope="module")
def page(written: Path) -> str:
    return written.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sets(results: Results) -> dict[str, DriftSet]:
    return {drift_set.name: drift_set for drift_set in known_drifts(results).sets}


def rows_of(text: str, heading: str) -> dict[str, list[str]]:
    """Cells of the first table under a heading, by first cell."""
    lines = re.search(r"(?:^\|.*\n?)+", text.partition(f"{heading}\n")[2], flags=re.MULTILINE)
    assert lines is not None
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[0].strip().split("\n")]
    return {row[0]: row[1:] for row in cells}


def test_seeds_are_one_set_and_twins_are_none(sets: dict[str, DriftSet]) -> None:
    assert next(iter(sets)) == "no-drift"
    assert set(sets) == {"no-drift", "jump", "aba", "ramp"}
    jump = sets["jump"]
    assert len(jump.scenarios) == 3
    assert jump.errors["rls"].shape == (ORIGIN_COUNT, 6)  # 3 series, 2 seeds of the runs
    assert jump.twins["rls"].shape == (ORIGIN_COUNT, 6)
    assert (jump.start, jump.kind, jump.size, jump.window) == (ONSET, "mean", "medium", 7)
    assert sets["aba"].regimes == [(ONSET, BACK, "frequency"), (BACK, END, "frequency as before")]
    assert sets["ramp"].size == "large"
    assert sets["no-drift"].regimes == []


def test_recovery_is_measured_row_by_row_and_noise_is_no_excess(sets: dict[str, DriftSet]) -> None:
    found = recoveries(sets["jump"]).groupby("entry")
    assert set(found.get_group("rls")["recovery"]) == {LATE * STRIDE}
    assert set(found.get_group("frozen")["recovery"]) == {np.inf}
    assert set(found.get_group("persistence")["recovery"]) == {np.inf}
    assert (found["area"].mean()["frozen"] > found["area"].mean()["rls"]).all()


def test_a_gradual_change_is_recovered_from_when_it_is_over(sets: dict[str, DriftSet]) -> None:
    ramp = sets["ramp"]
    assert (ramp.start, ramp.over(ramp.start)) == (RAMP.start, RAMP.end)
    found = recoveries(ramp)
    assert set(found.loc[found["entry"] == "rls", "recovery"]) == {LATE * STRIDE}
    assert set(found["rows"]) == {END - RAMP.end}


def test_what_can_be_had_is_of_the_same_forecaster_unless_one_has_it_for_itself() -> None:
    origins = np.arange(40)
    after = origins >= 20
    levels = {
        "frozen": np.where(after, 5.0, 2.0),
        "tuned": np.where(after, 2.0, 2.0),
        "rls": np.where(after, 1.0, 1.0),
        "leaky": np.full(40, 0.1),
    }
    made = DriftSet(
        name="hand",
        scenarios=("hand",),
        drifts=(Drift(kind="mean", onset=20),),
        switches=((20, "mean"),),
        end=40,
        stride=1,
        window=2,
        overlap=1,
        stretch=1,
        errors={entry: pd.DataFrame({"hand, seed 0": level}, index=origins) for entry, level in levels.items()},
        twins={},
        bases={"frozen": "titans", "tuned": "titans", "rls": "none", "leaky": "none"},
        ranked=("rls", "tuned", "frozen"),
    )
    references = {entry: made.reference(20, 40, entry, "hand, seed 0") for entry in levels}
    assert all(reference is not None and len(reference) == 20 for reference in references.values())
    assert {entry: float(np.mean(r)) for entry, r in references.items() if r is not None} == {
        "frozen": 2.0,
        "tuned": 2.0,
        "rls": 1.0,
        "leaky": 1.0,
    }
    assert made.reference(20, 40, "rls", "another seed") is None


def test_regret_knows_who_is_best_in_each_regime(sets: dict[str, DriftSet]) -> None:
    found = regrets(sets["aba"]).set_index("entry")
    assert found["regret_fixed"].min() == 0
    assert (found["regret_regimes"] > found["regret_fixed"]).all()  # frozen is best in A, rls in B


def test_the_answer(page: str) -> None:
    assert "**Where nothing drifts** (no-drift), MSE against frozen, %: rls +5.0 [+5.0, +5.0]." in page
    assert (
        f"- **jump** (mean, medium), rows to recover, of {END - ONSET:,}: **rls** 240 [240, 240], frozen ∞ [∞, ∞]."
        in page
    )
    assert "**Of 4 changes**, against frozen: rls faster after 3, slower after 1" in page


def test_one_row_for_each_strategy_and_one_column_for_each_set(page: str) -> None:
    worth = rows_of(page, "### What adapting is worth: medium drifts")
    assert worth["Strategy"] == ["no-drift ↓", "jump ↓", "aba ↓"]
    assert worth["rls"][0] == "**+5.0<br>[+5.0, +5.0]**"
    assert worth["rls"][1].startswith("**−60.")
    assert "frozen" not in worth
    large = rows_of(page, "### What adapting is worth: large drifts")
    assert large["Strategy"] == ["no-drift ↓", "ramp ↓"]
    recovery = rows_of(page, "### Recovery: medium drifts")
    assert recovery["Strategy"] == ["jump ↓", "aba: frequency ↓", "aba: frequency as before ↓"]
    assert recovery["rls"] == ["**240<br>[240, 240]**", "**240<br>[240, 240]**", "72<br>[72, 72]"]
    assert recovery["frozen"] == ["∞<br>[∞, ∞]", "∞<br>[∞, ∞]", "**0<br>[0, 0]**"]


def test_what_the_drift_costs_beside_the_twin(page: str) -> None:
    cost = rows_of(page, "### What the drift costs: medium drifts")
    assert cost["Strategy"] == ["jump ↓", "aba ↓"]
    assert cost["frozen"][0] == "**+200.0<br>[+200.0, +200.0]**"
    assert cost["persistence"][0] == "0.0<br>[0.0, 0.0]"


def test_back_to_the_first_law(page: str) -> None:
    text = page.partition("### Back to the first law\n")[2]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| aba")]
    back = {row[1]: row[2:] for row in lines}
    assert back["rls"][1] == "72 [72, 72]"
    assert back["frozen"][1] == "0 [0, 0]"


def test_tables_are_there_and_the_usual_table_of_drifts_is_not(written: Path) -> None:
    report = written.parent
    tables = {path.stem for path in (report / "tables").iterdir()}
    assert {"drift_worth", "drift_cost", "drift_recovery", "drift_return", "drift_regret"} <= tables
    assert "drifts" not in tables
    assert not list((report / "figures").glob("forecasts-*"))
    jump = next(report.glob("datasets/jump*.md"))
    assert "(../figures/when-jump" in jump.read_text(encoding="utf-8")


def test_one_series_of_a_drift_is_one_observation(page: str) -> None:
    assert "**One drift is one observation**: what is said of aba and ramp, with one series each" in page


def test_without_made_series_there_is_no_such_section(readme: Path) -> None:
    assert "Known drifts" not in readme.read_text(encoding="utf-8")
    assert not list((readme.parent / "tables").glob("drift_*"))
