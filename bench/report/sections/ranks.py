"""Who is ahead over all datasets: average ranks, their tests, wins and losses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import totals
from bench.analysis.statistics.ranks import FEWEST_BLOCKS, FIRST_LEVEL, LEVEL
from bench.report.blocks import Block, Details, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.palette import palette_of
from bench.report.figures.ranks import draw_ranks
from bench.report.render.numbers import NONE, count, words
from bench.report.section import drawn, register_section
from bench.report.sections.audits import entry_names
from bench.report.sections.verdict_cells import p_text
from bench.report.view.loaded import Results
from bench.report.view.rankings import Ranking, rank_entries

MOST_IN_MATRIX = 12
HOW_TO_READ = (
    "Within each dataset the entry with the lowest MSE (mean over seeds) has rank 1; equal ones share the mean of "
    "their ranks, and one that diverged is last. Each dataset counts once: of several protocols or options the "
    "geometric mean of MSE counts. A win or a loss is a significant difference on one dataset (see [Statistical "
    "significance](#statistical-significance)), all else is a tie."
)


@register_section("ranks", after="significance", in_html=False)
def ranks(results: Results) -> list[Block]:
    """Average ranks with their tests, the diagram, wins, ties and losses; nothing with a single dataset."""
    ranking = rank_entries(results)
    if ranking is None:
        return []
    return [
        Heading("Ranks"),
        *paragraphs(HOW_TO_READ, _answer(ranking)),
        *drawn(results, "ranks", "datasets", "Average ranks over all datasets", _figure, results, ranking),
        _table(ranking),
        Paragraph(_notes(ranking)),
        _matrix(ranking),
    ]


def _figure(results: Results, ranking: Ranking) -> Drawing | None:
    """The diagram, where ranks could be tested."""
    if ranking.test.obstacle:
        return None
    strategies, palette = results.overall.set_index("entry")["strategy"], palette_of(results)
    colour_of = {str(entry): palette[strategies[entry]] for entry in ranking.means.index}
    caption = f"Average rank over {count(ranking.test.blocks, 'dataset')}, the best to the left."
    caption += " A bar joins those that do not differ significantly." if ranking.groups else ""
    return Drawing(draw_ranks(ranking.means, ranking.groups, ranking.apart, colour_of), caption)


def _answer(ranking: Ranking) -> str:
    """Who has the best average rank, and whether the ranks differ significantly."""
    best = [escape(entry) for entry in ranking.means.index[ranking.means == ranking.means.min()]]
    have = "have" if len(best) > 1 else "has"
    size = f"n = {count(len(ranking.scores), 'dataset')}, {count(ranking.scores.shape[1], 'entry', 'entries')}"
    text = (
        f"{words([f'**{name}**' for name in best])} {have} the best average rank, {ranking.means.min():.2f} ({size})."
    )
    return f"{text} {_verdict(ranking)}"


def _verdict(ranking: Ranking) -> str:
    test = ranking.test
    if test.obstacle == "too few datasets":
        return f"Not tested: {FEWEST_BLOCKS} datasets are the fewest for a p-value."
    if test.obstacle == "too few entries":
        p = float(ranking.pairs["p"].iloc[0])
        what = "significant" if p < FIRST_LEVEL else "not significant"
        said = f"(Wilcoxon's signed-rank test over datasets, {p_text(p)}{_asked(p)})"
        return f"The difference is **{what}** {said}."
    freedom = f"{test.entries - 1}, {(test.entries - 1) * (test.blocks - 1)}"
    f = "∞" if np.isinf(test.f) else f"{test.f:.2f}"
    said = f"(Friedman's test as corrected by Iman and Davenport, F({freedom}) = {f}, {p_text(test.p)}{_asked(test.p)})"
    if not test.differ:
        return f"The ranks do **not differ significantly** {said}, so no two entries do."
    told = ranking.means[ranking.means - ranking.means.min() >= ranking.apart].index
    text = (
        f"The ranks **differ significantly** {said}; two entries do from a difference of {ranking.apart:.2f} ranks on "
    )
    text += "(Nemenyi's critical difference at 5 %)."
    if not len(told):
        return f"{text} By that, no entry differs significantly from the best."
    return f"{text} By that, the best is significantly ahead of {words([escape(str(entry)) for entry in told])}."


def _asked(p: float) -> str:
    """What p would have had to be, where a reader may take it for small."""
    return f"; below {FIRST_LEVEL} is asked for" if FIRST_LEVEL <= p < LEVEL else ""


def _table(ranking: Ranking) -> Table:
    pairs, best = ranking.pairs, str(ranking.means.index[0])
    against = pairs[pairs["one"] == best].set_index("other")
    sums = {entry: counts for entry, *counts in totals(ranking.win_tie_loss).itertuples(name=None)}
    tests = [("p_nemenyi", f"Nemenyi's p against {escape(best)}")] if ranking.tested else []
    tests += [("p_holm", f"signed-rank p against {escape(best)}, adjusted")] if ranking.signs_can_tell else []
    headers = ["Strategy", "average rank ↓", "wins ↑", "ties", "losses ↓", *(header for _, header in tests)]
    rows = []
    for entry, mean in zip(ranking.means.index.astype(str), ranking.means, strict=True):
        lead = f"**{mean:.2f}**" if mean == ranking.means.min() else f"{mean:.2f}"
        cells = [entry_names(ranking.results)[entry], lead, *(f"{number:,}" for number in sums[entry][:3])]
        rows.append([*cells, *(_p(against[column], entry) for column, _ in tests)])
    return Table(headers, rows)


def _p(values: pd.Series, entry: str) -> str:
    return p_text(values[entry]).removeprefix("p ").removeprefix("= ") if entry in values else NONE


def _notes(ranking: Ranking) -> str:
    pairs, blocks = count(len(ranking.pairs), "pair"), len(ranking.scores)
    lines = [f"Wins, ties and losses are against all others, over {_over(ranking)} together."]
    if untested := int(ranking.win_tie_loss["untested"].sum()) // 2:
        lines.append(f"{count(untested, 'tie')} could not be tested.")
    if ranking.signs_can_tell:
        lines.append(f"Signed-rank p: Wilcoxon's test of log MSE over datasets, adjusted after Holm over {pairs}.")
    elif ranking.tested:
        lines.append(
            f"Wilcoxon's signed-rank test is left out: over {blocks} datasets, adjusted over {pairs}, it could find "
            "nothing."
        )
    if ranking.left_out:
        names = words([escape(entry) for entry in ranking.left_out])
        lines.append(f"Without a result on each dataset, and therefore without an average rank: {names}.")
    lines.append("All numbers are in tables/ranks.csv, tables/rank_pairs.csv and tables/win_tie_loss.csv.")
    return " ".join(lines)


def _over(ranking: Ranking) -> str:
    """What wins and losses are counted over."""
    datasets, scenarios = count(len(ranking.scores), "dataset"), len(ranking.scenarios)
    many = scenarios > len(ranking.scores)
    return f"{scenarios:,} versions of {datasets} (options and protocols)" if many else datasets


def _matrix(ranking: Ranking) -> Block:
    """Wins, ties and losses of each row against each column, folded up."""
    found = {(row.entry, row.other): f"{row.wins}/{row.ties}/{row.losses}" for row in ranking.win_tie_loss.itertuples()}
    shown = ranking.means.index[:MOST_IN_MATRIX].astype(str)
    headers = ["Row against column", *(str(i) for i in range(1, len(shown) + 1))]
    rows = [
        [f"{i} {escape(entry)}", *(found.get((entry, other), NONE) for other in shown)]
        for i, entry in enumerate(shown, 1)
    ]
    note = f"Wins/ties/losses over {_over(ranking)}, best average rank first."
    if len(ranking.means) > MOST_IN_MATRIX:
        note += f" The first {MOST_IN_MATRIX} only; all are in tables/win_tie_loss.csv."
    return Details("Wins, ties and losses, pair by pair", [Table(headers, rows), Paragraph(note)])
