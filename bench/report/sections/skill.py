"""Skill against the frozen forecaster and against persistence, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.leaderboard import FROZEN
from bench.report.blocks import Block, Bullets, Details, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.palette import palette_of
from bench.report.figures.skill import MEAN, MOST_ABREAST, draw_skills
from bench.report.render.numbers import count, words
from bench.report.section import drawn, register_section
from bench.report.sections.audits import entry_names
from bench.report.sections.verdict_cells import CLEAR, HEADERS, could_show, skill_text, verdict_cells
from bench.report.view.comparisons import REFERENCES, skill_table
from bench.report.view.detail import detail, detailed
from bench.report.view.loaded import Results
from bench.report.view.rankings import datasets_of, skill_over_datasets

OVER = (
    "Skill over datasets is the mean of their log ratios, each dataset with the same weight, and its interval is over "
    "other datasets like these. p-values are adjusted (Holm) for all entries."
)
FEWEST_ROWS = 3  # datasets in a forest plot
VERDICTS = {
    "better": ("is significantly better than", "are significantly better than"),
    "worse": ("is significantly worse than", "are significantly worse than"),
    "no significant difference": ("does not differ significantly from", "do not differ significantly from"),
    "too short": ("was not tested (too few stretches) against", "were not tested (too few stretches) against"),
    "undefined": ("has no defined skill against", "have no defined skill against"),
}
"""What is said of one strategy, and of several."""

MOST_SKILLS = 16  # in the figure
MOST_ROWS = 24  # datasets in each panel of the forest plot
MOST_LINES = 48  # in its panels below each other


@register_section("skill", after="leaderboard", in_html=False)
def skill(results: Results) -> list[Block]:
    """A sentence for each dataset and a figure; nothing without a reference."""
    found = skill_table(results)
    if found.empty:
        return []
    blocks: list[Block] = [Heading("Skill"), *_sentences(results, found)]
    reference = next(name for name in REFERENCES if (found["reference"] == name).any())
    alt = f"Skill of each strategy against {reference}"
    blocks += drawn(results, "skill", "datasets", alt, _figure, results, reference)
    if (found["verdict"] == "undefined").any():
        blocks.append(Paragraph("Against a reference without error, skill is undefined."))
    if (over := skill_over_datasets(results))["p"].notna().any():
        blocks.append(Details("Skills over all datasets", [_table_over(results, over), Paragraph(OVER)]))
    return blocks


def _sentences(results: Results, found: pd.DataFrame) -> list[Block]:
    """Over all datasets and for each one, who beats frozen and who does not."""
    adapting = [name for name, strategy in results.strategies.items() if strategy.adapts]
    known = found[(found["reference"] == FROZEN) & found["strategy"].isin(adapting)]
    over = skill_over_datasets(results)
    over = over[over["entry"].isin(known["entry"])]
    lines = [] if over.empty else [f"**Over {over_what(over)}**: {'; '.join(over_datasets(over))}."]
    for scenario in detail(results).shown:
        here = known[known["scenario"] == scenario]
        parts = [_part(verdict, here[here["verdict"] == verdict]) for verdict in VERDICTS]
        if any(parts):
            lines.append(f"**{escape(scenario)}**: {'; '.join(part for part in parts if part)}.")
    return [Bullets(lines), *paragraphs(_own_models(results, known))] if lines else []


def over_what(over: pd.DataFrame) -> str:
    """What the rows of `skill_over_datasets` are counted over: ``6 datasets``."""
    datasets, scenarios = int(over["datasets"].iloc[0]), int(over["scenarios"].iloc[0])
    what = count(datasets, "dataset")
    return f"{scenarios:,} versions of {what} (options and protocols)" if scenarios > datasets else what


def over_datasets(over: pd.DataFrame) -> list[str]:
    """Who beats frozen over all datasets, as parts of a sentence; with too few of them, on how many."""
    parts = [_part(verdict, over[over["verdict"] == verdict]) for verdict in VERDICTS]
    few = over[over["verdict"] == "too few datasets"].sort_values(["better", "worse"], ascending=False, kind="stable")
    for _, here in few.groupby(["better", "worse", "scenarios"], sort=False):
        names, verb = words([escape(entry) for entry in here["entry"]]), "is" if len(here) == 1 else "are"
        parts.append(f"{names} {verb} {better_on(here.iloc[0])}")
    return [part for part in parts if part]


def better_on(row: pd.Series) -> str:
    """On how many datasets an entry is significantly better than frozen, and on how many worse."""
    if row["better"] or row["worse"]:
        return (
            f"significantly better than frozen on {row['better']:,} of {row['scenarios']:,} (worse on {row['worse']:,})"
        )
    return f"significantly better or worse than frozen on none of {row['scenarios']:,}"


def _table_over(results: Results, over: pd.DataFrame) -> Table:
    rows = [
        [entry_names(results)[row["entry"]], *verdict_cells(row.rename({"datasets": "seeds"})), *on]
        for (_, row), *on in zip(over.iterrows(), over["better"].map(str), over["worse"].map(str), strict=True)
    ]
    of = f"of {over['scenarios'].iloc[0]:,}"
    return Table(["Against frozen", *HEADERS[:-1], "datasets", f"better on, {of}", f"worse on, {of}"], rows)


def _own_models(results: Results, known: pd.DataFrame) -> str:
    """Whose difference from frozen is not of adapting alone."""
    bases = results.board.drop_duplicates("entry").set_index("entry")["base"]
    shown = known[known["scenario"].isin(detail(results).shown) & (known["entry"].map(bases) == "none")]
    own = words([escape(entry) for entry in dict.fromkeys(shown["entry"])])
    if not own:
        return ""
    several = shown["entry"].nunique() > 1
    bring, their = ("bring models of their own", "their") if several else ("brings a model of its own", "its")
    return f"{own} {bring}: {their} difference from frozen is that of two models, not of adapting alone."


def _part(verdict: str, here: pd.DataFrame) -> str:
    """Those of one verdict, with their skill, or what could have been shown; empty where there are none."""
    if here.empty:
        return ""
    names = []
    for _, row in here.iterrows():
        name = escape(row["entry"])
        if verdict in CLEAR:
            name += f" ({skill_text(row)} %)"
        elif np.isfinite(row["resolution"]):
            name += f" (could show {could_show(row['resolution'])} %)"
        names.append(name)
    one, several = VERDICTS[verdict]
    return f"{words(names)} {one if len(names) == 1 else several} frozen"


def _figure(results: Results, reference: str) -> Drawing:
    """What each entry gains over one reference: a panel for each dataset, or of many a forest plot for each entry."""
    found, over = skill_table(results), skill_over_datasets(results)
    forest = reference == FROZEN and len(datasets_of(results)) >= FEWEST_ROWS
    counted = list(datasets_of(results)) if forest else detailed(results)
    shown = counted if forest and len(counted) <= MOST_ROWS else detail(results).shown
    here = found[found["scenario"].isin(shown) & (found["reference"] == reference)]
    order = results.overall["entry"].tolist()
    known = [entry for entry in order if entry in set(here["entry"])]
    kept = known[: min(MOST_SKILLS, MOST_ABREAST * (MOST_LINES // len(shown))) if forest else MOST_SKILLS]
    if forest and over["p"].notna().any():
        strategies = here.drop_duplicates("entry").set_index("entry")["strategy"]
        means = over[over["entry"].isin(kept)].assign(scenario=MEAN)
        here = pd.concat([here, means.assign(strategy=means["entry"].map(strategies))])
    here = here[here["entry"].isin(kept)].sort_values("entry", key=lambda names: names.map(order.index), kind="stable")
    drawing = draw_skills(here, reference, palette_of(results), forest=forest)
    left = len(counted) - len(shown)
    more = [count(left, "more dataset")] if left else []
    more += [count(len(known) - len(kept), "more strategy", "more strategies")] if len(known) > len(kept) else []
    return Drawing(drawing.figure, drawing.caption + (f" See tables/skill.csv for {words(more)}." if more else ""))
