"""What `bench leaderboard` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.leaderboard import FROZEN
from bench.report.blocks import Block, Heading, Paragraph, Table, bullets, escape
from bench.report.render.numbers import NONE, count, words
from bench.report.sections.accuracy import SKILLS, column, head, measured_by, metric_cells, notes, skill_cell
from bench.report.sections.audits import marked
from bench.report.sections.skill import OVER
from bench.report.sections.verdict_cells import CLEAR, HEADERS, UNCLEAR, could_cell, marked_skill

if TYPE_CHECKING:
    from bench.report.pooled.loading import Pooled

LONGEST_LIST = 3


def pooled_leaderboard(found: Pooled) -> list[Block]:
    """The average over datasets, a table for each, where it comes from, what is left out."""
    blocks = [*_together(found)]
    if found.board["verdict"].notna().any():
        blocks.append(Paragraph(SKILLS))
    for scenario, board in found.board.groupby("scenario", sort=True):
        blocks += [Heading(escape(scenario)), Paragraph(_facts(found, str(scenario), board)), _one(found, board)]
    return [*blocks, Heading("Where it comes from"), _sources(found), *bullets(_left_out(found))]


def _together(found: Pooled) -> list[Block]:
    scenarios = found.board["scenario"].nunique()
    if scenarios < 2:
        return []
    overall, tested = found.overall, bool(found.overall["p"].notna().any())
    headers = ["Strategy", "average rank ↓"]
    columns = [[_name(row) for _, row in overall.iterrows()]]
    columns.append(column(overall["mean_rank"], overall["mean_rank"].notna(), 1))
    for header, cells in _against_references(overall, tested=tested):
        headers.append(header)
        columns.append(cells)
    for verdict in ("better", "worse") if overall["counted"].notna().any() else ():
        headers.append(f"{verdict} than {FROZEN} on, of {overall['counted'].max():,.0f}")
        columns.append([f"{number:,.0f}" if number >= 0 else NONE for number in overall[verdict]])
    headers.append("datasets")
    columns.append([f"{number} of {scenarios}" for number in overall["scenarios"]])
    note = (
        "Rank by MSE, mean over datasets and protocols; so is MSE below a reference. Who lacks one of them has no "
        f"average: ranks among other rivals are not comparable. {OVER if tested else ''}"
    )
    return [Heading("All datasets"), Table(headers, list(zip(*columns, strict=True))), Paragraph(note.strip())]


def _against_references(rows: pd.DataFrame, *, tested: bool) -> Iterator[tuple[str, list[str]]]:
    """Columns of the MSE below references; against frozen, if tested, of the skill and what could have been shown."""
    for name in measured_by(rows):
        if name != FROZEN or not tested:
            yield f"MSE below {name}, % ↑", [skill_cell(row, name) for _, row in rows.iterrows()]
    if tested:
        known = [row["verdict"] in {*CLEAR, *UNCLEAR} for _, row in rows.iterrows()]
        skills = [marked_skill(row) if there else NONE for there, (_, row) in zip(known, rows.iterrows(), strict=True)]
        is_reference = rows["strategy"] == FROZEN
        yield f"skill against {FROZEN}, % ↑", pd.Series(skills).mask(is_reference, "reference").tolist()
        yield HEADERS[3], [could_cell(row) for _, row in rows.iterrows()]


def _facts(found: Pooled, scenario: str, board: pd.DataFrame) -> str:
    seeds = int(board["seeds"].max())
    fewer = " at most" if (board["seeds"] != seeds).any() else ""
    data = escape(board["fingerprint"].iloc[0][:8])
    return f"{escape(found.protocols[scenario])}; data {data}; n = {count(seeds, 'seed')}{fewer}. Scaled, mean ± sd."


def _one(found: Pooled, board: pd.DataFrame) -> Table:
    headers, columns = ["Strategy"], [[_name(row) for _, row in board.iterrows()]]
    for metric in found.metrics:
        if metric.is_shown_first:
            headers.append(head(metric))
            columns.append(metric_cells(board, metric))
    headers.append("rank")
    columns.append([f"{rank:g}" if pd.notna(rank) else NONE for rank in board["rank"]])
    for header, cells in _against_references(board, tested=bool(board["verdict"].notna().any())):
        headers.append(header)
        columns.append(cells)
    headers += ["seeds", "from"]
    columns += [[str(seeds) for seeds in board["seeds"]], board["sources"].tolist()]
    if any(said := [notes(row, seen=(row["scenario"], row["entry"]) in found.seen) for _, row in board.iterrows()]):
        headers.append("notes")
        columns.append(said)
    return Table(headers, list(zip(*columns, strict=True)))


def _name(row: pd.Series) -> str:
    has_result = row["seeds"] if "seeds" in row else row["scenarios"]
    return marked(row, has_result=has_result > 0)


def _sources(found: Pooled) -> Table:
    rows = [
        [
            str(i),
            escape(source.name),
            *(_few(told) for told in (source.machines, source.devices, source.versions)),
            f"{source.runs:,}",
        ]
        for i, source in enumerate(found.sources, 1)
    ]
    return Table(["from", "folder", "machine", "device", "versions", "runs"], rows, text_columns=5)


def _few(items: tuple[str, ...]) -> str:
    shown = [escape(item) for item in items[:LONGEST_LIST]]
    return "<br>".join([*shown, *([f"and {len(items) - LONGEST_LIST} more"] if items[LONGEST_LIST:] else [])]) or NONE


def _left_out(found: Pooled) -> list[str]:
    lines = []
    if found.board["entry"].str.contains(r" \[\d").any():
        lines.append("Numbers in brackets behind a name: versions of one strategy that differ, by where they are from.")
        lines += [_difference(parts, entries) for parts, entries in found.versions.items()]
    lines += _differences(found)
    if found.doubled:
        lines.append(f"{count(found.doubled, 'run')} in more than one folder, or done again later: each counts once.")
    if found.differing:
        named = words([f"`{run_id}`" for run_id in found.differing[:LONGEST_LIST]])
        lines.append(
            f"**{count(len(found.differing), 'run')} with other errors elsewhere** ({named}): the first counts."
        )
    lines += [
        f"{count(source.lost, 'listed run')} in {escape(source.name)} missing or damaged: see bench results check."
        for source in found.sources
        if source.lost
    ]
    return lines


def _difference(parts: tuple[str, ...], entries: list[str]) -> str:
    more = entries[LONGEST_LIST:]
    named = [escape(entry) for entry in entries[: LONGEST_LIST if len(more) > 1 else None]]
    who = words([*named, *([f"{len(more)} more"] if len(more) > 1 else [])])
    return f"Versions of {who} differ in: {'; '.join(parts) or 'options of the dataset'}."


def _differences(found: Pooled) -> list[str]:
    """What of a dataset differs between folders, so that its results stand in several tables."""
    lines = []
    board = found.board
    told = {"data": board["fingerprint"].str.slice(0, 8), "protocol": board["scenario"].map(found.protocols)}
    for what, values in told.items():
        for dataset, group in board.assign(told=values).groupby("dataset", sort=True):
            sources = group.groupby("told", sort=False)["sources"].agg(_joined)
            if len(sources) > 1 and sources.nunique() > 1:  # one experiment may have several protocols
                said = words([f"{escape(str(value))} in {where}" for value, where in sources.items()])
                lines.append(f"The {what} of {escape(dataset)} differ: {said}. The results stand in different tables.")
    return lines


def _joined(sources: pd.Series) -> str:
    return ", ".join(sorted({number for text in sources for number in text.split(", ")}))
