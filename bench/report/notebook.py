"""One experiment's results in Python: frames, and in a notebook a table and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

    from bench.report.view.loaded import Results

COLUMNS = ["scenario", "rank", "entry", "mse", "mae", "skill_persistence", "skill_frozen", "seeds", "failed"]
MOST_FIGURES = 6
DPI = 110


@dataclass(frozen=True)
class NotebookFigure:
    """A figure that a notebook shows as a picture.

    Attributes:
        title: What it shows, and of which scenario.
        caption: What to read out of it.
        png: The picture.
        figure: The same as matplotlib drew it: its ``axes`` can be drawn on, and ``savefig`` writes other forms.
    """

    title: str
    caption: str
    png: bytes
    figure: Canvas

    def __repr__(self) -> str:
        return f"NotebookFigure({self.title!r})"

    def _repr_png_(self) -> bytes:
        return self.png


class ExperimentResults:
    """Results of one experiment on disk; what is read is kept, so make a new one to see what was added since.

    A notebook shows the leaderboard as a table and the first figures as pictures.

    Args:
        folder: ``<results>/<experiment's name>``.

    Raises:
        BenchError: At first use: the folder holds no readable record.

    Example:
        >>> from bench import ExperimentResults
        >>> ExperimentResults("reports/example/results/default").leaderboard["entry"].head(1).item()
        'titans-d'
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @cached_property
    def _loaded(self) -> Results:
        from bench.report.view.loading import read_results

        return read_results(self.folder)

    @property
    def runs(self) -> pd.DataFrame:
        """A row for each run of the experiment's last version.

        Columns are those of `bench.load_results`, with ``scenario`` (dataset and protocol) and ``entry`` (strategy and
        forecaster with their options), by which runs are compared. ``mse`` and its like are in scaled units (1 is a
        standard deviation over the training rows), those that end in ``_original`` in the data's; ``_ms`` are
        milliseconds, ``_s`` seconds, ``_mb`` 2**20 bytes. A run that failed has its ``reason``.
        """
        return self._loaded.runs.copy()

    @property
    def leaderboard(self) -> pd.DataFrame:
        """A row for each entry of each scenario, best first; columns are those of `bench.analysis.leaderboard`.

        Errors are means over seeds, in scaled units; skills are in percent, above 0 is better than the reference.
        """
        return self._loaded.board.copy()

    @property
    def pairs(self) -> pd.DataFrame:
        """A row for each pair of ranked entries of a scenario, with the verdict on the first.

        Columns are ``scenario`` and those of `bench.analysis.verdicts_of`; skills are in percent, above 0 if the first
        is better.
        """
        from bench.report.view.comparisons import verdict_table

        return verdict_table(self._loaded).copy()

    def figures(self, most: int | None = None) -> list[NotebookFigure]:
        """The report's figures in its order, drawn when asked for.

        Args:
            most: No more than so many; None for all.
        """
        return list(islice(self._drawn(), most))

    def write_report(self, folder: Path | str) -> Path:
        """Write the report as Markdown with its tables and figures.

        Args:
            folder: Where ``README.md``, ``tables/`` and ``figures/`` go.

        Returns:
            The path of ``README.md``.

        Raises:
            BenchError: The folder, or a part of it, is a link.
        """
        from bench.report import write_report

        return write_report(self.folder, Path(folder))

    def _drawn(self) -> Iterator[NotebookFigure]:
        from bench.report.blocks import figures_in
        from bench.report.document import report
        from bench.report.figures.canvas import drawing_style

        with drawing_style():
            for figure in figures_in(report(self._loaded)):
                buffer = io.BytesIO()
                figure.canvas.savefig(buffer, format="png", dpi=DPI)
                title = f"{figure.alt}: {figure.subject}"
                yield NotebookFigure(title, figure.caption, buffer.getvalue(), figure.canvas)

    def __repr__(self) -> str:
        counts = self._loaded.runs["status"].value_counts()
        runs = ", ".join(f"{count} {status}" for status, count in counts.items())
        board = self._loaded.board.reindex(columns=COLUMNS).to_string(index=False, float_format="{:.4g}".format)
        return f"{self.folder}: runs: {runs}\n{board}"

    def _repr_html_(self) -> str:
        board = self._loaded.board.reindex(columns=COLUMNS)
        table = board.to_html(index=False, na_rep="", float_format="{:.4g}".format, border=0)
        parts = [f"<p>{escape(str(self.folder))}</p>", table]
        for figure in self.figures(MOST_FIGURES):
            picture = base64.b64encode(figure.png).decode()
            parts.append(
                f'<figure><img alt="{escape(figure.title)}" src="data:image/png;base64,{picture}">'
                f"<figcaption>{escape(figure.title)}. {escape(figure.caption)}</figcaption></figure>"
            )
        return "\n".join(parts)
