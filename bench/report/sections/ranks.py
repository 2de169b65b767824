"""Who is ahead over all datasets: average ranks, their tests, wins and losses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import totals
from bench.analysis.statistics.ranks import FEWEST_BLOCKS, FIRST_LEVEL, LEVEL
from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.gallery.ranks import DATASETS
from bench.report.render.markdown import NONE, count, escape, table, words
from bench.report.sections.significance import p_text
from bench.report.view.loaded import Results
from bench.report.view.rankings import Ranking

MOST_DUELS = 12
HOW_TO_READ = (
    "Within each dataset the entry with the lowest MSE (mean over seeds) has rank 1; equal ones share the mean of "
    "their ranks, and one that diverged is last. Each dataset counts once: of several protocols or options the "
    "geometric mean of MSE counts. A win or a loss is a significant difference on one dataset (see [Is the difference "
    "more than chance?](#is-the-difference-more-than-chance)), all else is a tie."
)


def ranks(results: Results, gallery: Gallery) -> list[str]:
    """Blocks: average ranks with their tests, the diagram, wins, ties and losses; nothing with a single dataset."""
    ranking = results.ranking
    if ranking is None:
        return []
    blocks = ["## Ranks", HOW_TO_READ, _answer(ranking), *picture(gallery, DATASETS, "ranks")]
    return [*blocks, _table(ranking), *_notes(ranking), *_matrix(ranking)]


def _answer(ranking: Ranking) -> str:
    """The sentence: who has the best average rank, and whether that is more than chance."""
    best = [escape(entry) for entry in ranking.means.index[ranking.means == ranking.means.min()]]
    have = "have" if len(best) > 1 else "has"
    size = f"n = {count(len(ranking.scores), 'dataset')}, {count(ranking.scores.shape[1], 'entry')}"
    text = (
        f"{words([f'**{name}**' for name in best])} {have} the best average rank, {ranking.means.min():.2f} ({size})."
    )
    return f"{text.replace('entrys', 'entries')} {_verdict(ranking)}"


def _verdict(ranking: Ranking) -> str:
    test = ranking.test
    if test.obstacle == "too few datasets":
        return f"Not tested: {FEWEST_BLOCKS} datasets are the fewest for a p-value."
    if test.obstacle == "too few entries":
        p = float(ranking.pairs["p"].iloc[0])
        more = "more" if p < FIRST_LEVEL else "no more"
        said = f"(Wilcoxon's signed-rank test over datasets, {p_text(p)}{_asked(p)})"
        return f"They differ by **{more} than chance** {said}."
    freedom = f"{test.entries - 1}, {(test.entries - 1) * (test.blocks - 1)}"
    f = "∞" if np.isinf(test.f) else f"{test.f:.2f}"
    said = f"(Friedman's test as corrected by Iman and Davenport, F({freedom}) = {f}, {p_text(test.p)}{_asked(test.p)})"
    if not test.differ:
        return f"The ranks differ by **no more than chance** {said}, so no two are told apart."
    told = ranking.means[ranking.means - ranking.means.min() >= ranking.apart].index
    text = f"The ranks differ by **more than chance** {said}; two are told apart from {ranking.apart:.2f} ranks on "
    text += "(Nemenyi's critical difference at 5 %)."
    if not len(told):
        return f"{text} By that, none is told apart from the best."
    return f"{text} By that, the best is ahead of {words([escape(str(entry)) for entry in told])}."


def _asked(p: float) -> str:
    """What p would have had to be, where a reader may take it for small."""
    return f"; below {FIRST_LEVEL} is asked for" if FIRST_LEVEL <= p < LEVEL else ""


def _table(ranking: Ranking) -> str:
    pairs, best = ranking.pairs, str(ranking.means.index[0])
    against = pairs[pairs["one"] == best].set_index("other")
    sums = {entry: counts for entry, *counts in totals(ranking.win_tie_loss).itertuples(name=None)}
    tests = [("p_nemenyi", f"Nemenyi's p against {escape(best)}")] if ranking.tested else []
    tests += [("p_holm", f"signed-rank p against {escape(best)}, adjusted")] if ranking.signs_can_tell else []
    headers = ["Strategy", "average rank ↓", "wins ↑", "ties", "losses ↓", *(header for _, header in tests)]
    rows = []
    for entry, mean in zip(ranking.means.index.astype(str), ranking.means, strict=True):
        lead = f"**{mean:.2f}**" if mean == ranking.means.min() else f"{mean:.2f}"
        cells = [ranking.results.names[entry], lead, *(f"{number:,}" for number in sums[entry][:3])]
        rows.append([*cells, *(_p(against[column], entry) for column, _ in tests)])
    return table(headers, rows)


def _p(values: pd.Series, entry: str) -> str:
    return p_text(values[entry]).removeprefix("p ").removeprefix("= ") if entry in values else NONE


def _notes(ranking: Ranking) -> list[str]:
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
    return [" ".join(lines)]


def _over(ranking: Ranking) -> str:
    """What wins and losses are counted over."""
    datasets, scenarios = count(len(ranking.scores), "dataset"), len(ranking.scenarios)
    many = scenarios > len(ranking.scores)
    return f"{scenarios:,} versions of {datasets} (options and protocols)" if many else datasets


def _matrix(ranking: Ranking) -> list[str]:
    """Wins, ties and losses of each row against each column, folded up."""
    found = {(row.entry, row.other): f"{row.wins}/{row.ties}/{row.losses}" for row in ranking.win_tie_loss.itertuples()}
    shown = ranking.means.index[:MOST_DUELS].astype(str)
    headers = ["Row against column", *(str(i) for i in range(1, len(shown) + 1))]
    rows = [
        [f"{i} {escape(entry)}", *(found.get((entry, other), NONE) for other in shown)]
        for i, entry in enumerate(shown, 1)
    ]
    note = f"Wins/ties/losses over {_over(ranking)}, best average rank first."
    if len(ranking.means) > MOST_DUELS:
        note += f" The first {MOST_DUELS} only; all are in tables/win_tie_loss.csv."
    summary = "Wins, ties and losses, pair by pair"
    return [f"<details><summary>{summary}</summary>\n\n{table(headers, rows)}\n\n{note}\n\n</details>"]
