"""A section of a user's own, with a table and a figure, in one file; and the order in which sections stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench import BenchError
from bench.contracts.section import register_section
from bench.report import PAGE, Paragraph
from bench.report.section import ordered

from ..conftest import Bench, Write, pictures

ROOT = Path(__file__).parents[2]

WORST = """
    from matplotlib.figure import Figure as Canvas

    from bench import register_section
    from bench.report import Figure, Heading, Paragraph, Table, escape

    @register_section("worst", after="skill")
    def worst(results):
        "The seeds with the highest error."
        runs = results.ok.sort_values("mse", ascending=False).head(3)
        canvas = Canvas()
        canvas.subplots().bar(runs["entry"], runs["mse"])
        return [
            Heading("Worst <runs>"),
            Paragraph(f"Of all runs, {escape('<b>' + runs['entry'].iloc[0])} has the *highest* error."),
            Table.of(runs, {"entry": "Strategy", "scenario": "dataset", "mse": "MSE \N{DOWNWARDS ARROW}"}),
            Figure("worst", "runs", "The worst runs", canvas, "A bar is a run."),
        ]
"""


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("place", ["adapters", "elsewhere"])
def test_a_section_with_its_table_and_figure_is_one_file(
    place: str, bench: Bench, write: Write, tmp_path: Path, fakes: Any
) -> None:
    fakes.write_results(tmp_path / "results" / "default", strategies=fakes.strategies[:4], seeds=1)
    (tmp_path / place).mkdir()
    file = write(f"{place}/worst.py", WORST)
    with pictures():
        ran = bench("report", "--html", *([] if place == "adapters" else ["--plugins", file]))
    assert ran.status == 0, ran.err
    folder = tmp_path / "reports" / "default"
    text = (folder / "README.md").read_text(encoding="utf-8")
    headings = re.findall("^## (.*)$", text, re.MULTILINE)
    assert headings.index("Worst <runs>") == headings.index("Cost") - 1
    section = text.partition("## Worst <runs>\n")[2].partition("\n## ")[0]
    assert "Of all runs, &lt;b&gt;persistence has the *highest* error." in section
    assert re.search(r"\| persistence +\| akl-pedestrians +\| +\d\.\d{4} \|", section)
    assert "![The worst runs](figures/worst-runs.svg)\n\nA bar is a run." in section
    assert (folder / "figures" / "worst-runs.png").is_file()
    page = (folder / PAGE).read_text(encoding="utf-8")
    more = page.partition('<div id="more"')[2].partition('<section id="problems"')[0]
    assert "<h2>Worst &lt;runs&gt;</h2>" in more
    assert "Of all runs, &lt;b&gt;persistence has the <em>" in more
    assert '<img alt="The worst runs" src="data:image/svg+xml;base64,' in more
    assert more.count("<tr>") == 4
    assert "img-src data:; default-src 'none'" in page


@pytest.mark.usefixtures("registries")
def test_the_example_of_the_documentation_is_a_section(bench: Bench, write: Write, tmp_path: Path, fakes: Any) -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    (example,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "@register_section" in text)
    fakes.write_results(tmp_path / "results" / "default", strategies=fakes.strategies[:4], seeds=1)
    ran = bench("report", "--plugins", write("worst.py", example))
    assert ran.status == 0, ran.err
    text = (tmp_path / "reports" / "default" / "README.md").read_text(encoding="utf-8")
    assert "\n## Highest errors\n\n**persistence** has the run with the highest error.\n\n| Strategy" in text
    assert "![The runs with the highest error](figures/worst-runs.svg)" in text


@pytest.mark.usefixtures("registries")
def test_sections_stand_where_they_say() -> None:
    built_in = ordered()
    assert built_in[:4] == ["question", "answer", "overview", "leaderboard"]
    assert built_in[-1] == "provenance"
    for name, after in (("b", "skill"), ("c", "b"), ("a", "skill")):
        register_section(name, after=after)(lambda _: [Paragraph("")])
    found = ordered()
    at = found.index("skill")
    assert found[at : at + 5] == ["skill", "a", "b", "c", "cost"]
    assert [name for name in found if name not in "abc"] == built_in
    register_section("d", after="skil")(lambda _: [])
    with pytest.raises(BenchError, match="Did you mean 'skill'"):
        ordered()


@pytest.mark.usefixtures("registries")
def test_sections_in_a_circle_are_named() -> None:
    for name, after in (("e", "f"), ("f", "e")):
        register_section(name, after=after)(lambda _: [])
    with pytest.raises(BenchError, match="Sections e, f follow each other"):
        ordered()


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(("body", "said"), [("return 1 / 0", "ZeroDivisionError"), ("return [0]", "int is no block")])
def test_a_section_that_fails_is_named_in_its_place(
    body: str, said: str, bench: Bench, write: Write, tmp_path: Path, fakes: Any
) -> None:
    fakes.write_results(tmp_path / "results" / "default", strategies=fakes.strategies[:2], seeds=1)
    text = f"""
        from bench import register_section

        @register_section("mine", after="cost")
        def mine(results):
            {body}
    """
    write("adapters/other.py", "from bench import register_section\nraise OSError('no such disk')")
    ran = bench("report", "--plugins", write("mine.py", text))
    assert ran.status == 0, ran.err
    assert "no such disk" in ran.err
    readme = (tmp_path / "reports" / "default" / "README.md").read_text(encoding="utf-8")
    assert f"\n## mine\n\n**This section failed**: {said}" in readme.replace("TypeError: ", "")
    assert "\n## Problems\n" in readme
