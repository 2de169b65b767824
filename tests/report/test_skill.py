"""Skill against frozen and persistence: the sentences, the table and the figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.report.blocks import figures_in
from bench.report.figures.palette import colours
from bench.report.figures.skill import MEAN, draw_skills
from bench.report.render.markdown import render
from bench.report.render.numbers import MINUS
from bench.report.sections.skill import skill
from bench.report.view.comparisons import skill_table
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.report.view.rankings import skill_over_datasets


@pytest.fixture
def results(tmp_path: Path, fakes: Any) -> Results:
    scenarios = [fakes.Scenario(origins=60), fakes.Scenario(name="etth2", origins=60)]
    return read_results(fakes.write_results(tmp_path / "r", scenarios, fakes.strategies, 2).folder)


def test_it_says_who_beats_frozen(results: Results) -> None:
    text = render(skill(results))
    assert text.startswith("## Skill")
    line = next(line for line in text.split("\n") if line.startswith("- **akl-pedestrians**"))
    assert "rls (+" in line.partition("beat frozen")[0]
    assert "persistence" not in line  # it does not adapt
    assert "rls brings a model of its own: its difference from frozen is that of two models" in text


def test_the_figure_has_a_dot_for_each_and_a_panel_for_each_dataset(results: Results) -> None:
    skills = skill_table(results)[skill_table(results)["reference"] == "frozen"]
    drawing = draw_skills(skills, "frozen", colours(skills["strategy"]))
    assert [axes.get_title(loc="left") for axes in drawing.figure.axes] == ["akl-pedestrians", "etth2"]
    for axes, scenario in zip(drawing.figure.axes, results.scenarios, strict=True):
        dots = {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}
        here = skills[skills["scenario"] == scenario].set_index("entry")
        assert {entry: float(line.get_xdata()[0]) for entry, line in dots.items()} == here["skill"].to_dict()  # type: ignore[index,arg-type]


def test_of_several_datasets_there_is_a_panel_for_each_entry_and_from_five_on_a_diamond(
    tmp_path: Path, fakes: Any
) -> None:
    strategies = [one for one in fakes.strategies if one.name in ("frozen", "rls", "titans-b", "persistence")]
    for datasets in (4, 5):
        scenarios = [fakes.Scenario(f"d{i}", events=(), origins=40 + 20 * (i > 0)) for i in range(datasets)]
        results = read_results(fakes.write_results(tmp_path / str(datasets), scenarios, strategies, 2).folder)
        (figure,) = figures_in(skill(results))
        over = skill_over_datasets(results).set_index("entry")
        assert [axes.get_title(loc="left") for axes in figure.canvas.axes] == over.index.tolist()
        for axes, (_, row) in zip(figure.canvas.axes, over.iterrows(), strict=True):
            names = [label.get_text() for label in axes.get_yticklabels()]
            assert names in ([""] * len(names), [*results.scenarios, *([MEAN] if datasets == 5 else [])])
            if row["skill"] > -100:
                corners = [np.asarray(diamond.get_path().vertices)[:, 0] for diamond in axes.patches]
                ends = [[at.min(), at.max()] for at in corners]
                assert ends == ([[row["low"], row["high"]]] if datasets == 5 else [])
        assert ("Diamond" in figure.caption) == (datasets == 5)


def test_what_is_far_worse_is_a_number_at_the_border(results: Results) -> None:
    skills = skill_table(results)[skill_table(results)["reference"] == "frozen"].copy()
    skills.loc[skills["entry"] == "persistence", ["skill", "low", "high"]] = -250.0
    drawing = draw_skills(skills, "frozen", colours(skills["strategy"]))
    for axes in drawing.figure.axes:
        assert [text.get_text() for text in axes.texts] == [f"◂ {MINUS}250.0"]
        assert axes.get_xlim()[0] > -100
    assert "far worse" in drawing.caption


def test_without_frozen_the_figure_is_against_persistence(tmp_path: Path, fakes: Any) -> None:

    strategies = [replace(one, name=f"s{i}") if one.name == "frozen" else one for i, one in enumerate(fakes.strategies)]
    results = read_results(fakes.write_results(tmp_path / "r", [fakes.Scenario(origins=60)], strategies, 1).folder)
    (figure,) = figures_in(skill(results))
    assert figure.alt == "Skill of each strategy against persistence"
