"""What each strategy gains over not adapting, on every dataset shown, in one figure."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.skill_intervals import REFERENCES
from bench.report.figures.canvas import Drawing
from bench.report.figures.skill import draw_skills
from bench.report.gallery.ranks import DATASETS
from bench.report.render.markdown import count
from bench.report.view.loaded import Results

MOST_SKILLS = 16


def skill_drawings(results: Results, palette: dict[str, str]) -> Iterator[tuple[str, str, Drawing, str]]:
    """`DATASETS`, kind, figure and what it shows: skill against frozen, or persistence where there is none.

    The best of all datasets is on top, as many as are shown.
    """
    panels = results.focus.shown
    found = results.skill_intervals[results.skill_intervals["scenario"].isin(panels)]
    reference = next((name for name in REFERENCES if (found["reference"] == name).any()), None)
    if reference is None:
        return
    order = results.overall["entry"].tolist()
    here = found[found["reference"] == reference]
    kept = [entry for entry in order if entry in set(here["entry"])][:MOST_SKILLS]
    here = here[here["entry"].isin(kept)].sort_values("entry", key=lambda names: names.map(order.index), kind="stable")
    drawing = draw_skills(here, reference, palette)
    left = len(results.in_detail) - len(panels)
    more = f" {count(left, 'dataset')} more: see tables/skill_intervals.csv." if left else ""
    figure = Drawing(drawing.figure, drawing.caption + more)
    yield DATASETS, "skill", figure, f"Skill of each strategy against {reference}"
