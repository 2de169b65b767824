"""Drifts whose truth is known: what adapting is worth, how fast each strategy recovers, and what the drift costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.blocks import Block, Bullets, Heading, Paragraph, Table, escape
from bench.report.render.numbers import NONE, UNDEFINED, brief, count, fixed, percent, words
from bench.report.section import register_section
from bench.report.sections.audits import entry_names
from bench.report.sections.verdict_cells import CLEAR, EXPLORATORY
from bench.report.view.drift_measures import known_drifts
from bench.report.view.drift_sets import DriftSet
from bench.report.view.loaded import Results

FASTEST = 3
HOW_TO_READ = (
    "These series were made, so it is known what drifts, from which row on, and how they had gone on without it: "
    "docs/drift.md tells of the sets and the measures. Hidden: the target is not among the inputs."
)
ONCE = (
    "**One drift is one observation**: what is said of {sets}, with one series each, holds for that series and not for "
    "drifts of its kind."
)
WORTH = (
    "MSE from the first row that drifts to the end (without a drift, over the stream) over {frozen}'s there, less 1, "
    "in %: below 0 adapting helps. Geometric mean over stretches, series and seeds, with its 95 % interval; bold where "
    f"it is significant. {EXPLORATORY} A strategy with a forecaster of its own also differs by that: no-drift shows by "
    "how much."
)
RECOVERY = (
    "Rows from a change (from the end of a gradual one; 0 if the error never rose) until the error is within 10 % of "
    "what can be had with the same forecaster, and stays there. That is the settled error of the strategy that is best "
    "with it in the end, at each row as hard as the row is for it on the twin, where there is one. Means are over "
    "{span}. ∞: not before the series changed again or ended."
)
COST = (
    "MSE from the first row that drifts on over the same strategy's on the twin, which has the same noise and no "
    "drift, less 1, in %, with the 95 % interval as above. A drift may also make a series easier to forecast. "
    "Changes of the mean MSE: tables/drift_cost.csv."
)
RETURN = (
    "Forgetting: MSE when the first law returns less MSE when it was left. Rows: until the error is within 10 % of "
    "the strategy's own on the twin, in which the second law never came (without a twin, of its own before). "
    "Medians, in brackets the lowest and the highest of series and seeds."
)


@register_section("known-drift", after="parts", in_html=False)
def known_drift(results: Results) -> list[Block]:
    """What is known of drift sets; nothing where the experiment has none."""
    known = known_drifts(results)
    if not known.sets:
        return []
    alone = [escape(s.name) for s in known.sets if len(s.scenarios) == 1 and s.drifts]
    once = f" {ONCE.format(sets=words(alone))}" if alone else ""
    blocks: list[Block] = [Heading("Known drifts"), Paragraph(HOW_TO_READ + once), Bullets(_answers(results))]
    for size in known.sizes:
        shown, title = known.sets_of(size), known.title(size)
        blocks += _worth(results, size, shown, title)
        blocks += _recovery(results, size, shown, title)
        blocks += _costs(results, shown, title)
    return [*blocks, *_returns(results)]


def ordered_entries(results: Results, entries: set[str]) -> list[str]:
    """Best average rank first."""
    return [entry for entry in results.overall["entry"] if entry in entries]


def _answers(results: Results) -> list[str]:
    lines = [line for line in (_harm(results), _speed(results)) if line]
    lines += [_fastest(results, drift_set) for drift_set in known_drifts(results).sets if drift_set.drifts]
    return [line for line in lines if line]


def _harm(results: Results) -> str:
    """What adapting costs where nothing drifts."""
    worth = known_drifts(results).worth
    still = worth[worth["size"] == ""] if len(worth) else worth
    still = still[~still["entry"].isin(_entries_of(results, PERSISTENCE))] if len(still) else still
    if still.empty:
        return ""
    order = {entry: i for i, entry in enumerate(results.overall["entry"])}
    still = still.sort_values("entry", key=lambda names: names.map(order), kind="stable")
    named = [f"{escape(row['entry'])} {_difference(row)}" for _, row in still.iterrows()]
    against = words([escape(entry) for entry in dict.fromkeys(still["against"])], "or")
    where = words([escape(name) for name in dict.fromkeys(still["set"])])
    return f"**Where nothing drifts** ({where}), MSE against {against}, %: {'; '.join(named)}."


def _speed(results: Results) -> str:
    """How often each strategy recovers faster than the frozen forecaster."""
    middle = _medians(results)
    frozen = _entries_of(results, FROZEN)
    if middle.empty or not frozen & set(middle["entry"]):
        return ""
    wide = middle.pivot_table(index=["size", "set", "row"], columns="entry", values="recovery", sort=False)
    reference = next(entry for entry in wide if entry in frozen)
    counted: dict[str, list[str]] = {}
    for entry in ordered_entries(results, set(map(str, wide)) - frozen):
        both = wide[[entry, reference]].dropna()
        faster, slower = int((both[entry] < both[reference]).sum()), int((both[entry] > both[reference]).sum())
        said = f"faster after {faster}, slower after {slower}" if faster or slower else "neither faster nor slower"
        counted.setdefault(said, []).append(escape(entry))
    parts = [f"{words(entries)} {said}" for said, entries in counted.items()]
    return f"**Of {count(len(wide), 'change')}**, against {escape(reference)}: {'; '.join(parts)}."


def _fastest(results: Results, drift_set: DriftSet) -> str:
    """Who recovers first from a set's first change, and how the frozen forecaster does."""
    here = known_drifts(results).recoveries
    here = here[(here["set"] == drift_set.name) & (here["size"] == drift_set.size)] if len(here) else here
    if here.empty:
        return ""
    first = here[here["row"] == here["row"].min()]
    regime = int(first["rows"].iloc[0])
    ranked = first[first["entry"].isin(drift_set.ranked)]
    middle = ranked.groupby("entry")["recovery"].apply(_median).sort_values(kind="stable")
    quick = [entry for entry in middle.index if np.isfinite(middle[entry])][:FASTEST]
    frozen = [entry for entry in middle.index if entry in _entries_of(results, FROZEN) and entry not in quick]
    named = [f"**{escape(e)}** {_rows(first[first['entry'] == e]['recovery'])}" for e in quick]
    late = [f"{escape(e)} {_rows(first[first['entry'] == e]['recovery'])}" for e in frozen]
    title = f"**{escape(drift_set.name)}** ({escape(drift_set.kind)}, {escape(drift_set.size)})"
    text = ", ".join([*named, *late]) or "none recovers"
    return f"{title}, rows to recover, of {regime:,}: {text}."


