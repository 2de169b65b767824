"""Every run that did not end well, every strategy that was not seen to be honest, and why."""

from __future__ import annotations

import pandas as pd

from bench.analysis import divergence_counts
from bench.report.audits import audit_problems
from bench.report.markdown import count, escape, one_line, table
from bench.report.results import Results

LONGEST = 240


def problems(results: Results) -> list[str]:
    """Blocks: failed and skipped runs and audits with their reasons, and runs that were left out."""
    bad = results.runs[results.runs["status"] != "ok"]
    blocks = ["## Problems"]
    diverged = divergence_counts(results.runs)
    if bad.empty:
        blocks.append("Every run ended well." if diverged.empty else "Every run ended, but not all errors are finite.")
    else:
        rows = []
        for (entry, scenario, status, reason), group in bad.groupby(
            ["entry", "scenario", "status", "reason"], sort=True
        ):
            text = one_line(reason) or "no reason was recorded"
            text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
            seeds = ", ".join(str(seed) for seed in sorted(group["seed"]))
            rows.append([escape(entry), escape(scenario), seeds, escape(status), escape(text)])
        blocks.append(table(["Strategy", "dataset", "seeds", "status", "reason"], rows, text_columns=5))
        if (bad["status"] == "failed").any():
            blocks.append("Tracebacks are in each run's record.json; the run ids are in tables/problems.csv.")
    blocks += _divergence(results, diverged)
    blocks += audit_problems(results)
    if results.replaced:
        blocks.append(
            f"{count(results.replaced, 'older run')} left out: a later run of the same strategy, dataset and seed, "
            "or of an edited plug-in, took its place."
        )
    if results.unreadable:
        blocks.append(f"{count(results.unreadable, 'record')} could not be read (damaged, or of another version).")
    return blocks


def _divergence(results: Results, counts: pd.DataFrame) -> list[str]:
    """How many runs of whom diverged, by dataset; nothing where none did."""
    if counts.empty:
        return []
    rows = [
        [escape(row.entry), escape(row.base), escape(row.scenario), f"{row.diverged} of {row.runs}", escape(row.seeds)]
        for row in counts.itertuples(index=False)
    ]
    total, tried = int(counts["diverged"].sum()), int((results.runs["status"] != "skipped").sum())
    said = f"{total} of {count(tried, 'run')} diverged: a forecast, an error or a whole training was not finite."
    return [said, table(["Strategy", "forecaster", "dataset", "diverged ↓", "seeds"], rows, text_columns=3)]
