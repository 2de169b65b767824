"""Sweeps: the grid that was tried on the validation rows, and what was chosen."""

from __future__ import annotations

import pandas as pd

from bench.analysis.sweeps import spread_options
from bench.contracts.text import one_line
from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.render.markdown import count, escape, fenced, table
from bench.report.render.numbers import places, with_spread
from bench.report.sections.sweep_results import SWEEP_FIGURE, Sweeps
from bench.results.trials import value_text

MOST_ROWS, LONGEST = 30, 120
HOW = (
    "Options were chosen on the validation rows alone: these runs end where the stream begins, and hold no row of it. "
    "val MSE is scaled, mean ± standard deviation over seeds, lower is better. The point with the lowest mean is "
    "**chosen**, the first of several; never one of which a seed failed."
)


def compose_sweeps(sweeps_found: Sweeps, gallery: Gallery) -> str:
    """The Markdown of a report on a sweep of which nothing was served yet.

    Args:
        sweeps_found: The sweep.
        gallery: The figures that were drawn.
    """
    head = [
        f"# Benchmark report: {escape(sweeps_found.experiment)}",
        "The stream has not been served with what was chosen: that is `bench sweep` without `--no-serve`.",
    ]
    return "\n\n".join([*head, *sweeps(sweeps_found, gallery)]) + "\n"


def sweeps(found: Sweeps, gallery: Gallery) -> list[str]:
    """Blocks: for each search, the grid as a figure and a table; then the choice as TOML."""
    blocks = ["## Sweeps", HOW]
    for title, rows in found.searches():
        blocks += [f"### Sweep of {escape(title)}", *picture(gallery, title, SWEEP_FIGURE), *_grid(rows)]
    blocks.append("Every point is in tables/sweep.csv, every run in tables/sweep_runs.csv.")
    if found.snippets:
        code = "\n\n".join(fenced(snippet, "toml") for snippet in found.snippets)
        blocks.append(f"<details><summary>The choice as TOML</summary>\n\n{code}\n\n</details>")
    return blocks


def _grid(rows: pd.DataFrame) -> list[str]:
    shown = rows if len(rows) <= MOST_ROWS else rows.sort_values(["failed", "val_mse"]).head(MOST_ROWS)
    options = spread_options(shown)
    decimals = places(shown["val_mse"])
    failed = bool(shown["failed"].any())
    headers = [*(escape(option) for option in options), "val MSE ↓", "seeds", "", *(["failed"] if failed else [])]
    lines = []
    for point, (_, row) in zip(options.itertuples(index=False, name=None), shown.iterrows(), strict=True):
        error = with_spread(row["val_mse"], row["val_mse_sd"], decimals)
        cells = [escape(value_text(value)) for value in point]
        cells += [f"**{error}**" if row["chosen"] else error, str(row["seeds"]), "chosen" if row["chosen"] else ""]
        lines.append([*cells, *([_failures(row)] if failed else [])])
    blocks = [table(headers, lines, text_columns=0)]
    if len(shown) < len(rows):
        blocks.append(f"The {MOST_ROWS} of {count(len(rows), 'point')} with the lowest error, those that failed last.")
    if not rows["chosen"].any():
        blocks.append("**Nothing was chosen: of every point some run failed.**")
    return blocks


def _failures(row: pd.Series) -> str:
    if not row["failed"]:
        return ""
    reason = one_line(row["reason"])
    return f"{row['failed']}: {escape(reason if len(reason) <= LONGEST else reason[: LONGEST - 1] + '…')}"
