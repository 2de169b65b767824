"""What service costs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import pareto_front
from bench.analysis.leaderboard import PERSISTENCE
from bench.report.blocks import Block, Heading, Paragraph, Table, bullets, escape, figures_in, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.cost import draw_cost
from bench.report.figures.palette import palette_of
from bench.report.render.numbers import NONE, brief, count, words
from bench.report.section import drawn, register_section
from bench.report.sections.audits import entry_names
from bench.report.sections.throughput import throughput
from bench.report.sections.timing_doubts import MARK, doubts_of, sentence
from bench.report.sections.verdict_cells import side_by_side
from bench.report.view.comparisons import cost_of
from bench.report.view.detail import detail, in_full
from bench.report.view.loaded import Results
from bench.results.record import COSTS

HEADERS = {
    "windows/s ↑": (["windows_per_s"], 1),
    "predict, ms: p50 / p95 / p99 ↓": (["predict_p50_ms", "predict_p95_ms", "predict_p99_ms"], 1),
    "adapt, ms: p50 / p95 / p99 ↓": (["adapt_p50_ms", "adapt_p95_ms", "adapt_p99_ms"], 1),
    "peak memory, MB ↓": (["peak_memory_mb"], 1),
    "state, kB ↓": (["state_bytes"], 1e-3),
}
"""Columns of the table, each with the factor from its unit to the table's."""
MOST_POINTS = 24
COMPILE = "compile_s"  # in a strategy's trace
STREAM_COST = "stream_s_per_1000"
STREAM = "whole stream, s per 1,000 windows ↓"
FIGURE = (
    "In the figures, lower and further left is better; the grey line is the Pareto front, bars are the standard "
    "deviation over seeds, the dashed line is persistence."
)


@register_section("cost", after="skill", on_pages=True, in_html=False)
def cost(results: Results) -> list[Block]:
    """A table and a figure for each scenario, then the benchmarks; nothing where nothing was timed."""
    measured = throughput(None if results.page else results.throughput)
    if cost_of(results).empty or cost_of(results)[[*COSTS, STREAM_COST]].isna().all(axis=None):
        return [Heading("Cost"), *measured] if measured else []
    blocks: list[Block] = [] if in_full(results) else _together(results)
    for scenario in in_full(results):
        here = _costs_on(results, scenario)
        if here.empty:
            continue
        blocks += [Heading(f"Cost on {escape(scenario)}", 3), *_one(results, scenario, here)]
        blocks += drawn(results, "cost", scenario, f"Error against cost on {scenario}", _figure, results, here)
    figure = FIGURE if any(figures_in(blocks)) else ""
    return [Heading("Cost"), *paragraphs(_how_to_read(results), figure), *blocks, *measured]


def _costs_on(results: Results, scenario: str) -> pd.DataFrame:
    return results.board_of(scenario).merge(cost_of(results), on=["scenario", "entry"])


def _together(results: Results) -> list[Block]:
    """How fast each entry is on each dataset, and who is on the Pareto front there."""
    costs = {scenario: _costs_on(results, scenario) for scenario in detail(results).shown}
    columns = {}
    for scenario, here in costs.items():
        header, of = ("windows/s", "windows_per_s") if here["windows_per_s"].notna().any() else (STREAM, STREAM_COST)
        cells = {
            entry: brief(value) for entry, value in zip(here["entry"], here[of], strict=True) if np.isfinite(value)
        }
        columns[f"{escape(scenario)}: {header.removesuffix(' ↓')}"] = cells
    names = {entry: [name] for entry, name in entry_names(results).items()}
    fronts = [f"**{escape(scenario)}**: {front}" for scenario, here in costs.items() if (front := _front(here))]
    more = "Latencies, memory and state are on the page of each dataset."
    return [*side_by_side(names, columns, ["Strategy"]), *bullets(fronts), Paragraph(more)]


def _front(cost: pd.DataFrame) -> str:
    """The Pareto front of error and cost, in words; empty where there is nobody to compare."""
    ranked = cost[cost["rank"].notna()]
    best = ranked[pareto_front(ranked[STREAM_COST], ranked["mse"])].sort_values(STREAM_COST)
    if best.empty or len(ranked) < 2:
        return ""
    return f"Pareto front of error and cost, cheapest first: {words([escape(entry) for entry in best['entry']])}."


def _figure(results: Results, points: pd.DataFrame) -> Drawing | None:
    numbers = points[["mse", STREAM_COST]].to_numpy(dtype=float)
    points = points[(np.isfinite(numbers) & (numbers > 0)).all(axis=1)].head(MOST_POINTS)
    if len(points) < 2:
        return None
    persistence = points.loc[points["strategy"] == PERSISTENCE, "mse"]
    return draw_cost(points, palette_of(results), float(persistence.iloc[0]) if len(persistence) else None)


