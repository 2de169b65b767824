"""Tables for a paper: what they hold, and that LaTeX takes them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from bench.contracts.text import one_line
from bench.report.render.latex import SPECIAL, escape, write_latex
from bench.report.view.loading import read_results

from .test_report import HOSTILE

PDFLATEX = shutil.which("pdflatex")


def tables(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the body's rows by their first."""
    body = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(" \\\\"))] for line in body.splitlines()]
    return {first: rest for first, *rest in cells}


def test_golden(readme: Path, snapshot: SnapshotAssertion) -> None:
    for name, text in tables(readme.parent / "tables/latex").items():
        assert text == snapshot(name=name)


def test_cells_are_those_of_the_report(readme: Path) -> None:
    text = tables(readme.parent / "tables/latex")["akl-pedestrians.tex"]
    report = readme.read_text(encoding="utf-8").partition("### akl-pedestrians")[2]
    found = re.search(r"^\| rls +\| \*\*(\S+) ± (\S+)\*\*", report, re.MULTILINE)
    assert found is not None
    assert rows(text)["rls"][0] == f"\\textbf{{{found[1]} $\\pm$ {found[2]}}}"
    assert "MSE $\\downarrow$" in text


def test_who_is_not_ranked_is_not_bold(tmp_path: Path, fakes: Any) -> None:
    leaky = fakes.Strategy("oracle", 0.001, group="leaky")
    store = fakes.write_results(tmp_path / "r", [fakes.Scenario(origins=20)], [*fakes.strategies[:3], leaky], 1)
    write_latex(read_results(store.folder), tmp_path / "latex")
    (text,) = tables(tmp_path / "latex").values()
    assert "textbf" not in "".join(rows(text)["oracle (leaky, not ranked)"])
    assert rows(text)["rls"][0].startswith("\\textbf{")


@given(st.text())
def test_nothing_in_a_name_is_a_command(name: str) -> None:
    text = escape(name)
    for character, instead in sorted(SPECIAL.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(instead, f"\0{ord(character)};")
    assert not re.search(r"[\\~^&%$#_{}<>|]", text)
    assert re.sub("\0(\\d+);", lambda found: chr(int(found[1])), text) == one_line(name)


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")
def test_latex_takes_all_of_them(readme: Path, tmp_path: Path, fakes: Any) -> None:
    name = HOSTILE.replace("漢字", "")  # pdflatex has no such letters
    scenarios = [fakes.Scenario(name=f"{name}{i}", origins=20) for i in range(6)]
    mine = fakes.Strategy("mine", 0.2, options={"path": name}, group="user")
    store = fakes.write_results(tmp_path / "r", scenarios, [*fakes.strategies[:2], mine], 1)
    write_latex(read_results(store.folder), tmp_path / "hostile")
    texts = [*tables(readme.parent / "tables/latex").values(), *tables(tmp_path / "hostile").values()]
    head, foot = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}", "\\end{document}"
    (tmp_path / "all.tex").write_text("\n".join([head, *texts, foot]), encoding="utf-8")
    words = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout.decode(errors="replace")[-2000:]
