"""Average ranks over all datasets, drawn."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.figures.canvas import Drawing
from bench.report.figures.ranks import draw_ranks
from bench.report.render.markdown import count
from bench.report.view.loaded import Results

DATASETS = "datasets"
"""What a figure of all datasets together is filed under."""


def rank_drawings(results: Results, palette: dict[str, str]) -> Iterator[tuple[str, str, Drawing, str]]:
    """`DATASETS`, kind, drawing and alternative text of the diagram, where ranks could be tested."""
    ranking = results.ranking
    if ranking is None or ranking.test.obstacle:
        return
    strategies = results.overall.set_index("entry")["strategy"]
    colour_of = {str(entry): palette[strategies[entry]] for entry in ranking.means.index}
    caption = f"Average rank over {count(ranking.test.blocks, 'dataset')}, the best to the left."
    caption += " A bar joins those that are not told apart." if ranking.groups else ""
    figure = draw_ranks(ranking.means, ranking.groups, ranking.apart, colour_of)
    yield DATASETS, "ranks", Drawing(figure, caption), "Average ranks over all datasets"