def _worth(results: Results, size: str, shown: list[DriftSet], title: str) -> list[Block]:
    worth = known_drifts(results).worth
    here = worth[worth["size"].isin(["", size])] if len(worth) else worth
    if here.empty:
        return []
    frozen = words([escape(entry) for entry in dict.fromkeys(here["against"])], "or")
    rows = _cells(results, here, shown, _difference_cell)
    return [
        Heading(f"What adapting is worth: {title}", 3),
        Paragraph(WORTH.format(frozen=frozen)),
        Table(["Strategy", *(f"{escape(s.name)} ↓" for s in shown if s.name in set(here["set"]))], rows),
    ]


def _recovery(results: Results, size: str, shown: list[DriftSet], title: str) -> list[Block]:
    recoveries = known_drifts(results).recoveries
    here = recoveries[recoveries["size"] == size] if len(recoveries) else recoveries
    if here.empty:
        return []
    changes = [(s.name, row, event) for s in shown for row, _, event in s.regimes]
    changes = [change for change in changes if ((here["set"] == change[0]) & (here["row"] == change[1])).any()]
    middle = here.groupby(["entry", "set", "row"])["recovery"].apply(_median)
    entries = ordered_entries(results, set(here["entry"]))
    rows = [[entry_names(results)[entry]] for entry in entries]
    for name, row, _ in changes:
        ranked = next(s.ranked for s in shown if s.name == name)
        values = {e: float(middle.get((e, name, row), np.nan)) for e in entries}
        best = min((v for e, v in values.items() if e in ranked and np.isfinite(v)), default=np.nan)
        for cells, entry in zip(rows, entries, strict=True):
            own = here[(here["entry"] == entry) & (here["set"] == name) & (here["row"] == row)]["recovery"]
            text = _rows(own, apart="<br>") if len(own) else NONE
            cells.append(f"**{text}**" if values[entry] == best and entry in ranked else text)
    heads = [
        escape(name) + (f": {escape(event)}" if sum(n == name for n, _, _ in changes) > 1 else "")
        for name, _, event in changes
    ]
    some = next(s for s in shown if s.drifts)
    span = f"{count(some.window, 'origin')} ({some.window * some.stride:,} rows), and {some.window} must stay low"
    several = "Median over series and seeds, in brackets the lowest and the highest. " if _several(here) else ""
    more = "Peak and area of each excess, regret against the best strategy and against the best for each regime: "
    return [
        Heading(f"Recovery: {title}", 3),
        Paragraph(f"{RECOVERY.format(span=span)} {several}".strip()),
        Table(["Strategy", *(f"{head} ↓" for head in heads)], rows),
        Paragraph(f"{more}tables/drift_recovery.csv, tables/drift_regret.csv."),
    ]


