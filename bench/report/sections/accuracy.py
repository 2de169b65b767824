"""Tables of error and skill: over all datasets, for each one, and who the strategies are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.analysis import leaky_scenarios
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.contracts.metric import Better
from bench.report.blocks import Block, Details, Heading, Paragraph, Table, bullets, escape, paragraphs
from bench.report.render.numbers import MINUS, NONE, UNDEFINED, count, percent, places, with_spread, words
from bench.report.section import register_section
from bench.report.sections.audits import audited, entry_names, may_have_seen
from bench.report.sections.verdict_cells import RESOLUTION, SKILL, could_cell, marked_skill
from bench.report.view.comparisons import skill_table
from bench.report.view.detail import collapsed, detailed, in_full, on_own_page
from bench.report.view.loaded import Results
from bench.results.frame import NOT_RECORDED, OTHER_CODE, MetricColumn, metric_columns
from bench.results.record import FIELDS

MOST_COLUMNS = 6
SKILLS = f"{SKILL} **Bold**: significant, by p-values adjusted (Holm) on each dataset. {RESOLUTION}"
ARROWS: dict[Better, str] = {"lower": " ↓", "higher": " ↑", "neither": ""}


@register_section("leaderboard", after="overview", in_html=False)
def leaderboard(results: Results) -> list[Block]:
    """All datasets together, how to read the tables, and a table for each dataset."""
    blocks: list[Block] = [Heading("Leaderboard")]
    if len(results.scenarios) > 1:
        blocks += together(results)
    blocks += [*how_to_read(results), *paragraphs("" if skill_table(results).empty else SKILLS)]
    for scenario in in_full(results):
        blocks += [Heading(escape(scenario), 3), *errors_on(results, scenario)]
    folded = [scenario for scenario in collapsed(results) if scenario not in on_own_page(results)]
    if folded:
        blocks.append(Heading("With fewer, later or leaked labels", 3))
    return [*blocks, *(Details(escape(scenario), errors_on(results, scenario)) for scenario in folded)]


@register_section("strategies", after="ranks", in_html=False)
def strategies(results: Results) -> list[Block]:
    """Who the strategies are."""
    return _legend(results)


def how_to_read(results: Results) -> list[Block]:
    """A list of what the columns of error mean; nothing where no run ended well."""
    return bullets([*_measures(results), *_not_ranked(results)])


def _measures(results: Results) -> list[str]:
    """What is in the tables of all datasets together and of each one."""
    if results.ok.empty:
        return []
    lines = [
        "MSE, MAE and RMSE are in scaled units (1 is a standard deviation of the target over the training rows), "
        "pooled over windows (one forecast each), leads and channels; mean ± standard deviation over seeds. "
        "**↓** lower is better, **↑** higher is better, **bold** is the best of those ranked. Errors in original units "
        "are in tables/leaderboard.csv."
    ]
    for metric in results.metrics:
        if metric.name not in FIELDS:
            own = " In the targets' own units." if metric.unit == "original" else ""
            lines.append(f"{escape(metric.title)}: {escape(metric.summary)}{own}")
    lines += _unmeasured(results)
    if any(_has_skill(results, name) for name in (PERSISTENCE, FROZEN)):
        lines.append(
            f"MSE below a reference is 1 {MINUS} MSE / MSE of the reference, in %, mean over seeds: above 0 is better "
            f"than the reference, below 0 is worse. {_reference(results)}".rstrip()
        )
    return lines


def _unmeasured(results: Results) -> list[str]:
    """Of which metrics runs have no value, and why."""
    ended = [results.records[run_id] for run_id in results.ok["run_id"]]
    titles: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for metric in metric_columns(results.records.values()).values():
        reasons = Counter(reason for record in ended if (reason := metric.why_missing(record)))
        if reasons:
            titles.setdefault(tuple(sorted(reasons.items())), []).append(escape(metric.title))
    lines = []
    for counted, named in titles.items():
        said = "; ".join(f"{escape(reason)} ({number:,})" for reason, number in counted)
        again = {NOT_RECORDED, OTHER_CODE} & {reason for reason, _ in counted}
        way_out = " `bench run --rescore` makes such runs again." if again else ""
        lines.append(
            f"No value of {words(named)} in {sum(n for _, n in counted):,} of {len(ended):,} runs: {said}.{way_out}"
        )
    return lines


def _has_skill(results: Results, reference: str) -> bool:
    return bool(results.board[f"skill_{reference}"].notna().any())


def measured_by(board: pd.DataFrame) -> list[str]:
    """The references that some entry of a board is measured by, whether or not skill against them is defined."""
    known = {name: board[f"skill_{name}"].notna() | board[f"undefined_{name}"] for name in (PERSISTENCE, FROZEN)}
    return [name for name, rows in known.items() if rows.any()]


def _not_ranked(results: Results) -> list[str]:
    """Which entries are not ranked, and which skills are undefined."""
    if results.ok.empty:
        return []
    lines = []
    if (results.board["group"] == "leaky").any():
        lines.append("Leaky strategies see what they should not. They show what delay costs, and are never ranked.")
    lines += audited(results)
    missing = [name for name in (PERSISTENCE, FROZEN) if not _has_skill(results, name)]
    for name in missing:
        why = _why_no_skill(results, name)
        lines.append(f"{why[0].upper()}{why[1:]}, so nothing is compared with {name}.")
    if without := _without_error(results):
        lines.append(without)
    return lines


def _why_no_skill(results: Results, name: str) -> str:
    if results.board[f"undefined_{name}"].any():
        return f"{name} has no error"
    errors = results.ok.loc[results.ok["strategy"] == name, "mse"]
    if len(errors):
        return f"{name} diverged"
    return f"no {name} run ended well" if (results.runs["strategy"] == name).any() else f"{name} was not run"


def _without_error(results: Results) -> str:
    """Where a reference has no error, so that skill and ratios are undefined."""
    places = []
    for name in (PERSISTENCE, FROZEN):
        exact = results.board.loc[results.board[f"undefined_{name}"], "scenario"].unique().tolist()
        places += [f"{name} on {words([escape(scenario) for scenario in exact])}"] if exact else []
    if not places:
        return ""
    return (
        f"Without error (but for float32's rounding): {'; '.join(places)}. What is compared with it is "
        f"{UNDEFINED}, and so is a mean over datasets that counts them."
    )


def _reference(results: Results) -> str:
    bases = set(results.runs["base"]) - {"none"}
    if len(bases) < 2 or not (results.ok["strategy"] == FROZEN).any():
        return ""
    frozen = results.ok.loc[results.ok["strategy"] == FROZEN, "base"].head(1).tolist()
    none = f"; strategies without a forecaster with frozen on {escape(frozen[0])}" if frozen else ""
    return f"A strategy is compared with frozen on the same forecaster{none}."


def together(results: Results) -> list[Block]:
    """Average ranks, and errors on each dataset."""
    overall = results.overall
    shown = detailed(results)[:MOST_COLUMNS]
    skills = measured_by(overall)
    headers = ["Strategy", "average rank ↓", *(f"MSE below {name}, % ↑" for name in skills)]
    headers += [f"MSE on {escape(scenario)} ↓" for scenario in shown]
    ranked = overall["mean_rank"].notna()
    columns = [column(overall["mean_rank"], ranked, 1)]
    columns += [[skill_cell(row, name) for _, row in overall.iterrows()] for name in skills]
    leaky = leaky_scenarios(results.runs)
    for scenario in shown:
        board = results.board_of(scenario)
        may_be_best = overall["entry"].isin(board.loc[board["rank"].notna(), "entry"])
        columns.append(column(overall[f"mse {scenario}"], may_be_best, None))
    rows = [
        [entry_names(results)[row["entry"]], *cells]
        for (_, row), cells in zip(overall.iterrows(), zip(*columns, strict=True), strict=True)
    ]
    most = int(results.board["seeds"].max())
    fewer = " at most" if (results.board["seeds"] != most).any() else ""
    unranked = f" (those with instant labels, {len(leaky)}, left out)" if leaky else ""
    remarks = f"MSE below a reference is the mean over {len(results.scenarios) - len(leaky)}{unranked}. "
    remarks += f"n = {count(most, 'seed')}{fewer}."
    if not ranked.all():
        remarks += " A strategy without a result on each of them has no average rank."
    if len(detailed(results)) > MOST_COLUMNS:
        remarks += f" MSE on the first {MOST_COLUMNS} only; all are in tables/overall.csv."
    if collapsed(results):
        remarks += " MSE with fewer, later or leaked labels: see [What labels are worth](#what-labels-are-worth)."
    several = results.runs["dataset"].nunique() > 1 or not collapsed(results)
    text = f"All {'datasets' if several else 'protocols'} together. {remarks}"
    return [Paragraph(text), Table(headers, rows)]


def errors_on(results: Results, scenario: str) -> list[Block]:
    """Errors of each entry of one scenario, and its skill."""
    board = results.board_of(scenario)
    first = results.first(scenario)
    windows = board.loc[board["seeds"] > 0, "windows"]
    facts = [escape(first.protocol.label), count(len(first.dataset.targets), "target channel")]
    stretches = 0
    if len(windows):
        facts.append(f"{int(windows.max()):,} windows a seed")
    uneven = windows.nunique() > 1
    headers, columns = ["Strategy"], [[entry_names(results)[row["entry"]] for _, row in board.iterrows()]]
    for metric in results.metrics:
        if metric.is_shown_first:
            headers.append(head(metric))
            columns.append(metric_cells(board, metric))
    table = skill_table(results)
    for reference, here in table[table["scenario"] == scenario].groupby("reference", sort=True):
        own = here.set_index("entry")
        stretches = max(stretches, int(own["stretches"].max()))
        named = dict(zip(board["entry"], board["strategy"], strict=True))
        headers.append(f"skill against {reference}, % ↑")
        columns.append([_skill(own, entry, strategy == reference) for entry, strategy in named.items()])
        if reference == FROZEN:
            headers.append("could show, %")
            columns.append([could_cell(own.reindex([entry]).iloc[0]) for entry in named])
    headers.append("seeds")
    columns.append([str(seeds) for seeds in board["seeds"]])
    if uneven:
        headers.append("windows")
        columns.append([f"{number:,}" for number in board["windows"]])
    seen = may_have_seen(results)
    if any(said := [notes(row, seen=(scenario, row["entry"]) in seen) for _, row in board.iterrows()]):
        headers.append("notes")
        columns.append(said)
    if stretches:
        facts.append(count(stretches, "stretch", "stretches"))
    blocks: list[Block] = [Paragraph(f"{'; '.join(facts)}. {_seeds(board)}".rstrip())]
    if windows.empty:
        return [*blocks, Paragraph("No run ended well: see [Problems](#problems).")]
    blocks.append(Table(headers, list(zip(*columns, strict=True))))
    if uneven:
        blocks.append(Paragraph("**The number of windows differs, so these rows are not quite comparable.**"))
    return blocks


def _skill(own: pd.DataFrame, entry: str, is_reference: bool) -> str:
    if entry not in own.index:
        return "reference" if is_reference else NONE
    return marked_skill(own.reindex([entry]).iloc[0])


def head(metric: MetricColumn) -> str:
    """A metric as the head of a column."""
    return f"{escape(metric.title)}{ARROWS[metric.better]}"


def metric_cells(board: pd.DataFrame, metric: MetricColumn) -> list[str]:
    """Cells of a metric's column, with their spread over seeds."""
    return column(board[metric.name], board["rank"].notna(), None, board[f"{metric.name}_sd"], metric.better)


