"""Which differences are statistically significant: the best of each dataset against every other entry."""

from __future__ import annotations

import pandas as pd

from bench.report.blocks import Block, Bullets, Heading, Paragraph, Table, escape
from bench.report.render.numbers import count, words
from bench.report.section import register_section
from bench.report.sections.audits import entry_names
from bench.report.sections.verdict_cells import (
    CLEAR,
    HEADERS,
    IN_ONE_CELL,
    UNTESTED,
    is_carried_by_few,
    short_verdict,
    side_by_side,
    verdict_cells,
)
from bench.report.view.comparisons import against_best, not_worse, verdicts_on
from bench.report.view.detail import detail
from bench.report.view.loaded import Results

HOW_TO_READ = (
    "The best against every other entry, by skill. On each dataset p-values are adjusted (Holm) in three families: "
    "every entry against frozen, the ablations that strategies state, and all other pairs; the chance of any false "
    "finding in a family is 5 %. Fewer than 12 stretches are not tested. docs/statistics.md has the method, its size "
    "and its power."
)


@register_section("significance", after="cost", on_pages=True, in_html=False)
def significance(results: Results) -> list[Block]:
    """The best of each scenario against the others, in one table; nothing where there is nobody to compare."""
    shown = detail(results).shown
    found = {scenario: pairs for scenario in shown if len(pairs := against_best(results, scenario))}
    if not found:
        return []
    alone = len(shown) == 1
    how = HOW_TO_READ if alone else f"{HOW_TO_READ} {IN_ONE_CELL}"
    tables = [_table(results, found[shown[0]])] if alone else _side_by_side(results, found)
    notes = [f"**{escape(scenario)}**: {_note(results, scenario, pairs)}" for scenario, pairs in found.items()]
    return [Heading("Statistical significance"), Paragraph(how), *tables, Bullets(notes)]


def _table(results: Results, found: pd.DataFrame) -> Table:
    rows = [[entry_names(results)[row["other"]], *verdict_cells(row)] for _, row in found.iterrows()]
    return Table([f"{escape(found['one'].iloc[0])} against", *HEADERS], rows)


def _side_by_side(results: Results, found: dict[str, pd.DataFrame]) -> list[Table]:
    """A row for each entry, a column for each scenario."""
    columns = {
        f"{escape(pairs['one'].iloc[0])} on {escape(scenario)}, % ↑": {
            row["other"]: short_verdict(row) for _, row in pairs.iterrows()
        }
        for scenario, pairs in found.items()
    }
    return side_by_side({entry: [name] for entry, name in entry_names(results).items()}, columns, ["Against"])


def _note(results: Results, scenario: str, found: pd.DataFrame) -> str:
    text = f"n = {count(int(found['stretches'].max()), 'stretch', 'stretches')}."
    if found["verdict"].isin(UNTESTED).all():
        return text
    pairs = verdicts_on(results, scenario)
    clear = int(pairs["verdict"].isin(CLEAR).sum())
    text += f" Of {count(len(pairs), 'pair')} on this dataset {clear:,} differ significantly: see tables/pairs.csv. "
    text += f"No entry is significantly better than {words([escape(entry) for entry in not_worse(results, scenario)])}."
    few = [escape(row["other"]) for _, row in found.iterrows() if is_carried_by_few(row)]
    if few:
        text += f" Against {words(few)}, the mean MSE says the opposite: a few stretches decide it."
    return text
