"""A sweep as the report sees it: its trials, what was chosen, its tables and figures on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.analysis.sweeps import GROUP, best_by_option, grid_table, spread_options
from bench.report.figures.canvas import Drawing, drawing_style, save
from bench.report.figures.palette import colours
from bench.report.figures.sweep import draw_heat, draw_options
from bench.report.gallery import Gallery, Picture
from bench.report.render.markdown import slug
from bench.results.csv_text import write_frames
from bench.results.plain import JSON_BYTES, is_file, is_folder, read_file
from bench.results.store import CHOSEN, SWEEP
from bench.results.trials import read_trials

SWEEP_FIGURE = "sweep"


@dataclass(frozen=True, eq=False)
class Sweeps:
    """An experiment's sweep.

    Attributes:
        experiment: Its name.
        trials: A row for each run, as `bench.results.trials.read_trials` gives it.
        snippets: What was chosen, as TOML.
    """

    experiment: str
    trials: pd.DataFrame
    snippets: tuple[str, ...]

    @cached_property
    def table(self) -> pd.DataFrame:
        """`grid_table` of all trials."""
        return grid_table(self.trials)

    def searches(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each search by its title, with its rows of the table, in the order of the experiment."""
        several = self.table.groupby(["strategy", "dataset"], sort=False)["forecaster"].nunique().max() > 1
        for (strategy, forecaster, dataset, _), rows in self.table.groupby(GROUP, sort=False):
            on = f" + {forecaster}" if several and forecaster != "none" else ""
            yield f"{strategy}{on} on {dataset}", rows


def read_sweeps(results_folder: Path) -> Sweeps | None:
    """The sweep of one experiment, or None where it has none.

    Args:
        results_folder: ``results/<experiment>``.
    """
    trials = read_trials(results_folder)
    if trials.empty:
        return None
    chosen = results_folder / SWEEP / CHOSEN
    files = [path for path in sorted(chosen.glob("*.toml")) if is_file(path)] if is_folder(chosen) else []
    texts = (read_file(path, results_folder, JSON_BYTES).decode(errors="replace").strip() for path in files)
    return Sweeps(results_folder.name, trials, tuple(texts))


def write_sweeps(sweeps: Sweeps, folder: Path) -> None:
    """Write ``sweep.csv``, a row for each point, and ``sweep_runs.csv``, one for each run."""
    runs = sweeps.trials.drop(columns=["seconds"])
    write_frames({"sweep": sweeps.table, "sweep_runs": runs}, folder)


def draw_sweeps(sweeps: Sweeps, folder: Path) -> Gallery:
    """Draw the grid of each search in which some option takes several values.

    Args:
        sweeps: The sweep.
        folder: Where ``sweep-<search>.svg`` and ``.png`` go; made if need be.

    Returns:
        Pictures by the search's title and ``sweep``.
    """
    gallery: Gallery = {}
    folder.mkdir(parents=True, exist_ok=True)
    names = {strategy: strategy.partition(" (")[0] for strategy in sweeps.table["strategy"]}
    palette = colours(names.values())
    with drawing_style():
        for title, rows in sweeps.searches():
            drawing = _draw(rows, palette[names[rows["strategy"].iloc[0]]])
            if drawing is not None:
                picture = Picture(
                    f"{SWEEP_FIGURE}-{slug(title)}", f"Validation error over the grid of {title}", drawing.caption
                )
                save(drawing.figure, folder / picture.stem)
                gallery[title, SWEEP_FIGURE] = picture
    return gallery


def _draw(rows: pd.DataFrame, colour: str) -> Drawing | None:
    best = best_by_option(rows)
    options = list(dict.fromkeys(best["option"]))
    if not options or best["val_mse"].isna().all():
        return None
    if len(options) == 2:
        return draw_heat(rows, spread_options(rows)[options])
    chosen = spread_options(rows[rows["chosen"]])
    return draw_options(best, {o: chosen[o].iloc[0] for o in options} if len(chosen) else {}, colour)
