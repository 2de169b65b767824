"""Every run that did not end well, every strategy that was not seen to be honest, and why."""

from __future__ import annotations

import pandas as pd

from bench.analysis import divergence_counts
from bench.contracts.text import one_line
from bench.report.render.markdown import count, escape, table
from bench.report.sections.audits import audit_problems
from bench.report.view.loaded import Results
from bench.results.record import left_behind, made_beside

LONGEST, LONGEST_SEEDS = 240, 60
WHAT = ["entry", "scenario", "status", "reason"]
COLUMNS = ["scenario", "entry", "seed", "status", "reason", "run_id"]


def problems(results: Results) -> list[str]:
    """Blocks: failed, skipped and lost runs and audits with their reasons, and runs that were left out."""
    rows = problem_rows(results)
    blocks = ["## Problems"]
    diverged = divergence_counts(results.runs)
    if not rows:
        blocks.append("Every run ended well." if diverged.empty else "Every run ended, but not all errors are finite.")
    else:
        cells = [[escape(cell) for cell in row] for row in rows]
        blocks.append(table(["Strategy", "dataset", "seeds", "status", "reason"], cells, text_columns=5))
        if any(status == "failed" for _, _, _, status, _ in rows):
            blocks.append("Tracebacks are in each run's record.json; the run ids are in tables/problems.csv.")
        if results.lost:
            blocks.append(
                f"{count(len(results.lost), 'run')} of the experiment's list in no table: `bench run` carries out what "
                "is missing. Delete the folder of a damaged run, and it is carried out again."
            )
    found = [*_divergence(results, diverged), *_leftovers(results), *audit_problems(results), *left_out(results)]
    return [*blocks, *found]


def problem_rows(results: Results) -> list[tuple[str, str, str, str, str]]:
    """Entry, scenario, seeds, status and reason (one line, not too long) of runs that did not end well or are lost."""
    rows = []
    for (entry, scenario, status, reason), group in bad_runs(results).groupby(WHAT, sort=True):
        text = one_line(reason) or "no reason was recorded"
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        seeds = ", ".join(sorted(map(str, group["seed"]), key=lambda seed: (len(seed), seed)))
        seeds = seeds if len(seeds) <= LONGEST_SEEDS else f"{count(len(group), 'run')}"
        rows.append((str(entry), str(scenario), seeds, str(status), text))
    return rows


def bad_runs(results: Results) -> pd.DataFrame:
    """Columns ``scenario, entry, seed, status, reason, run_id`` of the runs that did not end well, and of those lost.

    The scenario of a run that is lost is its dataset; what its protocol was, a table of runs would have said.
    """
    bad = results.runs.loc[results.runs["status"] != "ok", COLUMNS]
    lost = [(run.dataset, run.strategy, run.seed, run.state, run.reason, run.run_id) for run in results.lost]
    return pd.concat([bad, pd.DataFrame(lost, columns=COLUMNS)]) if lost else bad


def left_out(results: Results) -> list[str]:
    """Sentences on the runs that are in no table."""
    sentences = []
    if results.replaced:
        sentences.append(
            f"{count(results.replaced, 'older run')} left out: a later run of the same strategy, dataset and seed, "
            "or of an edited plug-in, took its place."
        )
    return sentences


def _leftovers(results: Results) -> list[str]:
    """A line for each entry whose runs or timing passes left something behind, or were made beside what others left."""
    entries = dict(zip(results.runs["run_id"], results.runs["entry"], strict=True))
    left, beside = dict[str, list[str]](), dict[str, list[str]]()
    for run_id, entry in entries.items():
        for made in (results.records.get(run_id), results.timings.get(run_id)):
            if made is not None:
                left.setdefault(entry, []).extend(made.left)
                beside.setdefault(entry, []).extend(made.beside)
    lines = [f"- {escape(e)} {escape(left_behind(dict.fromkeys(found)))}." for e, found in left.items() if found]
    lines += [f"- {escape(e)} {escape(made_beside(dict.fromkeys(found)))}." for e, found in beside.items() if found]
    return ["\n".join(sorted(lines))] if lines else []


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
