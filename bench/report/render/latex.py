"""Tables of error and skill for a paper: LaTeX with booktabs, made of the report's own tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.contracts.text import one_line
from bench.report.blocks import Block, Table, runs
from bench.report.render.numbers import MINUS, NONE
from bench.report.sections.accuracy import errors_on, together
from bench.report.view.detail import detailed
from bench.report.view.loaded import Results
from bench.results.disk import slug

PREAMBLE = "% needs \\usepackage{booktabs}; \\input it where it is to stand"
CAPTION = (
    r"errors in scaled units, mean $\pm$ standard deviation over seeds, the best in bold; skills with 95 \% intervals, "
    "in bold where significant."
)
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
SIGNS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$", "∞": r"$\infty$", NONE: "--", MINUS: "$-$"}
STYLES = {"strong": "textbf", "em": "emph", "code": "texttt"}


def escape(text: object) -> str:
    """Any text as one line that LaTeX prints as it stands; a character that no font has is the font's affair."""
    return re.sub(r"[\\~^&%$#_{}<>|]", lambda found: SPECIAL[found.group()], one_line(text))


def write_latex(results: Results, folder: Path) -> None:
    """Write ``overall.tex``, where there are several datasets, and a file for each dataset; the folder is made."""
    if results.ok.empty:
        return
    folder.mkdir(parents=True, exist_ok=True)
    found = {slug(scenario): (scenario, errors_on(results, scenario)) for scenario in results.scenarios}
    if len(detailed(results)) > 1:
        found = {"overall": ("All datasets", together(results))} | found
    for name, (title, blocks) in found.items():
        tables = [_table(table, title, name) for table in _tables(blocks)]
        (folder / f"{name}.tex").write_text("\n".join([PREAMBLE, *tables]), encoding="utf-8", newline="\n")


def _tables(blocks: list[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def _table(table: Table, title: str, label: str) -> str:
    columns = ["l" if i < table.text_columns else "r" for i in range(len(table.headers))]
    lines = [
        "\\begin{table}[t]",
        "\\centering",
        "\\scriptsize",
        "\\setlength{\\tabcolsep}{3pt}",
        f"\\caption{{{escape(title)}: {CAPTION}}}",
        f"\\label{{tab:{label}}}",
        f"\\begin{{tabular}}{{{''.join(columns)}}}",
        "\\toprule",
        _line(table.headers),
        "\\midrule",
        *(_line(row) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(map(inline, cells))} \\\\"


def inline(text: str) -> str:
    """A text in the notation of blocks."""
    found = ""
    for run in runs(text):
        said = escape(run.text)
        found += f"\\{STYLES[run.style]}{{{said}}}" if run.style in STYLES else said
    return re.sub("|".join(SIGNS), lambda sign: SIGNS[sign.group()], found)
