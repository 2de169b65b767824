"""What labels are worth: error where fewer of them come back, or later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from bench.analysis import fullest, labels_released
from bench.analysis.label_curves import BOTH, DELAY, EVERY, INSTANT, SHARE
from bench.analysis.leaderboard import FROZEN
from bench.report.blocks import Block, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.label_curve import draw_label_curve
from bench.report.figures.palette import Look, looks, palette_of
from bench.report.render.numbers import NONE, fixed, places, with_spread, words
from bench.report.section import drawn, register_section
from bench.report.sections.audits import entry_names
from bench.report.sections.verdict_cells import EXPLORATORY, HEADERS, SKILL, UNCLEAR, verdict_cells
from bench.report.view.detail import detail
from bench.report.view.highlight import MOST_HIGHLIGHTED, MOST_SHOWN
from bench.report.view.labels import gains_from_labels, shown_families, worth_of_labels
from bench.report.view.loaded import Results

KINDS = {SHARE: "labels", DELAY: "delay"}
WHAT = {SHARE: "share of labels", DELAY: "delay of labels"}
TITLES = {SHARE: "Share of labels on", DELAY: "Late labels on"}
ANSWERS = {
    SHARE: {"worse": "labels help", "better": "labels hurt"},
    DELAY: {"worse": "waiting costs", "better": "waiting helps"},
}
HOW_TO_READ = (
    "The same streams with fewer labels, or with later ones. MSE is scaled; ± is half of the 95 % interval of the mean "
    "over seeds (Student's distribution; it knows nothing of the stream's own chance, nor of which labels were drawn). "
    "**Bold** is the lowest of those ranked. *1 in n* is every n-th label; a share in % alone is drawn label by label. "
    "Below, the same strategy with fewer (or later) labels against itself with more (or earlier) ones, on the same "
    f"forecasts. {SKILL} So below 0, labels are worth having. {EXPLORATORY} *The same throughout* are strategies whose "
    "error does not depend on labels at all, or not within what was tried."
)


@register_section("labels", after="memory", in_html=False)
def labels(results: Results) -> list[Block]:
    """For each family of label regimes a sentence, a figure and two tables; nothing where there is none."""
    blocks: list[Block] = []
    for here in shown_families(results):
        kind, family = here["kind"].iloc[0], str(here["family"].iloc[0])
        alt = f"Error by {WHAT[kind]} on {family}"
        blocks += [Heading(f"{TITLES[kind]} {escape(family)}", 3), *paragraphs(*_sentences(results, here))]
        blocks += drawn(results, KINDS[kind], family, alt, _figure, results, here)
        blocks += [_errors(results, here), Paragraph(_notes(results, here)), *_worth(results, here)]
    rest = f"This page shows only {escape(words(detail(results).shown))}; tables/ has the others in full."
    if not blocks:
        return []
    return [Heading("What labels are worth"), Paragraph(HOW_TO_READ), *blocks, Paragraph(rest)]


def _figure(results: Results, here: pd.DataFrame) -> Drawing | None:
    shown = _looks(results, here)
    return draw_label_curve(here, shown) if shown else None


def _looks(results: Results, curves: pd.DataFrame) -> list[Look]:
    """What takes labels and frozen in colour, the rest in grey; twelve in all."""
    known = curves[np.isfinite(curves["mse"].astype(float))]
    board = results.board_of(fullest(curves))
    board = board[board["entry"].isin(known["entry"])]
    takers = [e for e in board["entry"] if known.loc[known["entry"] == e, "moves"].any()]
    frozen = board.loc[board["strategy"] == FROZEN, "entry"].head(1).tolist()
    highlighted = dict.fromkeys([*takers[: MOST_HIGHLIGHTED - len(frozen)], *frozen])
    kept = list(dict.fromkeys([*highlighted, *takers, *board["entry"]]))[:MOST_SHOWN]
    drawn_as = looks(board[board["entry"].isin(kept)], palette_of(results))
    return [replace(look, highlighted=look.entry in highlighted) for look in drawn_as]


def label_settings(here: pd.DataFrame) -> dict[str, str]:
    """What each scenario of a family is called in its tables, from most and earliest labels to fewest and latest."""
    falling = (here["kind"] == SHARE).all()
    scenarios = here.drop_duplicates("scenario").sort_values("x", ascending=not falling, kind="stable")
    return {str(row["scenario"]): _setting(row) for _, row in scenarios.iterrows()}


def _setting(row: pd.Series) -> str:
    if row["kind"] == DELAY:
        late = f"{int(row['x']):,} rows late" if row["x"] else "in time"
        return "instant (leaky)" if row["way"] == INSTANT else late
    if row["way"] == EVERY:
        return f"1 in {row['label_every']:,}"
    share = "all" if row["x"] == 1 else f"{100 * row['label_rate']:.3g} %"
    return f"{share} of 1 in {row['label_every']:,}" if row["way"] == BOTH else share


def _ranked(here: pd.DataFrame) -> pd.DataFrame:
    """The rows that may have the lowest error."""
    leaky = (here["group"] == "leaky") | here["leaky"].astype(bool)
    return here[~leaky & np.isfinite(here["mse"].astype(float))]


def _sentences(results: Results, here: pd.DataFrame) -> list[str]:
    """Who is best with most labels and with fewest (or earliest and latest), and what it takes to beat none at all."""
    ranked = _ranked(here)
    if ranked.empty:
        return ["Nothing here is ranked."]
    settings = label_settings(ranked)
    named = []
    for scenario in dict.fromkeys([next(iter(settings)), next(reversed(settings))]):
        best = ranked[ranked["scenario"] == scenario].sort_values("mse", kind="stable").iloc[0]
        value = fixed(best["mse"], places([best["mse"]]))
        named.append(f"**{escape(best['entry'])}** ({value}) with {with_labels(here, settings[scenario])}")
    kind = here["kind"].iloc[0]
    return [f"Lowest MSE: {', '.join(named)}.", *(_to_beat_frozen(results, ranked, settings) if kind == SHARE else [])]


def with_labels(here: pd.DataFrame, setting: str) -> str:
    """A setting as it follows "with": ``all labels``, ``1 in 10``, ``labels 100 rows late``."""
    return (
        f"labels {setting}" if here["kind"].iloc[0] == DELAY else f"{setting} labels" if setting == "all" else setting
    )


def _to_beat_frozen(results: Results, ranked: pd.DataFrame, settings: dict[str, str]) -> list[str]:
    """With which labels each strategy whose error moves is significantly better than frozen."""
    gains = _rows_of(gains_from_labels(results), ranked)
    gains = gains[gains["entry"].isin(ranked["entry"])] if len(gains) else gains
    if gains.empty:
        return []
    below, never = [], []
    for entry, rows in gains.groupby("entry", sort=False):
        clear = set(rows.loc[rows["verdict"] == "better", "scenario"])
        if clear:
            below.append(
                f"{escape(entry)} with {words([name for scenario, name in settings.items() if scenario in clear])}"
            )
        else:
            never.append(escape(entry))
    parts = [*below, *([f"with no share tried {words(never)}"] if never else [])]
    return [f"Significantly better than {FROZEN}, which takes no labels: {'; '.join(parts)}."]


def _rows_of(found: pd.DataFrame, here: pd.DataFrame) -> pd.DataFrame:
    """Of a frame of all families, the rows of the one at hand."""
    if found.empty:
        return found
    rows: pd.DataFrame = found[(found["kind"] == here["kind"].iloc[0]) & (found["family"] == here["family"].iloc[0])]
    return rows


def _errors(results: Results, here: pd.DataFrame) -> Table:
    settings = label_settings(here)
    lowest = _ranked(here).groupby("scenario")["mse"].min()
    decimals = places(here["mse"])
    rows = []
    for entry in results.board_of(fullest(here))["entry"]:
        own = here[here["entry"] == entry]
        cells = [_error(own, scenario, lowest, decimals) for scenario in settings]
        few, most = int(own["seeds"].min()), int(own["seeds"].max())
        seeds = str(most) if few == most else f"{few} to {most}"
        rows.append([entry_names(results)[entry], *cells, seeds, "" if own["moves"].any() else "the same throughout"])
    headers = ["Strategy", *(f"{escape(setting)} ↓" for setting in settings.values()), "seeds", "notes"]
    return Table(headers, rows)


def _error(own: pd.DataFrame, scenario: str, lowest: pd.Series, decimals: int) -> str:
    found = own[own["scenario"] == scenario]
    if found.empty:
        return NONE
    row = found.iloc[0]
    cell = with_spread(row["mse"], row["high"] - row["mse"], decimals)
    return f"**{cell}**" if len(_ranked(found)) and row["mse"] == lowest.get(scenario) else cell


def _notes(results: Results, here: pd.DataFrame) -> str:
    """How many labels that is."""
    counts = []
    for scenario, setting in label_settings(here).items():
        record = results.first(scenario)
        counts.append(f"{setting} {labels_released(record.protocol, record.dataset.borders):,}")
    text = f"MSE, scaled. Labels released until the last forecast, those of a warm start included: {', '.join(counts)}."
    return f"{text} Every number is in tables/label_curves.csv."


def _worth(results: Results, here: pd.DataFrame) -> list[Block]:
    found = _rows_of(worth_of_labels(results), here)
    if found.empty:
        return []
    kind = here["kind"].iloc[0]
    settings, answers = label_settings(here), ANSWERS[kind] | UNCLEAR
    rows = []
    for _, row in found.iterrows():
        compared = f"{escape(settings[row['less']])} against {escape(settings[row['more']])}"
        rows.append([escape(row["entry"]), compared, *verdict_cells(row, answers)])
    return [Table(["Strategy", "labels compared", *HEADERS], rows, text_columns=2)]