def _how_to_read(results: Results) -> str:
    stream = "*Whole stream* is predict and adapt over every block of the accuracy runs, retraining included."
    if not results.timings:
        return f"There was no timing pass (each strategy alone on the machine), so only this is known. {stream}"
    if not in_full(results):
        return "The timing pass runs each strategy again, alone on the machine, over the first blocks of its stream."
    return (
        "The timing pass runs each strategy again, alone on the machine, over the first blocks of its stream; p50, p95 "
        f"and p99 are of a block's predict and adapt steps, without the harness's own work{_own_time(results)}. "
        "*State* is what a strategy keeps for a stream besides the forecaster's weights. "
        f"{stream} Parameters, operations and first calls: tables/cost.csv."
    )


def _own_time(results: Results) -> str:
    """The harness's own time, where it was recorded."""
    own = [timing.harness_us for timing in results.timings.values() if np.isfinite(timing.harness_us)]
    return f" ({brief(float(np.median(own)))} µs a block, median over strategies)" if own else ""


def _one(results: Results, scenario: str, cost: pd.DataFrame) -> list[Block]:
    measured = {header: each for header, each in HEADERS.items() if cost[each[0]].notna().any(axis=None)}
    headers = ["Strategy", *measured]
    columns = [_joined(cost[steps] * factor) for steps, factor in measured.values()]
    if cost[STREAM_COST].notna().any():
        headers.append(STREAM)
        columns.append([brief(value) for value in cost[STREAM_COST]])
    doubts = doubts_of(results, scenario)
    names = [entry_names(results)[entry] + (f" {MARK}" if entry in doubts else "") for entry in cost["entry"]]
    texts = [_front(cost), _machine(results, scenario, cost), sentence(doubts), _compiling(results, scenario)]
    rows = list(zip(names, *columns, strict=True))
    return [Table(headers, rows), *paragraphs(" ".join(text for text in texts if text))]


def _joined(numbers: pd.DataFrame) -> list[str]:
    """A cell for each row: its numbers, between strokes; a dash where there are none."""
    return [
        NONE if np.isnan(row).all() else " / ".join(brief(value) for value in row) for row in numbers.to_numpy(float)
    ]


def _compiling(results: Results, scenario: str) -> str:
    """What compiling took, where forecasters were compiled."""
    trace = results.traces
    took = trace[(trace["scenario"] == scenario) & (trace["name"] == COMPILE)]
    if took.empty:
        return ""
    last = took.sort_values("origin").groupby("entry", sort=True)["value"].last()
    each = words([f"{entry_names(results)[str(entry)]} {brief(seconds)} s" for entry, seconds in last.items()])
    return f"Compiling took {each} (median over seeds); it is in *whole stream*, and in no other number."


def _machine(results: Results, scenario: str, cost: pd.DataFrame) -> str:
    """On what the timing pass ran, or that there was none."""
    here = {record.run_id for record in results.records_of(scenario)} & set(results.timings)
    timings = [results.timings[run_id] for run_id in here]
    if not timings:
        return "No timing pass on this dataset." if results.timings else ""
    machines = sorted({f"{t.device} ({t.device_name}), {count(t.threads, 'thread')}" for t in timings})
    windows = sorted({t.windows for t in timings})
    span = f"{windows[0]:,}" if len(windows) == 1 else f"{windows[0]:,} to {windows[-1]:,}"
    seeds = sorted({record.seed for record in results.records_of(scenario) if record.run_id in results.timings})
    text = f"Timing pass on {escape(words(machines))}; n = {span} windows, seed {seeds[0]}."
    load = max((t.load for t in timings if np.isfinite(t.load)), default=0.0)
    if load >= 0.2:
        text += f" **The machine was up to {100 * load:.0f} % busy just before: take these numbers with care.**"
    text += _disturbed(results, here)
    return f"{text} {NONE} means not timed." if cost["windows_per_s"].isna().any() else text


def _disturbed(results: Results, here: set[str]) -> str:
    """Who was timed beside other work, and is left out therefore."""
    others = {run_id: results.timings[run_id].others for run_id in here if results.timings[run_id].is_disturbed}
    if not others:
        return ""
    runs = results.runs[results.runs["run_id"].isin(list(others))]
    out = sorted(f"{run.entry} ({brief(others[str(run.run_id)])} cores)" for run in runs.itertuples(index=False))
    return (
        f" **Left out, since other processes kept the run's cores busy meanwhile: {escape(words(out))}.** "
        f"`bench run {escape(results.store.folder.name)} --retime` times them again."
    )
