"""Every run that did not end well, every strategy that was not seen to be honest, and why."""

from __future__ import annotations

import pandas as pd

from bench.analysis import divergence_counts
from bench.contracts.text import one_line
from bench.report.blocks import Block, Heading, Paragraph, Table, bullets, escape, paragraphs
from bench.report.render.numbers import count
from bench.report.section import register_section
from bench.report.sections.audits import audit_problems, audit_rows
from bench.report.view.loaded import Results
from bench.results.record import left_behind, made_beside

LONGEST, LONGEST_SEEDS = 240, 60
MOST_NAMED = 3
WHAT = ["entry", "status", "reason", "scenario"]
COLUMNS = ["scenario", "entry", "seed", "status", "reason", "run_id"]


@register_section("problems", after="tuning", in_html=False)
def problems(results: Results) -> list[Block]:
    """Failed, skipped and lost runs and audits with their reasons, and runs that were left out."""
    rows = problem_rows(results)
    blocks: list[Block] = [Heading("Problems")]
    diverged = divergence_counts(results.runs)
    if not rows:
        said = "Every run ended well." if diverged.empty else "Every run ended, but not all errors are finite."
        blocks.append(Paragraph(said))
    else:
        cells = [[escape(cell) for cell in row] for row in rows]
        blocks.append(Table(["Strategy", "dataset", "seeds", "status", "reason"], cells, text_columns=5))
        if any(status == "failed" for _, _, _, status, _ in rows):
            text = "Tracebacks are in each run's record.json; the run ids are in tables/problems.csv."
            blocks.append(Paragraph(text))
        if results.lost:
            text = f"{count(len(results.lost), 'run')} of the experiment's list in no table: `bench run` carries out "
            text += "what is missing. Delete the folder of a damaged run, and it is carried out again."
            blocks.append(Paragraph(text))
    blocks += [*_divergence(results, diverged), *bullets(_leftovers(results)), *audit_problems(results)]
    return [*blocks, *paragraphs(*left_out(results))]


def problem_rows(results: Results) -> list[tuple[str, str, str, str, str]]:
    """Entry, scenarios, seeds, status and reason (one line, not too long) of runs that did not end well or are lost.

    Scenarios in which the same happened to an entry are one row.
    """
    scenarios = dict[tuple[str, str, str, str], list[str]]()
    for (entry, status, reason, scenario), group in bad_runs(results).groupby(WHAT, sort=True):
        text = one_line(reason) or "no reason was recorded"
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        seeds = ", ".join(sorted(map(str, group["seed"]), key=lambda seed: (len(seed), seed)))
        seeds = seeds if len(seeds) <= LONGEST_SEEDS else f"{count(len(group), 'run')}"
        scenarios.setdefault((str(entry), seeds, str(status), text), []).append(str(scenario))
    return [
        (entry, _several(where, len(results.scenarios)), seeds, status, text)
        for (entry, seeds, status, text), where in scenarios.items()
    ]


def _several(names: list[str], of: int) -> str:
    """All of them by name where they are few."""
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"all {of}" if len(names) == of else f"{len(names)} of {of}: {', '.join(names)}"


def bad_runs(results: Results) -> pd.DataFrame:
    """Columns ``scenario, entry, seed, status, reason, run_id`` of the runs that did not end well, and of those lost.

    The scenario of a run that is lost is its dataset; what its protocol was, a table of runs would have said.
    """
    bad = results.runs.loc[results.runs["status"] != "ok", COLUMNS]
    lost = [(run.dataset, run.strategy, run.seed, run.state, run.reason, run.run_id) for run in results.lost]
    return pd.concat([bad, pd.DataFrame(lost, columns=COLUMNS)]) if lost else bad


def in_short(results: Results) -> list[Block]:
    """In short, for the HTML page: what left no result or failed its audit."""
    rows = [*problem_rows(results), *((subject, "", "", said, reason) for subject, said, reason in audit_rows(results))]
    cells = [[escape(cell) for cell in row] for row in rows]
    headers = ["strategy", "dataset", "seeds", "status", "reason"]
    caption = "What left no result or failed its audit, and why"
    found = Table(headers, cells, text_columns=5, caption=caption) if rows else Paragraph("Every run ended well.")
    return [found, *paragraphs(*left_out(results))]


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
    lines = [f"{escape(e)} {escape(left_behind(dict.fromkeys(found)))}." for e, found in left.items() if found]
    lines += [f"{escape(e)} {escape(made_beside(dict.fromkeys(found)))}." for e, found in beside.items() if found]
    return sorted(lines)


def _divergence(results: Results, counts: pd.DataFrame) -> list[Block]:
    """How many runs of whom diverged, by dataset; nothing where none did."""
    if counts.empty:
        return []
    rows = [
        [escape(row.entry), escape(row.base), escape(row.scenario), f"{row.diverged} of {row.runs}", escape(row.seeds)]
        for row in counts.itertuples(index=False)
    ]
    total, tried = int(counts["diverged"].sum()), int((results.runs["status"] != "skipped").sum())
    said = f"{total} of {count(tried, 'run')} diverged: a forecast, an error or a whole training was not finite."
    table = Table(["Strategy", "forecaster", "dataset", "diverged ↓", "seeds"], rows, text_columns=3)
    return [Paragraph(said), table]