def column(
    values: pd.Series,
    ranked: pd.Series,
    decimals: int | None,
    spread: pd.Series | None = None,
    better: Better = "lower",
) -> list[str]:
    """Cells of one column, the best of the ranked in bold."""
    decimals = places(values) if decimals is None else decimals
    sds: Sequence[float] = spread.tolist() if spread is not None else [float("nan")] * len(values)
    cells = [with_spread(value, sd, decimals) for value, sd in zip(values, sds, strict=True)]
    best = values[ranked].min() if better == "lower" else values[ranked].max()
    is_best = (values == best) & ranked & np.isfinite(values.to_numpy(dtype=float)) & (better != "neither")
    return [f"**{cell}**" if bold else cell for cell, bold in zip(cells, is_best, strict=True)]


def skill_cell(row: pd.Series, reference: str) -> str:
    """Skill against a reference, percent; that it is the reference itself, worse than persistence, or undefined."""
    if row["strategy"] == reference:
        return "reference"
    value = row[f"skill_{reference}"]
    if np.isnan(value) and row[f"undefined_{reference}"]:
        return UNDEFINED
    worse = reference == PERSISTENCE and value < 0
    return f"{percent(value)}{' (worse)' if worse else ''}"


def notes(row: pd.Series, *, seen: bool) -> str:
    """How many seeds did not end well, and whether the entry may have seen the data."""
    ended = [f"{row[kind]} {kind}" for kind in ("failed", "skipped", "diverged") if row[kind]]
    return ", ".join([*ended, *["may have seen the data"] * seen])


