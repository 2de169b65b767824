"""Average ranks along a line, with bars that join what does not differ significantly: a critical-difference diagram."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis import RankTest
from bench.report.figures.canvas import WIDE, label_margin, new_figure, short_name
from bench.report.figures.palette import INK

ROW, HEAD = 0.17, 0.3  # inches
APART = 0.01  # of a name from its line, as a share of the line of ranks


def draw_ranks(test: RankTest, colour_of: Mapping[str, str]) -> Figure:
    """Draw entries along their average ranks, the best to the left; the better half is named left, the others right.

    Args:
        test: Of entries that differ.
        colour_of: Colour of each entry.

    Source: Demsar (2006), "Statistical comparisons of classifiers over multiple data sets", figure 1.
    """
    from scikit_posthocs import critical_difference_diagram  # takes a second to import

    means = test.means
    margin = label_margin([str(name) for name in means.index])
    figure = new_figure(WIDE, 1.0)
    axes = figure.add_axes((margin / WIDE, 0, 1 - 2 * margin / WIDE, 1))
    drawn = critical_difference_diagram(
        means,
        test.alike,
        ax=axes,
        label_fmt_left="{label}",
        label_fmt_right="{label}",
        label_props={"size": 7.5},
        marker_props={"s": 14},
        elbow_props={"lw": 0.9},
        crossbar_props={"color": INK, "label": "alike"},
        color_palette=dict(colour_of),
        text_h_margin=APART * (means.iloc[-1] - means.iloc[0]),
    )
    for name, line in zip([label.get_text() for label in drawn["labels"]], drawn["elbows"], strict=True):
        line.set_label(name)
    for label in drawn["labels"]:
        label.set_text(f" {short_name(label.get_text())} ")
    rows = 1 - min(label.get_position()[1] for label in drawn["labels"])
    height = HEAD + ROW * rows
    figure.set_size_inches(WIDE, height)
    axes.spines["top"].set_visible(True)
    axes.set_ylim(-rows, HEAD / ROW)
    axes.set_xlim(*(label.get_position()[0] for label in (drawn["labels"][0], drawn["labels"][-1])))
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    return figure
