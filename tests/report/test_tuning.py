"""The section on tuning: what was tried, what was chosen, drawn and written; and only where anything was."""

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

from bench.analysis.tuning import best_by_option, grid_table, spread_options
from bench.report import write_report
from bench.report.figures.canvas import drawing_style
from bench.report.figures.tuning import draw_heat, draw_options
from bench.report.sections.tuning import draw_trials
from bench.results.store import CHOSEN, TRIALS, Store
from bench.results.trials import SERVED, Trial

from ..conftest import pictures

RATES: dict[str, list[Any]] = {"online_lr": [1e-5, 1e-4, 1e-3]}
TWO: dict[str, list[Any]] = {"memory_max_lr": [None, 0.1, 1.0], "carry": ["exact", "window"]}
THREE: dict[str, list[Any]] = {**TWO, "titans.dim": [16, 32]}


def write_trials(
    folder: Path, fakes: Any, grids: dict[str, dict[str, list[Any]]], seeds: int = 2, fail: Sequence[str] = ()
) -> Store:
    """Trials of which later values are worse; points whose text holds one of ``fail`` failed."""
    store, cells = Store(folder / TRIALS), {}
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
    found = re.search(r"^## Tuning\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_a_report_without_trials_says_nothing_of_it(readme: Path) -> None:
    assert section(readme.read_text(encoding="utf-8")) == ""
    assert not list((readme.parent / "tables").glob("tuning*"))


def test_the_section(tmp_path: Path, fakes: Any) -> None:
    fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:4], seeds=2)
    write_trials(tmp_path / "r", fakes, {"titans-c": RATES, "titans-b": TWO, "titans-a": THREE}, fail=["window"])
    with pictures():
        path = write_report(tmp_path / "r", tmp_path / "report")
    text = path.read_text(encoding="utf-8")
    found = section(text)
    assert "no row of it" in found
    assert re.findall(r"Trials of (.*)</summary>", found) == [f"titans-{x} on d" for x in "cba"]
    assert (
        "3 trials each for titans-c; 6 trials each for titans-b; 12 trials each for titans-a (**the budgets d" in found
    )
    images = re.findall(r"\((figures/tuning-[^)]*)\)", found)
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
    table = pd.read_csv(path.parent / "tables" / "tuning.csv")
    assert len(table) == 3 + 6 + 12
    assert table["chosen"].sum() == 3
    assert len(pd.read_csv(path.parent / "tables" / "tuning_runs.csv")) == 2 * 21
    # the leaderboards are about the stream alone
    board = pd.read_csv(path.parent / "tables" / "leaderboard.csv")
    assert set(board["strategy"]) == {strategy.name for strategy in fakes.strategies[:4]}
    assert write_report(tmp_path / "r", tmp_path / "again").read_bytes() == path.read_bytes()


def test_trials_of_which_nothing_was_served(tmp_path: Path, fakes: Any) -> None:
    write_trials(tmp_path / "r", fakes, {"titans-c": RATES}, fail=["e-"])
    text = write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8")
    assert text.startswith("# Benchmark report: r\n")
    assert "The stream has not been served" in text
    assert "chosen |" in section(text)


def test_nothing_chosen_is_said(tmp_path: Path, fakes: Any) -> None:
    write_trials(tmp_path / "r", fakes, {"titans-c": RATES}, fail=["online"])
    text = write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8")
    assert "**Nothing was chosen: of every trial some run failed.**" in section(text)
    assert "figures/tuning" not in text