def _seeds(board: pd.DataFrame) -> str:
    most = int(board["seeds"].max())
    fewer = " unless the column says otherwise" if (board["seeds"] != most).any() else ""
    return f"n = {count(most, 'seed')}{fewer}." if most else ""


def _legend(results: Results) -> list[Block]:
    rows, forecasters = {}, {}
    for row in results.runs.sort_values(["strategy", "entry"], kind="stable").itertuples(index=False):
        record = results.records[str(row.run_id)]
        plugin = record.strategy
        options = ", ".join(f"{key}={value}" for key, value in sorted(plugin.given.items()))
        cells = (plugin.name, plugin.group or NONE, plugin.summary, plugin.carries or NONE, options or "as registered")
        if cells not in rows:
            rows[cells] = [escape(cell) for cell in cells]
        if record.forecaster is not None:
            forecasters[record.forecaster.name] = record.forecaster.summary
    headers = ["Strategy", "group", "what it is", "what it carries over", "options"]
    blocks: list[Block] = [Heading("Strategies"), Table(headers, list(rows.values()), text_columns=5)]
    if forecasters:
        plural = "Forecasters" if len(forecasters) > 1 else "Forecaster"
        named = [
            f"{escape(name)} ({escape(line.removesuffix('.'))})" if line else escape(name)
            for name, line in sorted(forecasters.items())
        ]
        blocks.append(Paragraph(f"{plural}: {words(named)}."))
    return blocks
