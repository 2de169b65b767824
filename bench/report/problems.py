"""Every run that did not end well, every strategy that was not seen to be honest, and why."""

from __future__ import annotations

from bench.report.audits import audit_problems
from bench.report.markdown import count, escape, one_line, table
from bench.report.results import Results

LONGEST = 240


def problems(results: Results) -> list[str]:
    """Blocks: failed and skipped runs and audits with their reasons, and runs that were left out."""
    bad = results.runs[results.runs["status"] != "ok"]
    blocks = ["## Problems"]
    if bad.empty:
        blocks.append("Every run ended well.")
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
    blocks += audit_problems(results)
    if results.replaced:
        blocks.append(
            f"{count(results.replaced, 'older run')} left out: a later run of the same strategy, dataset and seed, "
            "or of an edited plug-in, took its place."
        )
    if results.unreadable:
        blocks.append(f"{count(results.unreadable, 'record')} could not be read (damaged, or of another version).")
    return blocks