def test_many_points_are_cut_to_the_best(tmp_path: Path, fakes: Any) -> None:
    write_trials(tmp_path / "r", fakes, {"titans-c": {"online_lr": [i / 100 for i in range(1, 41)]}}, seeds=1)
    found = section(write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8"))
    assert "The 30 of 40 trials with the lowest error, those that failed last." in found
    assert found.count("\n|") == 32


def serve(folder: Path, fakes: Any, defaults: float) -> str:
    """The report on trials, the stream served with what was chosen (0.2) and as it was."""
    scenarios = [fakes.Scenario(), fakes.Scenario("etth2")]
    store = fakes.write_results(folder, scenarios, [*fakes.strategies[:2], fakes.Strategy("titans-c", defaults)], 2)
    served = {}
    for scenario, rate in zip(scenarios, (1e-5, 1e-3), strict=True):
        for seed in range(2):
            tuned = fakes.Strategy("titans-c", 0.2, options={"online_lr": rate})
            group = ["titans-c", "titans", "d", "p"]
            run_id = fakes.write_run(store, tuned, scenario, seed).run_id
            served[run_id] = {"group": group, "strategy_options": {}, "forecaster_options": {}}
    write_trials(folder, fakes, {"titans-c": RATES})
    (folder / TRIALS / SERVED).write_text(json.dumps(served))
    return write_report(folder, folder.parent / "report").read_text(encoding="utf-8")


def test_what_was_chosen_is_one_entry_beside_the_other(tmp_path: Path, fakes: Any) -> None:
    found = section(serve(tmp_path / "r", fakes, defaults=0.3))
    overall = pd.read_csv(tmp_path / "report" / "tables" / "overall.csv").set_index("entry")
    assert overall.index.tolist()[:2] == ["titans-c (tuned)", "titans-c"]
    assert overall["mean_rank"].notna().all()
    assert "3 trials each for titans-c. A trial serves all validation rows with 2 seeds: " in found
    assert "With nothing to try, as they are: persistence and seasonal-naive." in found
    rows = [re.sub(r" +", " ", line) for line in found.splitlines() if line.startswith("| titans-c (tuned)")]
    assert len(rows) == 2
    assert all("online_lr=1e-05 |" in row for row in rows)
    assert "prefer different settings" not in found
    beside = pd.read_csv(tmp_path / "report" / "tables" / "tuned.csv")
    assert (beside["mse_tuned"] < beside["mse_default"]).all()
    assert set(beside["family"]) == {"ablations"}


def test_where_the_stream_prefers_the_defaults(tmp_path: Path, fakes: Any) -> None:
    found = section(serve(tmp_path / "r", fakes, defaults=0.1))
    text = (
        "**Validation and stream prefer different settings**: the tuned options have the higher error on the stream for"
    )
    (line,) = [line for line in found.splitlines() if line.startswith("**Validation")]
    assert line.startswith(f"{text} titans-c (tuned) on ")
    assert line.count("%, significant)") == 2


def test_a_design_is_no_grid(tmp_path: Path, fakes: Any) -> None:
    """Of two options that take a new value in each trial, points are drawn, and no table of colours."""
    figure = line({"lr": [1e-5, 1e-4]}, [3.0, 1.0], linked=False)
    assert figure.axes[0].get_lines()[0].get_linestyle() == "None"
    points = [{"lr": 1e-5, "ridge": 0.1}, {"lr": 1e-4, "ridge": 3.0}, {"lr": 1e-3, "ridge": 0.4}]
    drawing = draw_trials(scattered(points, [3.0, 1.0, 2.0]), "#0072b2")
    assert drawing is not None
    assert [axes.get_xlabel() for axes in drawing.figure.axes] == ["lr", "ridge"]
    assert "For each value" not in drawing.caption


def trials(grid: dict[str, list[Any]], errors: Sequence[float], seeds: int = 2) -> pd.DataFrame:
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return scattered(points, list(itertools.islice(itertools.cycle(errors), len(points))), seeds)


def scattered(points: list[dict[str, Any]], errors: Sequence[float], seeds: int = 2) -> pd.DataFrame:
    rows = []
    for point, error in zip(points, errors, strict=True):
        for seed in range(seeds):
            row = {"strategy": "s", "forecaster": "f", "dataset": "d", "protocol": "p", "seed": seed}
            rows.append(row | {"point": json.dumps(point), "val_mse": error + 0.1 * seed})
    return grid_table(pd.DataFrame(rows).assign(status="ok", reason=""))


def line(grid: dict[str, list[Any]], errors: Sequence[float], *, linked: bool = True) -> Figure:
    table = trials(grid, errors)
    options = spread_options(table[table["chosen"]])
    chosen: dict[str, Any] = {str(option): options[option].iloc[0] for option in options}
    with drawing_style():
        return draw_options(best_by_option(table), chosen, "#0072b2", linked=linked).figure


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
    write_trials(tmp_path / "r", fakes, {"titans-c": RATES}, seeds=1)
    found = section(write_report(tmp_path / "r", tmp_path / "report").read_text(encoding="utf-8"))
    assert "±" not in found.replace("mean ± standard deviation", "")
