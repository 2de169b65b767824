"""Tuning: what was tried on the validation rows and chosen, and what the stream says of the choice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import islice

import pandas as pd

from bench.analysis.tuning import GROUP, best_by_option, spread_options
from bench.contracts.text import one_line
from bench.report.blocks import Block, Code, Details, Figure, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.palette import colours
from bench.report.figures.tuning import draw_heat, draw_options
from bench.report.render.numbers import count, fixed, percent, places, with_spread, words
from bench.report.section import register_section
from bench.report.sections.verdict_cells import marked_skill
from bench.report.view.comparisons import tuned_beside_default
from bench.report.view.loaded import Results
from bench.report.view.tuning import Tuning
from bench.results.trials import point_text, value_text

MOST_ROWS, LONGEST, MOST_SHOWN = 30, 120, 24
HOW = (
    "Options were chosen on the validation rows alone: these runs end where the stream begins, and hold no row of it. "
    "val MSE is scaled, mean ± standard deviation over seeds, lower is better. The trial with the lowest mean is "
    "**chosen**, the first of several; never one of which a seed failed."
)
BESIDE = (
    "The stream was served with the options as they were and, as entries called *tuned*, with those chosen. Skill is "
    "that of the tuned entry over the other, as among the ablations ([Skill](#skill))."
)


@register_section("tuning", after="labels", in_html=False)
def tuning(results: Results) -> list[Block]:
    """The experiment's trials of options, if it has any."""
    if results.tuning is None:
        return []
    beside = tuned_beside_default(results)
    if beside.empty:
        return blocks_of(results.tuning, results.colours)
    strategies = dict(zip(results.board["entry"], results.board["strategy"], strict=True))
    alone = [name for name in results.strategies if name not in {strategies[entry] for entry in beside["entry"]}]
    defaults = f"With nothing to try, as they are: {words([escape(name) for name in alone])}." if alone else ""
    texts = paragraphs(f"{BESIDE} {defaults}".strip(), _misled(beside))
    return blocks_of(results.tuning, results.colours, [*texts, *_beside(beside, several=len(results.scenarios) > 1)])


def not_served(found: Tuning) -> list[Block]:
    """The report on trials of which nothing was served yet."""
    text = "The stream has not been served with what was chosen: that is `bench tune` without `--no-serve`."
    return [Heading(f"Benchmark report: {escape(found.experiment)}", 1), Paragraph(text), *blocks_of(found)]


def blocks_of(found: Tuning, stated: Mapping[str, str] | None = None, served: Sequence[Block] = ()) -> list[Block]:
    """How options were chosen and what came of it; then each search as a figure and a table, and the choice as TOML."""
    blocks: list[Block] = [Heading("Tuning"), *paragraphs(HOW, _budget(found)), *served]
    names = {strategy: strategy.partition(" (")[0] for strategy in found.table["strategy"]}
    palette = colours(names.values(), stated)
    for title, rows in islice(found.searches(), MOST_SHOWN):
        drawing = draw_trials(rows, palette[names[rows["strategy"].iloc[0]]])
        alt = f"Validation error of the trials of {title}"
        picture = [Figure("tuning", title, alt, drawing.figure, drawing.caption)] if drawing else []
        blocks.append(Details(f"Trials of {escape(title)}", [*picture, *_grid(rows)]))
    blocks.append(Paragraph("Every trial is in tables/tuning.csv, every run in tables/tuning_runs.csv."))
    if found.snippets:
        blocks.append(Details("The choice as TOML", [Code(snippet, "toml") for snippet in found.snippets]))
    return blocks


def _budget(found: Tuning) -> str:
    """How many trials each strategy had, and over how many windows."""
    sizes = found.table.groupby(GROUP, sort=False).size().rename("size").reset_index()
    by_size = {
        size: words([escape(name) for name in rows["strategy"].unique()]) for size, rows in sizes.groupby("size")
    }
    told = "; ".join(f"{count(int(str(size)), 'trial')} each for {names}" for size, names in by_size.items())
    differ = " (**the budgets differ**)" if len(by_size) > 1 else ""
    datasets = found.trials.drop_duplicates("dataset")
    windows = zip(datasets["windows"], datasets["dataset"], strict=True)
    rows = words([f"{count(number, 'window')} of {escape(dataset)}" for number, dataset in windows])
    seeds = count(found.trials["seed"].nunique(), "seed")
    return f"Budget on each dataset: {told}{differ}. A trial serves all validation rows with {seeds}: {rows}."


def _misled(beside: pd.DataFrame) -> str:
    """Where the stream prefers the options that validation did not."""
    worse = beside[beside["prefers"] == "defaults"].sort_values("mse_change", ascending=False)
    if worse.empty:
        return ""
    named = []
    for _, row in worse.iterrows():
        sure = "significant" if row["verdict"] == "worse" else "not significant"
        named.append(
            f"{escape(row['entry'])} on {escape(row['scenario'])} (MSE {percent(row['mse_change'])} %, {sure})"
        )
    text = "**Validation and stream prefer different settings**: the tuned options have the higher error on the stream"
    return f"{text} for {words(named)}."


def _beside(beside: pd.DataFrame, *, several: bool) -> list[Block]:
    """A row for each tuned entry."""
    columns = [(f"{error}_default", f"{error}_tuned") for error in ("val_mse", "mse")]
    decimals = [places(beside[list(pair)].to_numpy().ravel()) for pair in columns]
    rows = []
    for _, row in beside.head(MOST_ROWS).iterrows():
        numbers = [fixed(row[name], n) for pair, n in zip(columns, decimals, strict=True) for name in pair]
        chosen = escape(point_text(json.loads(row["chosen"]))) if row["prefers"] else "as it was"
        names = [escape(row["entry"]), *([escape(row["scenario"])] if several else []), chosen]
        rows.append([*names, *numbers, marked_skill(row) if row["prefers"] else "same"])
    heads = ["Strategy", *(["Dataset"] if several else []), "Chosen", "val MSE, as it was ↓", "tuned ↓"]
    heads += ["MSE, as it was ↓", "tuned ↓", "skill of tuning, % ↑"]
    more = f"The first {MOST_ROWS} of {len(beside)}; all are in tables/tuned.csv." if len(beside) > MOST_ROWS else ""
    return [Table(heads, rows, text_columns=2 + several), *paragraphs(more)]


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
        text = f"The {MOST_ROWS} of {count(len(rows), 'trial')} with the lowest error, those that failed last."
        blocks.append(Paragraph(text))
    if not rows["chosen"].any():
        blocks.append(Paragraph("**Nothing was chosen: of every trial some run failed.**"))
    return blocks


def _failures(row: pd.Series) -> str:
    if not row["failed"]:
        return ""
    reason = one_line(row["reason"])
    return f"{row['failed']}: {escape(reason if len(reason) <= LONGEST else reason[: LONGEST - 1] + '…')}"


def draw_trials(rows: pd.DataFrame, colour: str) -> Drawing | None:
    """The trials of one search: colours for a grid of two options, otherwise points; None where all failed."""
    best = best_by_option(rows)
    options = list(dict.fromkeys(best["option"]))
    if not options or best["val_mse"].isna().all():
        return None
    is_grid = len(rows) == math.prod(best.groupby("option").size())
    if len(options) == 2 and is_grid:
        return draw_heat(rows, spread_options(rows)[options])
    chosen = spread_options(rows[rows["chosen"]])
    return draw_options(best, {o: chosen[o].iloc[0] for o in options} if len(chosen) else {}, colour, linked=is_grid)
