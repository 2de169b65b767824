"""How the forecasters were trained, and whether they are worth adapting."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report.blocks import Block, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.training import Panel, draw_trainings
from bench.report.render.numbers import NONE, count, fixed, places, with_spread, words
from bench.report.section import drawn, register_section
from bench.report.view.detail import detail
from bench.report.view.loaded import Results
from bench.report.view.training import REFERENCES, STRONG, pooled_trainings, trainings

NAMES = {"ridge": "ridge regression", "seasonal_naive": "seasonal-naive", "persistence": "persistence"}
HOW_TO_READ = (
    "MSE, scaled, on the same validation windows, each forecast by itself; the ridge regression was solved on the "
    "training rows. *Kept* is the step of the lowest validation error, whose weights serve. A training has converged "
    "where as many looks as its patience found no lower error, or where the last quarter of its looks lowered it by "
    "less than 1 %. **Bold**: weak, more than 1 % above ridge regression or seasonal-naive."
)
MOST_PANELS, MOST_ROWS, MOST_NAMED = 6, 12, 3


@register_section("training", after="when", on_pages=True, in_html=False)
def training(results: Results) -> list[Block]:
    """A table of trainings beside references, and their curves; nothing without a trained forecaster."""
    here = shown(results)
    if here.empty:
        return []
    rows = [_row(row) for _, row in here.head(MOST_ROWS).iterrows()]
    headers = ["Forecaster", "dataset", "seeds", "steps", "kept", "converged", "validation MSE ↓"]
    blocks: list[Block] = [Heading("Training"), Paragraph(HOW_TO_READ)]
    blocks.append(Table([*headers, *(f"{NAMES[name]} ↓" for name in REFERENCES)], rows, text_columns=2))
    blocks += paragraphs(_notes(here))
    subject = "-".join(results.page) or "datasets"
    return [*blocks, *drawn(results, "training", subject, "Validation error by training step", _figure, results)]


def shown(results: Results) -> pd.DataFrame:
    """The pooled trainings of the page at hand."""
    found = pooled_trainings(results)
    return found[found["scenario"].isin(detail(results).shown)] if len(found) else found


def weak_forecasters(results: Results) -> str:
    """A sentence that names the forecasters that lose to a reference on validation; empty if none does."""
    found = pooled_trainings(results)
    weak = found[found["weak"].astype(bool)] if len(found) else found
    if weak.empty:
        return ""
    named = []
    for _, row in weak.head(MOST_NAMED).iterrows():
        decimals = places([row["validation"], *row[list(STRONG)]])
        above = words([f"{NAMES[name]}'s {fixed(row[name], decimals)}" for name in row["weak"]])
        own = f"{escape(row['forecaster'])} on {escape(row['scenario'])} has {fixed(row['validation'], decimals)}"
        named.append(f"{own}, above {above}")
    more = f"; and {len(weak) - len(named)} more" if len(weak) > len(named) else ""
    text = (
        f"**Weak on validation rows** (MSE): {'; '.join(named)}{more}. What adapting gains there, a better forecaster "
    )
    return f"{text}may have without it: see [Training](#training)."


def _row(row: pd.Series) -> list[str]:
    decimals = places([row["validation"], *row[list(REFERENCES)]])
    own = with_spread(row["validation"], row["spread"] or np.nan, decimals)
    steps = _range(row["steps"], row["most_steps"])
    cells = [escape(row["forecaster"]), escape(row["scenario"]), str(row["seeds"])]
    cells += [f"{steps} of {row['budget']:,.0f}" if np.isfinite(row["budget"]) else steps]
    cells += [_range(row["kept"], row["most_kept"])]
    cells += [
        f"{row['converged']} of {row['trained']}" if row["trained"] else NONE,
        f"**{own}**" if row["weak"] else own,
    ]
    return [*cells, *(fixed(row[name], decimals) for name in REFERENCES)]


def _range(low: float, high: float) -> str:
    if np.isnan(low):
        return NONE
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def _notes(here: pd.DataFrame) -> str:
    lines = []
    if here["validation"].isna().any():
        lines.append("A dash: made before it was recorded, by an earlier version of this package.")
    if closed := sorted({escape(name) for name in here.loc[here["trained"] == 0, "forecaster"]}):
        lines.append(f"Not trained by gradients: {words(closed)}.")
    if len(here) > MOST_ROWS:
        lines.append(f"{count(len(here) - MOST_ROWS, 'more row')}: tables/training.csv.")
    return " ".join(lines)


def _figure(results: Results) -> Drawing | None:
    found = trainings(results)
    found = found[found["curve"].notna()]
    panels = list[Panel]()
    for _, row in shown(results).iterrows():
        here = found[(found["forecaster"] == row["forecaster"]) & (found["scenario"] == row["scenario"])]
        if len(here) and len(panels) < MOST_PANELS:
            kept = [(at, own) for at, own in zip(here["kept"], here["validation"], strict=True) if np.isfinite(own)]
            references = [(NAMES[name], row[name]) for name in REFERENCES]
            panels.append(Panel(f"{row['forecaster']} on {row['scenario']}", here["curve"].tolist(), kept, references))
    if not panels:
        return None
    drawing = draw_trainings(panels)
    caption = "A line is a seed: the validation error that training stops on, look by look."
    if len(found) and np.isfinite(found["validation"]).any():
        caption += " Circles: the MSE in the table, of the weights kept"
        own = (found["validation"] - found["error"]).abs() > 1e-6 * found["error"]
        caption += ", apart from the line where a forecaster stops on an error of its own." if own.any() else "."
    return Drawing(drawing.figure, f"{caption} {drawing.caption}".rstrip())
