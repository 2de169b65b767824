"""What service costs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import pareto_front
from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.render.markdown import NONE, count, escape, table, words
from bench.report.render.numbers import brief, fixed, places
from bench.report.sections.throughput import Throughput, throughput
from bench.report.sections.timing_doubts import MARK, doubts_of, sentence
from bench.report.view.loaded import Results
from bench.results.record import COSTS

HEADERS = {
    "windows/s ↑": ["windows_per_s"],
    "predict, ms: p50 / p95 / p99 ↓": ["predict_p50_ms", "predict_p95_ms", "predict_p99_ms"],
    "adapt, ms: p50 / p95 / p99 ↓": ["adapt_p50_ms", "adapt_p95_ms", "adapt_p99_ms"],
    "peak memory, MB ↓": ["peak_memory_mb"],
}
HOLDINGS = {
    "state, kB ↓": (["state_bytes"], 1e-3),
    "parameters: all / trainable / updated": (["parameters", "trainable", "updated"], 1),
    "Mflop per window: predict / adapt ↓": (["predict_flops", "adapt_flops"], 1e-6),
    "first predict, ms ↓": (["first_predict_ms"], 1),
    "setup, s ↓": (["setup_s"], 1),
}
"""Columns of the table of what a strategy holds and computes, each with the factor from its unit to the table's."""
HELD = (
    "*State* is what service keeps for each stream besides the forecaster's weights (a memory, an optimiser's moments, "
    "buffers); *trainable* parameters are those that gradients are taken for, *updated* ones changed during the timing "
    "pass. Operations are those that torch counts (products, convolutions, attention; not numpy's), a mean over the "
    "blocks that follow the timed ones: what happens more rarely, such as a retraining, may not be among them. The "
    "first predict, and what a strategy does before its first block (*setup*), are in no other number."
)
COMPILE = "compile_s"  # in a strategy's trace
STREAM = "whole stream, s per 1,000 windows ↓"
FIGURE = (
    "In the figures, lower and further left is better. The grey line is the Pareto front: no other strategy beats "
    "those on it in both error and cost. Bars are the standard deviation over seeds; the dashed line is persistence."
)


def expense(results: Results, gallery: Gallery, measured: Throughput | None = None) -> list[str]:
    """Blocks: a table and a figure for each scenario, then the benchmarks; nothing where nothing was timed.

    Args:
        results: The experiment.
        gallery: The figures that were drawn.
        measured: What `make throughput` left, if anything.
    """
    if results.cost.empty or results.cost[[*COSTS, "stream_s_per_1000"]].isna().all(axis=None):
        return ["## Cost", *throughput(measured)] if measured else []
    blocks = ["## Cost", _how_to_read(results)]
    if any(kind == "cost" for _, kind in gallery):
        blocks.append(FIGURE)
    for scenario in results.focus.shown:
        cost = results.board_of(scenario).merge(results.cost, on=["scenario", "entry"])
        if cost.empty:
            continue
        blocks += [f"### Cost on {escape(scenario)}", *_one(results, scenario, cost)]
        blocks += picture(gallery, scenario, "cost")
    return [*blocks, *throughput(measured)]


def _how_to_read(results: Results) -> str:
    last = (
        "*Whole stream* is predict and adapt together over every block of the accuracy runs, mean over seeds: this is "
        "where a retraining shows. Other runs may have shared the machine then."
    )
    if not results.timings:
        return f"There was no timing pass (each strategy alone on the machine), so only this is known. {last}"
    return (
        "The timing pass runs each strategy again, alone on the machine, over the first blocks of its stream; p50, p95 "
        "and p99 are percentiles of a block's predict and adapt steps, and windows/s counts both. Slicing, scoring and "
        f"writing are not in it{_own_time(results)}. {last}"
    )


def _own_time(results: Results) -> str:
    """The harness's own time, where it was recorded."""
    own = [timing.harness_us for timing in results.timings.values() if np.isfinite(timing.harness_us)]
    return f" (they took {brief(float(np.median(own)))} µs a block, median over strategies)" if own else ""


def _one(results: Results, scenario: str, cost: pd.DataFrame) -> list[str]:
    measured = {header: steps for header, steps in HEADERS.items() if cost[steps].notna().any(axis=None)}
    headers = ["Strategy", *measured]
    columns = [_joined(cost[steps]) for steps in measured.values()]
    if cost["stream_s_per_1000"].notna().any():
        headers.append(STREAM)
        columns.append([brief(value) for value in cost["stream_s_per_1000"]])
    headers.append("MSE ↓")
    decimals = places(cost["mse"])
    columns.append([fixed(value, decimals) for value in cost["mse"]])
    doubts = doubts_of(results, scenario)
    names = [results.names[entry] + (f" {MARK}" if entry in doubts else "") for entry in cost["entry"]]
    blocks = [table(headers, list(zip(names, *columns, strict=True))), sentence(doubts)]
    blocks.append(_machine(results, scenario, cost))
    ranked = cost[cost["rank"].notna()]
    best = ranked[pareto_front(ranked["stream_s_per_1000"], ranked["mse"])].sort_values("stream_s_per_1000")
    if len(best) and len(ranked) > 1:
        cheapest_first = words([escape(entry) for entry in best["entry"]])
        blocks.append(f"Pareto front of error and cost, cheapest first: {cheapest_first}.")
    blocks += [_compiling(results, scenario), *_held(results, cost)]
    return [block for block in blocks if block]


def _joined(numbers: pd.DataFrame) -> list[str]:
    """A cell for each row: its numbers, between strokes; a dash where there are none."""
    return [
        NONE if np.isnan(row).all() else " / ".join(brief(value) for value in row) for row in numbers.to_numpy(float)
    ]


def _held(results: Results, cost: pd.DataFrame) -> list[str]:
    """What each strategy holds and computes, where a timing pass recorded it."""
    known = cost[cost[["state_bytes", "predict_flops"]].notna().any(axis=1)]
    if known.empty:
        return []
    columns = {
        header: _joined(known[names] * factor)
        for header, (names, factor) in HOLDINGS.items()
        if known[names].notna().any(axis=None)
    }
    names = [results.names[entry] for entry in known["entry"]]
    return [table(["Strategy", *columns], list(zip(names, *columns.values(), strict=True))), HELD]


def _compiling(results: Results, scenario: str) -> str:
    """What compiling took, where forecasters were compiled."""
    trace = results.traces
    took = trace[(trace["scenario"] == scenario) & (trace["name"] == COMPILE)]
    if took.empty:
        return ""
    last = took.sort_values("origin").groupby("entry", sort=True)["value"].last()
    each = words([f"{escape(results.names[str(entry)])} {brief(seconds)} s" for entry, seconds in last.items()])
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
