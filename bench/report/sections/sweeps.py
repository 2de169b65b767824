"""Sweeps: the grid that was tried on the validation rows, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bench.analysis.sweeps import best_by_option, spread_options
from bench.contracts.text import one_line
from bench.report.blocks import Block, Code, Details, Figure, Heading, Paragraph, Table, escape
from bench.report.figures.canvas import Drawing
from bench.report.figures.palette import colours
from bench.report.figures.sweep import draw_heat, draw_options
from bench.report.render.numbers import count, places, with_spread
from bench.report.section import register_section
from bench.report.view.loaded import Results
from bench.report.view.sweeps import Sweeps
from bench.results.trials import value_text

MOST_ROWS, LONGEST = 30, 120
HOW = (
    "Options were chosen on the validation rows alone: these runs end where the stream begins, and hold no row of it. "
    "val MSE is scaled, mean ± standard deviation over seeds, lower is better. The point with the lowest mean is "
    "**chosen**, the first of several; never one of which a seed failed."
)


@register_section("sweeps", after="labels", in_html=False)
def sweeps(results: Results) -> list[Block]:
    """The experiment's sweep, if it has one."""
    return blocks_of(results.sweeps, results.colours) if results.sweeps else []


def not_served(found: Sweeps) -> list[Block]:
    """The report on a sweep of which nothing was served yet."""
    text = "The stream has not been served with what was chosen: that is `bench sweep` without `--no-serve`."
    return [Heading(f"Benchmark report: {escape(found.experiment)}", 1), Paragraph(text), *blocks_of(found)]


def blocks_of(found: Sweeps, stated: Mapping[str, str] | None = None) -> list[Block]:
    """For each search, the grid as a figure and a table; then the choice as TOML."""
    blocks: list[Block] = [Heading("Sweeps"), Paragraph(HOW)]
    names = {strategy: strategy.partition(" (")[0] for strategy in found.table["strategy"]}
    palette = colours(names.values(), stated)
    for title, rows in found.searches():
        blocks.append(Heading(f"Sweep of {escape(title)}", 3))
        drawing = _draw(rows, palette[names[rows["strategy"].iloc[0]]])
        if drawing is not None:
            alt = f"Validation error over the grid of {title}"
            blocks.append(Figure("sweep", title, alt, drawing.figure, drawing.caption))
        blocks += _grid(rows)
    blocks.append(Paragraph("Every point is in tables/sweep.csv, every run in tables/sweep_runs.csv."))
    if found.snippets:
        blocks.append(Details("The choice as TOML", [Code(snippet, "toml") for snippet in found.snippets]))
    return blocks


def _grid(rows: pd.DataFrame) -> list[Block]:
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
    blocks: list[Block] = [Table(headers, lines, text_columns=0)]
    if len(shown) < len(rows):
        text = f"The {MOST_ROWS} of {count(len(rows), 'point')} with the lowest error, those that failed last."
        blocks.append(Paragraph(text))
    if not rows["chosen"].any():
        blocks.append(Paragraph("**Nothing was chosen: of every point some run failed.**"))
    return blocks


def _failures(row: pd.Series) -> str:
    if not row["failed"]:
        return ""
    reason = one_line(row["reason"])
    return f"{row['failed']}: {escape(reason if len(reason) <= LONGEST else reason[: LONGEST - 1] + '…')}"


def _draw(rows: pd.DataFrame, colour: str) -> Drawing | None:
    best = best_by_option(rows)
    options = list(dict.fromkeys(best["option"]))
    if not options or best["val_mse"].isna().all():
        return None
    if len(options) == 2:
        return draw_heat(rows, spread_options(rows)[options])
    chosen = spread_options(rows[rows["chosen"]])
    return draw_options(best, {o: chosen[o].iloc[0] for o in options} if len(chosen) else {}, colour)
