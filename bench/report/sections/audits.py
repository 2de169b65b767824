"""What stands beside the names of entries: their group, what the leak canary said of them, what they may have seen."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pandas as pd

from bench.contracts.text import one_line
from bench.report.blocks import Block, Table, escape
from bench.report.render.numbers import words
from bench.report.view.loaded import Results, derived

LONGEST = 600
MARKS = {"failed": "**FAILED the leak canary**, not ranked", "unaudited": "unaudited"}


FROM_ROWS = "labels from rows"


def marked(row: pd.Series, *, has_result: bool) -> str:
    """Name of an entry, given its row of a leaderboard; behind it what `marks` says."""
    found = [text if text in MARKS.values() else escape(text) for text in marks(row, has_result=has_result)]
    return escape(row["entry"]) + (f" ({', '.join(found)})" if found else "")


def marks(row: pd.Series, *, has_result: bool) -> list[str]:
    """An entry's group, where not ``core``, its audit, where not well, and whether it takes labels from rows."""
    group, audit = row["group"], MARKS.get(row["audit"], "") if has_result else ""
    audit = "" if group == "leaky" and row["audit"] == "failed" else audit  # it says so itself
    from_rows = FROM_ROWS if row["labels_from_rows"] else ""
    found = ("leaky, not ranked" if group == "leaky" else "" if group == "core" else group, audit, from_rows)
    return [text for text in found if text]


@derived
def entry_names(results: Results) -> dict[str, str]:
    """Each entry's name, `marked`."""
    return {row["entry"]: marked(row, has_result=row["scenarios"] > 0) for _, row in results.overall.iterrows()}


def strategies_that(results: Results, standing: str) -> list[str]:
    """Names of the strategies with a result whose audits are ``failed``, ``unaudited`` or ``passed``."""
    ok = results.ok
    return sorted(ok.loc[ok["audit"] == standing, "strategy"].unique())


def audited(results: Results) -> list[str]:
    """Lines on the marks that stand beside names; none where every strategy passed."""
    lines = []
    board = results.board
    if ((board["audit"] == "failed") & (board["group"] != "leaky")).any():
        lines.append(
            "**FAILED the leak canary**: its forecasts use what was not known when they were made, or cannot be "
            "repeated. Its numbers mean nothing, and it is never ranked; see [Problems](#problems)."
        )
    if names := strategies_that(results, "unaudited"):
        commands = words([f"`bench check {name}`" for name in names])
        lines.append(
            "Unaudited: this version of the strategy has not passed the leak canary yet. To lose the mark, run "
            f"{commands} (with `--plugins PATH` for what comes by it), then `bench report`."
        )
    if results.board["labels_from_rows"].any():
        lines.append(
            "Labels from rows: where labels are sparse or late, it takes from rows what others are not given, and is "
            "not ranked there; docs/protocol.md has the rule."
        )
    if names := _not_as_run(results):
        titles = words([escape(name) for name in names])
        lines.append(f"Audited in a cheap form only, since what ran takes too long in an audit: {titles}.")
    return lines


@derived
def may_have_seen(results: Results) -> dict[tuple[str, str], str]:
    """The forecaster, by scenario and entry, whose ``trained_on`` names the dataset by its name or its label."""
    found = {}
    for row in results.ok.itertuples(index=False):
        record = results.records[str(row.run_id)]
        if record.forecaster is not None:
            dataset, patterns = record.dataset, record.forecaster.config.get("trained_on", ())
            names = (dataset.name, str(dataset.given.get("label", "")))
            if any(fnmatchcase(name, str(pattern)) for name in names if name for pattern in patterns):
                found[str(row.scenario), str(row.entry)] = record.forecaster.name
    return found


def seen_before(results: Results) -> str:
    """Which forecasters may have been trained on the data that they are served; empty where none states that."""
    named = sorted({(forecaster, scenario) for (scenario, _), forecaster in may_have_seen(results).items()})
    seen = words([f"{escape(forecaster)} on {escape(scenario)}" for forecaster, scenario in named])
    return (
        f"**May have seen the data**: {seen}. By what the forecaster states (`trained_on`), its weights may have been "
        "trained on this dataset, the stream included; on new data its error may be higher."
        if named
        else ""
    )


def _not_as_run(results: Results) -> list[str]:
    """Those that passed with the options that make them cheap, and could not be audited with those of their runs."""
    passed = (audit for audit in results.audits.values() if audit.standing == "passed" and audit.served is not None)
    return sorted({audit.title for audit in passed if not audit.as_run and audit.quick})


def audit_rows(results: Results) -> list[tuple[str, str, str]]:
    """Subject, verdict and reason (one line) of each audit that did not go well, in the order of subjects."""
    rows = {}
    for audit in results.audits.values():
        if audit.standing != "passed":
            said = "FAILED the leak canary" if audit.status == "failed" else "could not be audited"
            text = one_line(audit.reason)
            text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
            rows[audit.title] = (audit.title, said, text)
    return [rows[subject] for subject in sorted(rows)]


def audit_problems(results: Results) -> list[Block]:
    """Which strategies failed the leak canary or could not be audited, and why; nothing where nothing is known."""
    rows = [[escape(subject), said, escape(text)] for subject, said, text in audit_rows(results)]
    return [Table(["Strategy", "audit", "reason"], rows, text_columns=3)] if rows else []
