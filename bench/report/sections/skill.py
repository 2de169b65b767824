"""Does adapting pay? Skill against the frozen forecaster and against persistence, with intervals."""

from __future__ import annotations

import pandas as pd

from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.gallery.ranks import DATASETS
from bench.report.render.markdown import NONE, escape, table, words
from bench.report.render.numbers import UNDEFINED, percent
from bench.report.sections.differences import EACH_FOR_ITSELF
from bench.report.view.loaded import Results

HOW_TO_READ = (
    "Skill is 1 \N{MINUS SIGN} MSE / MSE of the reference, in %, geometric mean of that ratio over seeds (elsewhere "
    "the mean of skills): above 0 the strategy is better. In brackets is the 95 % interval of that ratio, paired by "
    "origin and seed, from streams resampled in blocks of neighbouring origins and from resampled seeds; **bold** "
    f"where it does not hold 0. {EACH_FOR_ITSELF}"
)
CLEAR = ("pays", "costs")
VERDICTS = {
    "pays": ("beats", "beat"),
    "costs": ("loses to", "lose to"),
    "no clear difference": ("cannot be told from", "cannot be told from"),
    "unknown": ("saw too few forecasts to be told from", "saw too few forecasts to be told from"),
    "undefined": ("has no skill that is defined against", "have no skill that is defined against"),
}
"""What is said of one strategy, and of several."""

NOT_ADAPTING = (FROZEN, PERSISTENCE, "seasonal-naive")


def adapting_pays(results: Results, gallery: Gallery) -> list[str]:
    """Blocks: a sentence for each dataset, a figure, and a table of skills; nothing without a reference."""
    found = results.skill_intervals
    if found.empty:
        return []
    blocks = ["## Does adapting pay?", HOW_TO_READ, *_sentences(results, found), *picture(gallery, DATASETS, "skill")]
    if (found["verdict"] == UNDEFINED).any():
        blocks.append("Against a reference without error, skill is undefined.")
    for scenario in results.focus.shown:
        here = found[found["scenario"] == scenario]
        if len(here):
            blocks.append(
                f"<details><summary>Skills on {escape(scenario)}</summary>\n\n{_table(results, here)}\n\n</details>"
            )
    return blocks


def _sentences(results: Results, found: pd.DataFrame) -> list[str]:
    """For each dataset who beats frozen and who does not."""
    lines = []
    known = found[(found["reference"] == FROZEN) & ~found["strategy"].isin(NOT_ADAPTING)]
    for scenario in results.focus.shown:
        here = known[known["scenario"] == scenario]
        parts = [_part(verdict, here[here["verdict"] == verdict]) for verdict in VERDICTS]
        if any(parts):
            lines.append(f"- **{escape(scenario)}**: {'; '.join(part for part in parts if part)}.")
    return ["\n".join(lines), *_own_models(results, known)] if lines else []


def _own_models(results: Results, known: pd.DataFrame) -> list[str]:
    """Whose difference from frozen is not of adapting alone."""
    bases = results.board.drop_duplicates("entry").set_index("entry")["base"]
    shown = known[known["scenario"].isin(results.focus.shown) & (known["entry"].map(bases) == "none")]
    own = words([escape(entry) for entry in dict.fromkeys(shown["entry"])])
    if not own:
        return []
    several = shown["entry"].nunique() > 1
    bring, their = ("bring models of their own", "their") if several else ("brings a model of its own", "its")
    return [f"{own} {bring}: {their} difference from frozen is that of two models, not of adapting alone."]


def _part(verdict: str, here: pd.DataFrame) -> str:
    """Those of one verdict, with their skill where it is clear; empty where there are none."""
    if here.empty:
        return ""
    clear = verdict in CLEAR
    names = [
        escape(entry) + (f" ({percent(skill)} %)" if clear else "")
        for entry, skill in zip(here["entry"], here["skill"], strict=True)
    ]
    one, several = VERDICTS[verdict]
    return f"{words(names)} {one if len(names) == 1 else several} frozen"


def _table(results: Results, here: pd.DataFrame) -> str:
    references = [name for name in (FROZEN, PERSISTENCE) if (here["reference"] == name).any()]
    cells = {(row["entry"], row["reference"]): _cell(row) for _, row in here.iterrows()}
    rows = []
    for entry in dict.fromkeys(here["entry"]):
        own = here[here["entry"] == entry]
        skills = [
            cells.get((entry, name), "reference" if own["strategy"].iloc[0] == name else NONE) for name in references
        ]
        rows.append([results.names[entry], *skills, f"{own['origins'].max():,}", str(own["seeds"].max())])
    return table(["Strategy", *(f"skill against {name}, % ↑" for name in references), "origins", "seeds"], rows)


def _cell(row: pd.Series) -> str:
    if row["verdict"] == UNDEFINED:
        return UNDEFINED
    ends = f" [{percent(row['low'])}, {percent(row['high'])}]" if row["verdict"] != "unknown" else ""
    text = f"{percent(row['skill'])}{ends}"
    return f"**{text}**" if row["verdict"] in CLEAR else text
