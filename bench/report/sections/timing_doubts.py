"""Where a timing pass and its run part: what makes a row of the cost table one to be taken with care."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bench.report.blocks import escape
from bench.report.render.numbers import brief
from bench.report.view.loaded import Results
from bench.results.record import SLACK, Record, Timing, left_behind, made_beside

MARK = "†"

PARTS = 2.0
"""Times that a usual block, or a window, may take longer in the one than in the other."""

FAR, FAR_US = 5.0, 500.0
"""Times the harness's usual own time, and microseconds beyond it, that are far above it."""


def doubts_of(results: Results, scenario: str) -> dict[str, list[str]]:
    """By entry, what is odd about its timing on one scenario; those without a doubt are left out."""
    records = [record for record in results.records_of(scenario) if record.run_id in results.timings]
    usual = usual_us(record.timing for record in records if record.timing)
    entries = dict(zip(results.runs["run_id"], results.runs["entry"], strict=True))
    found: dict[str, list[str]] = {}
    for record in records:
        if said := doubts(results.timings[record.run_id], record, usual):
            found.setdefault(entries[record.run_id], said)
    return found


def sentence(doubts: dict[str, list[str]]) -> str:
    """What the mark stands for; empty where nothing is marked."""
    if not doubts:
        return ""
    each = "; ".join(f"{escape(entry)}: {', and '.join(said)}" for entry, said in sorted(doubts.items()))
    return f"{MARK} To be taken with care: {each}."


def usual_us(timings: Iterable[Timing]) -> float:
    """The harness's usual own time for each block, in microseconds; NaN where none was recorded apart from traces."""
    own = [timing.harness_us for timing in timings if np.isfinite(timing.trace_us)]
    return float(np.median(own)) if own else float("nan")


def doubts(alone: Timing, record: Record, usual: float) -> list[str]:
    """What is odd about one timing pass."""
    found = []
    if alone.replay is not None and alone.replay.verdict != "same":
        leaks = alone.replay.verdict == "leaks"
        where = "where the rows to come are out of reach" if leaks else "when its run is served again"
        found.append(f"its forecasts are others {where}")
    if alone.left:
        found.append(left_behind(alone.left))
    if alone.beside:
        found.append(made_beside(alone.beside))
    given = record.environment.get("threads", alone.threads)
    if alone.threads != given:
        found.append(f"it set torch to {alone.threads} threads, where it was given {given}")
    elif alone.own > given + SLACK:
        found.append(f"it kept {brief(alone.own)} cores busy, where it was given {given}")
    return found + (_against_the_run(alone, record.timing, usual) if record.timing else [])


def _against_the_run(alone: Timing, own: Timing, usual: float) -> list[str]:
    found = []
    block, window = _block_ms(own) / _block_ms(alone), _window_ms(own) / _window_ms(alone)
    if not 1 / PARTS <= block <= PARTS:
        found.append(f"a usual block takes {brief(block)} times as long in its run")
    elif not 1 / PARTS <= window <= PARTS:
        found.append(f"a window costs {brief(window)} times as much over the whole stream")
    if own.harness_us > max(FAR * usual, usual + FAR_US):
        found.append(f"{brief(own.harness_us)} µs a block pass outside its steps, where {brief(usual)} are usual")
    if own.trace_us > 1000 * _window_ms(own) * own.windows / max(1, own.predict.steps):
        found.append("its trace takes longer than its service")
    return found


def _block_ms(timing: Timing) -> float:
    return timing.predict.p50_ms + timing.adapt.p50_ms or float("nan")


def _window_ms(timing: Timing) -> float:
    return (timing.predict.total_ms + timing.adapt.total_ms) / timing.windows or float("nan")
