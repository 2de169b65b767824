"""Who is ahead over all datasets: average ranks, their tests, wins and losses."""

from __future__ import annotations

from bench.analysis import RankTest, totals
from bench.analysis.statistics.ranks import FEWEST_ENTRIES
from bench.analysis.statistics.skill_test import LEVEL
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
    "geometric mean of MSE counts. Ranks say who is ahead how often, and not by how much. A win or a loss is a "
    "significant difference on one dataset (see [Statistical significance](#statistical-significance)), all else is a "
    "tie."
)


@register_section("ranks", after="significance", in_html=False)
def ranks(results: Results) -> list[Block]:
    """Average ranks with their tests, the diagram, wins, ties and losses; nothing where datasets are too few to test.

    With few datasets the leaderboard has the average ranks.
    """
    ranking = rank_entries(results)
    if ranking is None or ranking.test.obstacle == "too few datasets":
        return []
    return [
        Heading("Ranks"),
        *paragraphs(HOW_TO_READ, _answer(ranking)),
        *drawn(results, "ranks", "datasets", "Average ranks over all datasets", _figure, results, ranking.test),
        _table(ranking),
        Paragraph(_notes(ranking)),
        _matrix(ranking),
    ]


def _figure(results: Results, test: RankTest) -> Drawing | None:
    """The diagram, where ranks differ significantly."""
    if not test.differ:
        return None
    strategies, palette = results.overall.set_index("entry")["strategy"], palette_of(results)
    colour_of = {str(entry): palette[strategies[entry]] for entry in test.means.index}
    caption = f"Average rank over {count(len(test.ranks), 'dataset')}, the best to the left."
    bars = "A bar joins those whose ranks do not differ significantly."
    return Drawing(draw_ranks(test, colour_of), f"{caption} {bars}")


def _answer(ranking: Ranking) -> str:
    """Who has the best average rank, and whether the ranks differ significantly."""
    means, (datasets, entries) = ranking.test.means, ranking.test.ranks.shape
    best = [escape(entry) for entry in means.index[means == means.min()]]
    have = "have" if len(best) > 1 else "has"
    size = f"n = {count(datasets, 'dataset')}, {count(entries, 'entry', 'entries')}"
    text = f"{words([f'**{name}**' for name in best])} {have} the best average rank, {means.min():.2f} ({size})."
    return f"{text} {_verdict(ranking.test)}"


def _verdict(test: RankTest) -> str:
    if test.obstacle:
        return f"Ranks are not tested: {FEWEST_ENTRIES} entries are the fewest."
    said = f"(Friedman's test, {p_text(test.p)})"
    if not test.differ:
        return f"The ranks do **not differ significantly** {said}."
    best, p = test.means.index[0], test.alike.iloc[0]
    told = [escape(str(entry)) for entry in test.means.index[p < LEVEL]]
    ahead = (
        f"{escape(str(best))} is significantly ahead of {words(told)}"
        if told
        else "nobody is significantly behind the best"
    )
    return f"The ranks **differ significantly** {said}; by Nemenyi's test of pairs, {ahead}."


def _table(ranking: Ranking) -> Table:
    test, best = ranking.test, str(ranking.test.means.index[0])
    sums = {entry: counts for entry, *counts in totals(ranking.win_tie_loss).itertuples(name=None)}
    headers = ["Strategy", "average rank ↓", "wins ↑", "ties", "losses ↓"]
    headers += [f"p of ranks against {escape(best)}"] if test.differ else []
    rows = []
    for entry, mean in zip(test.means.index.astype(str), test.means, strict=True):
        lead = f"**{mean:.2f}**" if mean == test.means.min() else f"{mean:.2f}"
        rows.append([entry_names(ranking.results)[entry], lead, *(f"{number:,}" for number in sums[entry][:3])])
        if test.differ:
            p = p_text(float(test.alike.loc[best, entry])).removeprefix("p ").removeprefix("= ")
            rows[-1].append(p if entry != best else NONE)
    return Table(headers, rows)


def _notes(ranking: Ranking) -> str:
    lines = [f"Wins, ties and losses are against all others, over {_over(ranking)} together."]
    if untested := int(ranking.win_tie_loss["untested"].sum()) // 2:
        lines.append(f"{count(untested, 'tie')} could not be tested.")
    if ranking.left_out:
        names = words([escape(entry) for entry in ranking.left_out])
        lines.append(f"Without a result on each dataset, and therefore without an average rank: {names}.")
    lines.append("All numbers are in tables/ranks.csv, tables/rank_pairs.csv and tables/win_tie_loss.csv.")
    return " ".join(lines)


def _over(ranking: Ranking) -> str:
    """What wins and losses are counted over."""
    datasets, scenarios = count(len(ranking.test.ranks), "dataset"), len(ranking.scenarios)
    many = scenarios > len(ranking.test.ranks)
    return f"{scenarios:,} versions of {datasets} (options and protocols)" if many else datasets


def _matrix(ranking: Ranking) -> Block:
    """Wins, ties and losses of each row against each column, folded up."""
    found = {(row.entry, row.other): f"{row.wins}/{row.ties}/{row.losses}" for row in ranking.win_tie_loss.itertuples()}
    shown = ranking.test.means.index[:MOST_IN_MATRIX].astype(str)
    headers = ["Row against column", *(str(i) for i in range(1, len(shown) + 1))]
    rows = [
        [f"{i} {escape(entry)}", *(found.get((entry, other), NONE) for other in shown)]
        for i, entry in enumerate(shown, 1)
    ]
    note = f"Wins/ties/losses over {_over(ranking)}, best average rank first."
    if len(ranking.test.means) > MOST_IN_MATRIX:
        note += f" The first {MOST_IN_MATRIX} only; all are in tables/win_tie_loss.csv."
    return Details("Wins, ties and losses, pair by pair", [Table(headers, rows), Paragraph(note)])
