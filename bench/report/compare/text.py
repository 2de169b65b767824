"""What `bench compare` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.analysis.compare import BETTER, FAILING, compared, tally
from bench.report.blocks import Block, Paragraph, Table, bullets, escape
from bench.report.render.numbers import NONE, count, fixed, percent, places, words
from bench.report.sections.verdict_cells import HEADERS, RESOLUTION, SKILL, verdict_cells

if TYPE_CHECKING:
    from bench.report.compare.loading import Comparison

MEASURES = {
    "status": "status",
    "errors": "errors",
    "mse": "MSE",
    "speed": "speed",
    "windows_per_s": "windows/s",
    "predict_p50_ms": "predict p50, ms",
    "adapt_p50_ms": "adapt p50, ms",
    "median_ms": "median, ms",
    "ratio": "ratio",
}
ALONE = ("only in A", "only in B")
LONGEST = 160  # letters of a name or a reason
QUIET = ("not comparable", "judged by ratio", "same")
UNSURE = ("no significant difference",)
VERDICTS = (*FAILING, *UNSURE, *BETTER, *ALONE, *QUIET)
HOW_TO_READ = (
    f"In the column of skill the first is B, the other A. {SKILL} {RESOLUTION} p-values are adjusted (Holm) for all "
    "entries whose errors are not the same."
)
ALWAYS_COUNTED = ("worse", "slower")


def comparison(found: Comparison, *, everything: bool) -> list[Block]:
    """A table of what changed beyond the bounds, notes, and one line that sums up.

    Args:
        found: The comparison.
        everything: Whether the table shows what did not change, too, and what cannot be compared row by row.
    """
    changes = found.changes
    shown = changes if everything else changes[~changes["verdict"].isin(QUIET)]
    notes = [] if everything else _not_compared(changes)
    notes += [
        f"{count(number, 'listed run')} in {side} missing or damaged, and left out."
        for side, number in zip("AB", found.unreadable, strict=True)
        if number
    ]
    tables: list[Block] = [_table(shown)] if len(shown) else []
    tables += [Paragraph(HOW_TO_READ)] if shown["skill"].notna().any() else []
    return [*tables, *bullets(notes), Paragraph(summary(changes))]


def summary(changes: pd.DataFrame) -> str:
    """``142 runs compared: 0 worse, 1 slower, 2 only in A``."""
    sides = [count(n, noun) for n, noun in _sizes(changes) if n]
    counts = tally(changes)
    names = [*ALWAYS_COUNTED, *(v for v in VERDICTS if v in counts and v not in (*ALWAYS_COUNTED, *QUIET))]
    return f"{words(sides)} compared: {', '.join(f'{counts.get(verdict, 0):,} {verdict}' for verdict in names)}"


def _sizes(changes: pd.DataFrame) -> list[tuple[int, str]]:
    return [(compared(changes, "status"), "run"), (compared(changes, "median_ms"), "benchmark")]


def _not_compared(changes: pd.DataFrame) -> list[str]:
    """A line for each reason why something was not compared."""
    rows = changes[changes["verdict"] == "not comparable"]
    lines = []
    for (measure, reason), group in rows.groupby(["measure", "reason"], sort=False):
        number = sum(max(1, len(seeds)) for seeds in group["seeds"])
        what = count(number, "benchmark" if measure == "median_ms" else "run")
        lines.append(f"{MEASURES[str(measure)]} of {what} not compared: {escape(reason)}.")
    return lines


def _table(changes: pd.DataFrame) -> Table:
    """Rows by verdict, the gravest first."""
    rows = changes.assign(order=changes["verdict"].map(VERDICTS.index)).sort_values("order", kind="stable")
    texts = {"verdict": "verdict", "experiment": "experiment", "scenario": "dataset", "entry": "what"}
    texts |= {"measure": "measure", "reason": "reason"}
    needless = {name for name in ("scenario", "reason") if (rows[name] == "").all()}
    needless |= {"experiment"} if rows.loc[rows["scenario"] != "", "experiment"].nunique() < 2 else set()
    columns = [name for name in texts if name not in needless]
    headers = [*(texts[name] for name in columns), "A", "B", "change", "worst seed", "seeds"]
    cells = [[*(_text(row, name) for name in columns), *_numbers(row)] for _, row in rows.iterrows()]
    if rows["skill"].notna().any():
        headers[-1:-1] = [*HEADERS[:2], HEADERS[3]]
        for line, (_, row) in zip(cells, rows.iterrows(), strict=True):
            skill = verdict_cells(row) if np.isfinite(row["skill"]) else [NONE] * len(HEADERS)
            line[-1:-1] = [*skill[:2], skill[3]]
    return Table(headers, cells, text_columns=len(columns))


def _text(row: pd.Series, name: str) -> str:
    if name == "measure":
        return MEASURES[row[name]]
    text = escape(row[name] if len(row[name]) <= LONGEST else row[name][: LONGEST - 1] + "…")
    return f"**{text}**" if name == "verdict" and row[name] in FAILING else text


def _numbers(row: pd.Series) -> list[str]:
    decimals = places([row["a"], row["b"]])
    change, worst = (_change(row[name]) for name in ("change", "worst"))
    worst = f"{worst} ({int(row['worst_seed'])})" if len(row["seeds"]) > 1 and change != NONE else NONE
    seeds = ", ".join(map(str, row["seeds"])) or NONE
    return [fixed(row["a"], decimals), fixed(row["b"], decimals), change, worst, seeds]


def _change(share: float) -> str:
    if np.isinf(share):
        return "+∞"
    return f"{percent(100 * share)} %" if np.isfinite(share) else NONE
