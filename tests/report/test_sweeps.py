"""The section on sweeps: what was tried, what was chosen, drawn and written; and only where there was a sweep."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from bench.analysis.sweeps import best_by_option, grid_table, spread_options
from bench.report import write_report
from bench.report.figures.canvas import drawing_style
from bench.report.figures.sweep import draw_heat, draw_options
from bench.results.store import CHOSEN, SWEEP, Store
from bench.results.trials import SERVED, Trial

from ..conftest import pictures

RATES: dict[str, list[Any]] = {"online_lr": [1e-5, 1e-4, 1e-3]}
TWO: dict[str, list[Any]] = {"memory_max_lr": [None, 0.1, 1.0], "carry": ["exact", "window"]}
THREE: dict[str, list[Any]] = {**TWO, "titans.dim": [16, 32]}


def write_sweep(
    folder: Path, fakes: Any, grids: dict[str, dict[str, list[Any]]], seeds: int = 2, fail: Sequence[str] = ()
) -> Store:
    """A sweep in which later values are worse; points whose text holds one of ``fail`` failed."""
    store, cells = Store(folder / SWEEP), {}
    for strategy, grid in grids.items():
        for i, values in enumerate(itertools.product(*grid.values())):
            point = dict(zip(grid, values, strict=True))
            for seed in range(seeds):
                fake = fakes.Strategy(strategy, 0.2, options={"point": json.dumps(point)}, uses_forecaster=True)
                bad = any(word in json.dumps(point) for word in fail)
                outcome = (
                    {"status": "failed", "reason": "no luck | today"}
                    if bad
                    else {"val_mse": 0.1 * i + 0.2 + 0.01 * seed}
                )
                record = fakes.record(fake, fakes.Scenario(), seed, rows="validation", **outcome)
                trial = Trial(strategy=strategy, forecaster="titans", dataset="d", protocol="p", seed=seed, point=point)
                store.write(record, {})
                cells[record.run_id] = trial.model_dump_json()
    store.write_manifest(cells, keep=False)
    (store.folder / CHOSEN).mkdir()
    (store.folder / CHOSEN / "d.toml").write_text('strategies = ["titans-c"]\n')
    return store


def section(text: str) -> str:
    found = re.search(r"^## Sweeps\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_a_report_without_a_sweep_says_nothing_of_it(readme: Path) -> None:
    assert section(readme.read_text(encoding="utf-8")) == ""
    assert not list((readme.parent / "tables").glob("sweep*"))


def test_the_section(tmp_path: Path, fakes: Any) -> None:
    fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:4], seeds=2)
    write_sweep(tmp_path / "r", fakes, {"titans-c": RATES, "titans-b": TWO, "titans-a": THREE}, fail=["window"])
    with pictures():
        path = write_report(tmp_path / "r", tmp_path / "report")
    text = path.read_text(encoding="utf-8")
    found = section(text)
    assert "no row of it" in found
    assert re.findall(r"^### (.*)$", found, re.MULTILINE) == [f"Sweep of titans-{x} on d" for x in "cba"]
    images = re.findall(r"\((figures/sweep-[^)]*)\)", found)
    assert len(images) == 3
    assert all((path.parent / image).is_file() for image in images)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found.splitlines() if line.startswith("|")]
    assert rows[0] == ["online_lr", "val MSE ↓", "seeds", ""]
    assert rows[2] == ["1e-05", "**0.2050 ± 0.0071**", "2", "chosen"]
    assert rows[3][1:] == ["0.3050 ± 0.0071", "2", ""]
    assert rows[5] == ["memory_max_lr", "carry", "val MSE ↓", "seeds", "", "failed"]
    assert rows[7][:2] == ["none", "exact"]
    assert "| 2: no luck \\| today |" in re.sub(r" +", " ", found)
    assert '```toml\nstrategies = ["titans-c"]\n```' in found
    table = pd.read_csv(path.parent / "tables" / "sweep.csv")
    assert len(table) == 3 + 6 + 12
    assert table["chosen"].sum() == 3
    assert len(pd.read_csv(path.parent / "tables" / "sweep_runs.csv")) == 2 * 21
    # the leaderboards are about the stream alone
    board = pd.read_csv(path.parent / "tables" / "leaderboard.csv")
    assert set(board["strategy"]) == {strategy.name for strategy in fakes.strategies[:4]}
    assert write_report(tmp_path / "r", tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_sweep_of_which_nothing_was_served(tmp_path: Path, fakes: Any) -> None:
    write_sweep(tmp_path / "r", fakes, {"titans-c": RATES}, fail=["e-"])
    text = write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8")
    assert text.startswith("# Benchmark report: r\n")
    assert "The stream has not been served" in text
    assert "chosen |" in section(text)


def test_nothing_chosen_is_said(tmp_path: Path, fakes: Any) -> None:
    write_sweep(tmp_path / "r", fakes, {"titans-c": RATES}, fail=["online"])
    text = write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8")
    assert "**Nothing was chosen: of every point some run failed.**" in section(text)
    assert "figures/sweep" not in text


def test_many_points_are_cut_to_the_best(tmp_path: Path, fakes: Any) -> None:
    write_sweep(tmp_path / "r", fakes, {"titans-c": {"online_lr": [i / 100 for i in range(1, 41)]}}, seeds=1)
    found = section(write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8"))
    assert "The 30 of 40 points with the lowest error, those that failed last." in found
    assert found.count("\n|") == 32


def test_what_was_chosen_is_one_entry(tmp_path: Path, fakes: Any) -> None:
    scenarios = [fakes.Scenario(), fakes.Scenario("etth2")]
    store = fakes.write_results(tmp_path / "r", scenarios, fakes.strategies[:2], 1)
    served = {}
    for scenario, rate in zip(scenarios, (1e-5, 1e-3), strict=True):
        record = fakes.write_run(store, fakes.Strategy("titans-c", 0.2, options={"online_lr": rate}), scenario, 0)
        group = ["titans-c", "none", scenario.name, "p"]
        served[record.run_id] = {"group": group, "strategy_options": {}, "forecaster_options": {}}
    write_sweep(tmp_path / "r", fakes, {"titans-c": RATES})
    (tmp_path / "r" / SWEEP / SERVED).write_text(json.dumps(served))
    path = write_report(tmp_path / "r", tmp_path / "report")
    overall = pd.read_csv(path.parent / "tables" / "overall.csv").set_index("entry")
    assert overall.index.tolist() == ["titans-c (options=chosen)", "seasonal-naive", "persistence"]
    assert overall["mean_rank"].notna().all()


def trials(grid: dict[str, list[Any]], errors: Sequence[float], seeds: int = 2) -> pd.DataFrame:
    rows = []
    for values, error in zip(itertools.product(*grid.values()), itertools.cycle(errors), strict=False):
        for seed in range(seeds):
            row = {"strategy": "s", "forecaster": "f", "dataset": "d", "protocol": "p", "seed": seed}
            rows.append(
                row | {"point": json.dumps(dict(zip(grid, values, strict=True))), "val_mse": error + 0.1 * seed}
            )
    return grid_table(pd.DataFrame(rows).assign(status="ok", reason=""))


def line(grid: dict[str, list[Any]], errors: Sequence[float]) -> Figure:
    table = trials(grid, errors)
    options = spread_options(table[table["chosen"]])
    chosen: dict[str, Any] = {str(option): options[option].iloc[0] for option in options}
    with drawing_style():
        return draw_options(best_by_option(table), chosen, "#0072b2").figure


def test_rates_over_decades_are_on_a_logarithmic_axis() -> None:
    (axes,) = line({"lr": [1e-5, 1e-4, 1e-3]}, [3.0, 1.0, 2.0]).axes
    assert axes.get_xscale() == "log"
    assert axes.get_yscale() == "linear"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1e-05", "0.0001", "0.001"]
    (ring,) = [found for found in axes.get_lines() if found.get_label() == "chosen"]
    assert ring.get_xydata().tolist() == [[1e-4, 1.05]]  # type: ignore[union-attr]
    assert axes.get_xlabel() == "lr"


def test_near_numbers_and_words_are_not() -> None:
    assert line({"dim": [16, 32]}, [3.0, 1.0]).axes[0].get_xscale() == "linear"
    (axes,) = line({"lr": [None, 0.1, 1e-5]}, [3.0, 100.0, 2.0]).axes
    assert axes.get_xscale() == "linear"
    assert axes.get_yscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "0.1", "1e-05"]


def test_three_options_have_a_panel_each() -> None:
    figure = line(THREE, [3.0, 1.0, 2.0, 4.0, 5.0])
    assert [axes.get_xlabel() for axes in figure.axes] == list(THREE)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_the_heat_map() -> None:
    table = trials(TWO, [3.0, 1.0, 2.0, float("nan"), 5.0, 6.0])
    with drawing_style():
        drawing = draw_heat(table, spread_options(table))
    (axes,) = drawing.figure.axes
    assert [text.get_text() for text in axes.texts] == ["3.050", "1.050", "2.050", "failed", "5.050", "6.050"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "0.1", "1.0"]
    (frame,) = axes.patches
    assert frame.get_xy() == (0.5, -0.5)  # type: ignore[attr-defined]


def test_a_point_of_which_a_seed_failed_has_no_colour() -> None:
    table = trials(TWO, [3.0, 1.0, 2.0, 4.0, 5.0, 6.0])
    table.loc[0, ["val_mse", "failed"]] = [0.001, 1]  # the seed that survived would flatter it
    with drawing_style():
        (axes,) = draw_heat(table, spread_options(table)).figure.axes
    assert [text.get_text() for text in axes.texts][:2] == ["failed", "1.050"]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=6, unique=True),
    st.lists(st.sampled_from(["exact", "window", None, 3, True]), min_size=1, max_size=4, unique_by=str),
    st.lists(st.floats(0, 1e12), min_size=1, max_size=9),
)
def test_any_grid_can_be_drawn(rates: list[float], others: list[Any], errors: list[float]) -> None:
    line({"lr": [*rates, -1.0]}, errors).draw_without_rendering()
    line({"lr": rates, "other": [*others, "more"]}, errors).draw_without_rendering()
    table = trials({"lr": rates, "other": others}, errors)
    with drawing_style():
        draw_heat(table, spread_options(table)).figure.draw_without_rendering()


def test_the_figures_of_one_seed_have_no_bars(tmp_path: Path, fakes: Any) -> None:
    write_sweep(tmp_path / "r", fakes, {"titans-c": RATES}, seeds=1)
    found = section(write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8"))
    assert "±" not in found.replace("mean ± standard deviation", "")