def _costs(results: Results, shown: list[DriftSet], title: str) -> list[Block]:
    costs = known_drifts(results).costs
    names = [s.name for s in shown if s.drifts]
    here = costs[costs["set"].isin(names) & costs["size"].isin([s.size for s in shown])] if len(costs) else costs
    if here.empty:
        return []
    rows = _cells(results, here, shown, _difference_cell)
    heads = [f"{escape(name)} ↓" for name in names if name in set(here["set"])]
    return [Heading(f"What the drift costs: {title}", 3), Paragraph(COST), Table(["Strategy", *heads], rows)]


def _returns(results: Results) -> list[Block]:
    """A-B-A: what was forgotten of A in B, and how fast A is back."""
    returns = known_drifts(results).returns
    if returns.empty:
        return []
    rows = []
    for (size, name), here in returns.groupby(["size", "set"], sort=False):
        for entry in ordered_entries(results, set(here["entry"])):
            own = here[here["entry"] == entry]
            lost = own["forgetting"]
            spread = f" [{brief(lost.min())}, {brief(lost.max())}]" if len(lost) > 1 else ""
            label = escape(f"{name} ({size})")
            rows.append([label, entry_names(results)[entry], f"{brief(lost.median())}{spread}", _rows(own["return"])])
    return [
        Heading("Back to the first law", 3),
        Paragraph(RETURN),
        Table(["Set", "Strategy", "forgetting ↓", "rows until back ↓"], rows, text_columns=2),
    ]


def _cells(
    results: Results, here: pd.DataFrame, shown: list[DriftSet], cell: Callable[[pd.Series], str]
) -> list[list[str]]:
    """A row for each entry, a cell for each set that has any."""
    found = {(row["entry"], row["set"]): cell(row) for _, row in here.iterrows()}
    names = [s.name for s in shown if s.name in set(here["set"])]
    return [
        [entry_names(results)[entry], *(found.get((entry, name), NONE) for name in names)]
        for entry in ordered_entries(results, set(here["entry"]))
    ]


def _difference(row: pd.Series, apart: str = " ") -> str:
    if np.isnan(row["percent"]):
        return UNDEFINED
    text = percent(row["percent"])
    if np.isfinite([row["low"], row["high"]]).all():
        text += f"{apart}[{percent(row['low'])}, {percent(row['high'])}]"
    return text


def _difference_cell(row: pd.Series) -> str:
    text = _difference(row, apart="<br>")
    return f"**{text}**" if row["verdict"] in CLEAR else text


def _rows(values: pd.Series, apart: str = " ") -> str:
    """Median, and lowest and highest where there are several."""
    ends = f"{apart}[{fixed(values.min(), 0)}, {fixed(values.max(), 0)}]" if len(values) > 1 else ""
    return f"{fixed(_median(values), 0)}{ends}"


def _median(values: pd.Series) -> float:
    """Of numbers that may be infinite: the upper of two middle ones."""
    return float(np.sort(values.to_numpy(dtype=float))[len(values) // 2])


def _medians(results: Results) -> pd.DataFrame:
    recoveries = known_drifts(results).recoveries
    if recoveries.empty:
        return recoveries
    keys = ["size", "set", "row", "entry"]
    return recoveries.groupby(keys, sort=False)["recovery"].apply(_median).reset_index()


def _several(recoveries: pd.DataFrame) -> bool:
    return bool(recoveries.groupby(["set", "row", "entry"])["repetition"].nunique().max() > 1)


def _entries_of(results: Results, strategy: str) -> set[str]:
    return set(results.runs.loc[results.runs["strategy"] == strategy, "entry"])
