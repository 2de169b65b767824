"""What is in the figures; not their pixels."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench.analysis import leaderboard
from bench.report.figures.canvas import Drawing, drawing_style
from bench.report.figures.cost import draw_cost
from bench.report.figures.forecasts import draw_forecasts
from bench.report.figures.labels import Box, place_labels, spread_out, stack_labels
from bench.report.figures.lead import draw_leads
from bench.report.figures.palette import Look, colours, looks
from bench.report.figures.series import POINTS, draw_series
from bench.report.figures.when import draw_when
from bench.report.html.streams import rolling_window
from bench.report.view.comparisons import cost_of
from bench.report.view.error_parts import by_lead
from bench.report.view.highlight import highlighted_entries, shown_entries
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.report.view.when import skills_over_time

from .conftest import KNOWN


@pytest.fixture(scope="module")
def results(two_datasets: Path) -> Results:
    return read_results(two_datasets)


@pytest.fixture(scope="module")
def shown(results: Results) -> list[Look]:
    return looks(results.board_of("akl-pedestrians"), colours(results.runs["strategy"], results.colours))


def lines(axes: Axes) -> dict[str, Any]:
    return {str(line.get_label()): line for line in axes.get_lines() if not str(line.get_label()).startswith("_")}


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts} | {t.get_text() for t in figure.texts}


def assert_labels_are_apart_and_inside(figure: Figure) -> None:
    """No two direct labels overlap, and none leaves the figure."""
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.texts] + [
        t.get_window_extent() for a in figure.axes for t in a.texts
    ]
    page = figure.bbox
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
        for other in boxes[i + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width <= 1 or height <= 2


AKL = "akl-pedestrians"


def drawn(results: Results, shown: list[Look], **changes: Any) -> Drawing:
    """The figure of skill over the stream."""
    frozen = next(look for look in shown if look.entry == "frozen")
    given: dict[str, Any] = {"skills": skills_over_time(results, AKL), "times": results.times[AKL]}
    with drawing_style():
        given |= {"events": results.events_of(AKL), "looks": shown, "reference": frozen}
        return draw_when(**(given | changes))


def test_skill_over_the_stream(results: Results, shown: list[Look]) -> None:
    drawing = drawn(results, shown)
    with drawing_style():
        assert_labels_are_apart_and_inside(drawing.figure)
    (axes,) = drawing.figure.axes
    skills = skills_over_time(results, AKL)
    assert set(skills) == set(results.board_of(AKL).dropna(subset=["rank"])["entry"]) - {"frozen"}
    first = skills["rls"][skills["rls"].index < results.events_of(AKL)[0][0]]
    assert lines(axes)["rls"].get_ydata() == pytest.approx(-np.log(1 - first["skill"].to_numpy() / 100))
    assert len([line for line in axes.get_lines() if line.get_label() == "_rls"]) == 2  # after each drift
    assert {"lockdown", "reopening", "rls", "frozen"} <= texts(drawing.figure)
    assert axes.get_ylabel() == "skill against frozen, %"
    assert "0" in [text.get_text() for text in axes.get_yticklabels()]


def test_the_best_two_have_bands(results: Results, shown: list[Look]) -> None:
    skills = {
        entry: along.assign(low=along["skill"] - 5, high=along["skill"] + 5)
        for entry, along in skills_over_time(results, AKL).items()
    }
    axes = drawn(results, shown, skills=skills, events=[]).figure.axes[0]
    best = [look for look in shown if look.highlighted and look.entry in skills][:2]
    bands = [to_hex(np.asarray(band.get_facecolor())[0]) for band in axes.collections]
    assert bands == [look.colour for look in best]


def test_what_is_far_below_is_named_and_not_drawn(results: Results, shown: list[Look]) -> None:
    skills = skills_over_time(results, AKL)
    skills["persistence"] = skills["persistence"] - 1000
    drawing = drawn(results, shown, skills=skills)
    assert drawing.caption.startswith("Far below and not drawn: persistence.")
    assert "persistence" not in texts(drawing.figure)


def test_estimated_change_points_are_dotted_and_called_so(results: Results, shown: list[Look]) -> None:
    origins = results.streams[AKL].index
    plain = drawn(results, shown)
    marked = drawn(results, shown, estimated=[origins[0] - 5, origins[0] + 300, origins[-1] - 100])
    with drawing_style():
        assert_labels_are_apart_and_inside(marked.figure)
    assert "estimated" in texts(marked.figure)
    assert "estimated" not in texts(plain.figure)
    added = [line for line in marked.figure.axes[0].get_lines() if line.get_zorder() == 0.4]
    assert len(added) == 2  # the one before the stream is not drawn
    assert all(line.is_dashed() for line in added)
    known = [line for line in plain.figure.axes[0].get_lines() if line.get_zorder() == 0.5]
    assert known
    assert not any(line.is_dashed() for line in known)


def test_a_series_with_its_parts_and_drifts() -> None:
    times = pd.Series(pd.date_range("2020-01-01", periods=4000, freq="h"))
    frame = pd.DataFrame({"a": np.arange(4000.0), "b": np.ones(4000)})
    with drawing_style():
        drawing = draw_series(frame, times, (800, 1000, 4000), [(2000, "lockdown")], [500, 2500])
        assert_labels_are_apart_and_inside(drawing.figure)
    assert {"training", "stream", "lockdown", "estimated"} <= texts(drawing.figure)
    upper = drawing.figure.axes[0]
    assert upper.get_ylabel() == "a"
    (drawn,) = [ys for ys in (np.asarray(line.get_ydata()) for line in upper.get_lines()) if len(ys) > 10]
    assert len(drawn) <= POINTS
    assert drawn[:2] == pytest.approx([1.0, 4.0])  # means of three rows
    dotted = [np.asarray(line.get_xdata())[0] for line in upper.get_lines() if line.get_zorder() == 0.4]
    assert dotted == pytest.approx([500 / 3999, 2500 / 3999])
    training, validation, _ = (patch.get_extents().transformed(upper.transAxes.inverted()) for patch in upper.patches)
    assert [training.x1, validation.x1] == pytest.approx([800 / 3999, 1000 / 3999])


def test_many_drifts_are_numbered_and_named_below(results: Results, shown: list[Look]) -> None:
    drawing = drawn(results, shown, events=[(1200 + 100 * i, f"the regime of the {i}th kind") for i in range(12)])
    assert "Events: 1 the regime of the 0th kind, 2 the regime" in drawing.caption
    assert {"1", "12"} <= texts(drawing.figure)


@pytest.mark.parametrize(
    ("origins", "season", "window"), [(397, 7, 14), (397, None, 13), (10753, 24, 360), (20, 7, 1), (3, None, 1)]
)
def test_the_rolling_window_of_the_page_is_whole_seasons(origins: int, season: int | None, window: int) -> None:
    assert rolling_window(origins, season) == window


def cost_points(results: Results) -> pd.DataFrame:
    board = results.board_of("akl-pedestrians")
    return board[board["seeds"] > 0].merge(cost_of(results), on=["scenario", "entry"])


def test_error_against_cost(results: Results) -> None:
    points = cost_points(results)
    with drawing_style():
        drawing = draw_cost(points, colours(points["strategy"]), persistence=0.5)
        assert_labels_are_apart_and_inside(drawing.figure)
    axes = drawing.figure.axes[0]
    dots = lines(axes)
    assert set(dots) == set(points["entry"])
    row = points.set_index("entry").loc["titans-c"]
    assert float(dots["titans-c"].get_xdata()[0]) == pytest.approx(row["stream_s_per_1000"])
    assert float(dots["titans-c"].get_ydata()[0]) == pytest.approx(row["mse"])
    assert axes.get_xscale() == "log"
    assert set(points["entry"]) <= texts(drawing.figure)


def test_labels_of_a_crowd_stay_apart(results: Results) -> None:
    points = cost_points(results)
    points = points.assign(
        stream_s_per_1000=np.linspace(5.0, 5.5, len(points)), mse=np.linspace(0.3, 0.302, len(points))
    )
    points["mse_sd"] = 0.0
    with drawing_style():
        assert_labels_are_apart_and_inside(draw_cost(points, colours(points["strategy"]), persistence=None).figure)


def test_labels_keep_off_the_bars(results: Results) -> None:
    points = cost_points(results)
    points = points.assign(mse_sd=0.5 * points["mse"])
    with drawing_style():
        drawing = draw_cost(points, colours(points["strategy"]), persistence=None)
        drawing.figure.draw_without_rendering()
    axes, names = drawing.figure.axes[0], drawing.figure.texts
    for x, y, sd in points[["stream_s_per_1000", "mse", "mse_sd"]].to_numpy(dtype=float):
        (left, bottom), (_, top) = axes.transData.transform([[x, y - sd], [x, y + sd]])
        for name in names:
            box = name.get_window_extent()
            covers = box.x0 < left < box.x1 and box.y0 < top and bottom < box.y1
            assert not covers, name.get_text()


def test_one_seed_that_runs_away_does_not_crush_the_others(results: Results) -> None:
    """Its mean is far below its standard deviation, so that its bar reaches below 0."""
    points = cost_points(results)
    far = points["entry"] == "titans-b"
    points = points.assign(mse=points["mse"].mask(far, 3e5), mse_sd=points["mse_sd"].mask(far, 5.8e5))
    with drawing_style():
        drawing = draw_cost(points, colours(points["strategy"]), persistence=0.5)
        assert_labels_are_apart_and_inside(drawing.figure)
    axes = drawing.figure.axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] > 0.01


@pytest.mark.parametrize("factor", [1e12, 1e4, 1e-12])
def test_axes_have_room_for_errors_of_any_size(factor: float, results: Results, shown: list[Look]) -> None:
    scenario = "akl-pedestrians"
    leads = by_lead(results)[by_lead(results)["scenario"] == scenario].copy()
    leads["mse"] = leads["mse"].mask(leads["entry"] == "titans-b", factor * leads["mse"])
    points = cost_points(results)
    points = points.assign(mse=points["mse"].mask(points["entry"] == "titans-b", factor), mse_sd=0.0)
    with drawing_style():
        figures = [
            draw_leads(leads, shown).figure,
            draw_cost(points, colours(points["strategy"]), persistence=0.5).figure,
        ]
        for figure in figures:
            figure.draw_without_rendering()
            for axes in figure.axes:
                assert axes.yaxis.label.get_window_extent().x0 >= 0


def test_error_by_lead(results: Results, shown: list[Look]) -> None:
    here = by_lead(results)[by_lead(results)["scenario"] == "akl-pedestrians"]
    with drawing_style():
        drawing = draw_leads(here, shown)
        assert_labels_are_apart_and_inside(drawing.figure)
    axes = drawing.figure.axes[0]
    found = lines(axes)
    assert set(found) == set(here["entry"])
    assert found["rls"].get_xdata().tolist() == list(range(1, 25))
    assert axes.get_xlabel() == "lead, rows"


def test_forecasts_have_a_panel_each_and_share_the_scale(shown: list[Look]) -> None:
    row = np.arange(1000, 1100)
    truth = np.sin(row / 4)
    line = pd.DataFrame({"row": row, "time": row, "forecast": truth + 0.1, "truth": truth})
    with drawing_style():
        drawing = draw_forecasts({"rls": line, "frozen": line}, [(1050, "jump"), (5, "long ago")], shown, "OT")
        assert_labels_are_apart_and_inside(drawing.figure)
    assert len(drawing.figure.axes) == 2
    for axes in drawing.figure.axes:
        assert "truth" in lines(axes)
        assert axes.get_ylim() == drawing.figure.axes[0].get_ylim()
    assert {"rls", "frozen", "jump", "OT"} <= texts(drawing.figure)
    assert "long ago" not in texts(drawing.figure)


def test_colours_are_stable_and_differ(results: Results) -> None:
    few, many = colours(["rls", "zz", "aa"], KNOWN), colours([*KNOWN, "zz", "aa"], KNOWN)
    assert few == {name: many[name] for name in few}
    assert len({to_hex(colour) for colour in many.values()}) == len(many)


def board_of(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {
        "scenario": "d",
        "base": "none",
        "protocol_label": "p",
        "seed": 0,
        "status": "ok",
        "group": "core",
        "windows": 1,  # metrics stand from here to the validation error
        "val_mse": float("nan"),
    }
    metrics = ("mae", "rmse", "mse_original", "mae_original", "rmse_original")
    filled = [base | {"entry": row["strategy"]} | dict.fromkeys(metrics, row["mse"]) | row for row in rows]
    return leaderboard(pd.DataFrame(filled))


def test_at_most_twelve_lines_and_six_in_colour() -> None:
    rows = [{"strategy": f"s{i:02}", "mse": 1.0 + i} for i in range(20)]
    board = board_of(
        *rows,
        {"strategy": "persistence", "mse": 90.0},
        {"strategy": "frozen", "mse": 80.0},
        {"strategy": "oracle", "mse": 0.1, "group": "leaky"},
    )
    assert highlighted_entries(board) == ["persistence", "frozen", "s00", "s01", "s02", "s03"]
    assert shown_entries(board) == [*(f"s{i:02}" for i in range(10)), "frozen", "persistence"]
    found = looks(board, colours(board["strategy"]))
    assert [look.entry for look in found] == shown_entries(board)
    assert [look.entry for look in found if look.highlighted] == ["s00", "s01", "s02", "s03", "frozen", "persistence"]


def test_entries_of_one_strategy_share_a_colour_and_differ_in_dashes() -> None:
    board = board_of(
        {"strategy": "frozen", "entry": "frozen + titans", "mse": 1.0},
        {"strategy": "frozen", "entry": "frozen + linear", "mse": 2.0},
    )
    one, other = looks(board, colours(board["strategy"]))
    assert one.colour == other.colour
    assert one.dash != other.dash


@given(st.lists(st.floats(-0.5, 1.5), max_size=15), st.floats(0.001, 0.3))
def test_spread_out(wanted: list[float], gap: float) -> None:
    placed = spread_out(wanted, gap, 0.0, 1.0)
    assert len(placed) == len(wanted)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in placed)
    least = min(gap, 1.0 / max(len(wanted) - 1, 1))
    ordered = sorted(placed)
    assert all(b - a >= least - 1e-9 for a, b in pairwise(ordered))
    assert [placed[i] for i in np.argsort(wanted, kind="stable")] == ordered


def test_spread_out_leaves_alone_what_is_apart() -> None:
    assert spread_out([0.9, 0.1, 0.5], 0.2, 0.0, 1.0) == pytest.approx([0.9, 0.1, 0.5])
    assert spread_out([0.5, 0.5], 0.2, 0.0, 1.0) == pytest.approx([0.4, 0.6])


def test_stacked_labels() -> None:
    assert stack_labels([0.1, 0.5], [0.2, 0.2], 1.2) == [(0.1, 0), (0.5, 0)]
    assert stack_labels([0.1, 0.2, 0.5], [0.2, 0.2, 0.2], 1.2) == [(0.1, 1), (0.2, 0), (0.5, 0)]
    late = stack_labels([0.1, 0.95], [0.2, 0.4], 1.2)
    assert late is not None
    assert late[1][0] == pytest.approx(0.8)  # moved left to end in time
    assert stack_labels([0.1, 0.11, 0.12, 0.13], [0.2] * 4, 1.2) is None


def test_place_labels_takes_the_free_side() -> None:
    frame = Box(0, 0, 100, 100)
    (box,) = place_labels([(95.0, 50.0)], [(20.0, 8.0)], frame, clear=2.0)
    assert box.right < 95
    first, second = place_labels([(20.0, 50.0), (30.0, 50.0)], [(20.0, 8.0)] * 2, frame, clear=2.0)
    assert first.overlap(second) == 0
    assert frame.holds(first)
    assert frame.holds(second)
