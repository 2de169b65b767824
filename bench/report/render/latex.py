"""Tables of error for a paper: LaTeX with booktabs, the best in bold, the second underlined."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis import is_barred, leaky_scenarios
from bench.contracts.metric import Better
from bench.contracts.text import one_line
from bench.report.render.numbers import MINUS, NONE, fixed, places
from bench.report.sections.accuracy import measured_by, skill_cell
from bench.report.view.detail import detailed
from bench.report.view.loaded import Results
from bench.results.disk import slug
from bench.results.frame import MetricColumn

ARROWS: dict[Better, str] = {"lower": " $\\downarrow$", "higher": " $\\uparrow$", "neither": ""}
MOST_COLUMNS = 4
"""Datasets side by side in one table: more do not fit the width of a page."""

PREAMBLE = "% needs \\usepackage{booktabs}; \\input it where it is to stand"
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}


def escape(text: object) -> str:
    """Any text as one line that LaTeX prints as it stands; a character that no font has is the font's affair."""
    return re.sub(r"[\\~^&%$#_{}<>|]", lambda found: SPECIAL[found.group()], one_line(text))


def write_latex(results: Results, folder: Path) -> None:
    """Write ``overall.tex``, where there are several datasets, and a file for each dataset; the folder is made."""
    if results.ok.empty:
        return
    folder.mkdir(parents=True, exist_ok=True)
    tables = {slug(scenario): _one(results, scenario) for scenario in results.scenarios}
    if len(detailed(results)) > 1:
        tables = {"overall": _together(results)} | tables
    for name, text in tables.items():
        (folder / f"{name}.tex").write_text(f"{PREAMBLE}\n{text}", encoding="utf-8")


def _together(results: Results) -> str:
    """Average rank, and MSE and MAE on each dataset, in as many tables as the page's width asks for."""
    shown, overall = detailed(results), results.overall.reset_index(drop=True)
    leaky = leaky_scenarios(results.runs)
    rank = _cells(overall["mean_rank"], overall["mean_rank"].notna(), decimals=1)
    two, parts = results.metrics[:2], list[str]()
    for start in range(0, len(shown), MOST_COLUMNS):
        group = shown[start : start + MOST_COLUMNS]
        columns = [rank]
        for scenario in group:
            board = results.board_of(scenario).set_index("entry").reindex(overall["entry"]).reset_index()
            ranked = ~is_barred(overall) & (scenario not in leaky)
            columns += [_cells(board[metric.name], ranked, better=metric.better) for metric in two]
        over = [("", 1), ("", 1), *((escape(scenario), 2) for scenario in group)]
        heads = ["Strategy", "rank $\\downarrow$", *(_head(metric) for _ in group for metric in two)]
        caption = (
            f"Error in scaled units, and average rank over the {len(results.scenarios)} datasets; means over seeds."
        )
        parts.append(_table(_header(over, heads), _names(overall), columns, caption, f"overall-{len(parts) + 1}"))
    return "\n".join(parts)


def _one(results: Results, scenario: str) -> str:
    """Errors with their spread over seeds, and skill, on one dataset."""
    board = results.board_of(scenario)
    board = board[board["seeds"] > 0].reset_index(drop=True)
    metrics = [metric for metric in results.metrics if metric.is_shown_first]
    columns, heads, over = [], ["Strategy"], [("", 1)] * (1 + len(metrics))
    for metric in metrics:
        heads.append(_head(metric))
        spread = board[f"{metric.name}_sd"]
        columns.append(_cells(board[metric.name], board["rank"].notna(), spread, better=metric.better))
    references = measured_by(board)
    for name in references:
        heads.append(name)
        columns.append([_number(skill_cell(row, name).removesuffix(" (worse)")) for _, row in board.iterrows()])
    over += [("MSE below (\\%) $\\uparrow$", len(references))] if references else []
    seeds = int(board["seeds"].max()) if len(board) else 0
    first = results.first(scenario)
    caption = (
        f"{escape(scenario)}: error in scaled units, mean $\\pm$ standard deviation over {seeds} "
        f"seed{'' if seeds == 1 else 's'}. {escape(first.protocol.label)}."
    )
    return _table(_header(over, heads), _names(board), columns, caption, slug(scenario))


def _head(metric: MetricColumn) -> str:
    return f"{escape(metric.title)}{ARROWS[metric.better]}"


def _names(board: pd.DataFrame) -> list[str]:
    groups = board["group"].where(~is_barred(board), "not ranked")
    return [
        escape(entry) + (f" {{\\tiny {escape(group)}}}" if group not in ("core", "") else "")
        for entry, group in zip(board["entry"], groups, strict=True)
    ]


def _header(over: Sequence[tuple[str, int]], heads: Sequence[str]) -> list[str]:
    """The lines above the body; ``over`` holds what spans columns, each with their number."""
    lines = []
    if any(text for text, _ in over):
        cells = [f"\\multicolumn{{{width}}}{{c}}{{{text}}}" if text else "" for text, width in over]
        ends = np.cumsum([width for _, width in over])
        spans = [(end - width + 1, end) for (text, width), end in zip(over, ends, strict=True) if text]
        lines = [f"{' & '.join(cells)} \\\\", " ".join(f"\\cmidrule(lr){{{a}-{b}}}" for a, b in spans)]
    return [*lines, f"{' & '.join(heads)} \\\\"]


def _table(header: list[str], names: list[str], columns: list[list[str]], caption: str, label: str) -> str:
    body = [f"{' & '.join(cells)} \\\\" for cells in zip(names, *columns, strict=True)]
    caption += " Best in bold, second underlined."
    lines = [
        "\\begin{table}[t]",
        "\\centering",
        "\\footnotesize",
        "\\setlength{\\tabcolsep}{3pt}",
        f"\\caption{{{caption}}}",
        f"\\label{{tab:{label}}}",
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
        "\\toprule",
        *header,
        "\\midrule",
        *body,
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cells(
    values: pd.Series,
    ranked: pd.Series,
    spread: pd.Series | None = None,
    decimals: int | None = None,
    better: Better = "lower",
) -> list[str]:
    """Cells of a column: of those ranked the best in bold, the next underlined."""
    decimals = places(values) if decimals is None else decimals
    texts = [_number(fixed(value, decimals)) for value in values]
    finite = ranked.to_numpy(dtype=bool) & np.isfinite(values.to_numpy(dtype=float))
    levels = np.unique(values.to_numpy(dtype=float)[finite])
    levels = {"lower": levels[:2], "higher": levels[::-1][:2], "neither": levels[:0]}[better]
    cells = []
    for i, (value, text) in enumerate(zip(values, texts, strict=True)):
        sd = float(spread.iloc[i]) if spread is not None else float("nan")
        if finite[i] and value in levels:
            text = f"\\{'textbf' if value == levels[0] else 'underline'}{{{text}}}"
        cells.append(
            f"{text}\\,{{\\tiny$\\pm${_number(fixed(sd, decimals).removeprefix('0'))}}}" if np.isfinite(sd) else text
        )
    return cells


def _number(text: str) -> str:
    return text.replace(MINUS, "$-$").replace("∞", "$\\infty$").replace(NONE, "--")
