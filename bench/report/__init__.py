"""Reports: Markdown that reads on GitHub as it is, tables as CSV, figures as SVG and PNG; and a page if wanted.

Everything is drawn from records, so no dataset, no plug-in and no torch is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.report.blocks import (
    Block,
    Bullets,
    Code,
    Details,
    Figure,
    Heading,
    Paragraph,
    Table,
    escape,
    figures_in,
)
from bench.results.disk import sweep
from bench.results.file_lock import file_lock
from bench.results.owner import unique_name
from bench.results.plain import is_file, make_folder, remove, require_plain

__all__ = [
    "PAGE",
    "Block",
    "Bullets",
    "Code",
    "Details",
    "Figure",
    "Heading",
    "Paragraph",
    "Table",
    "escape",
    "write_report",
]

PARTS = ("tables", "figures", "datasets")
TEXT, PAGE = "README.md", "report.html"


def write_report(
    results_folder: Path,
    report_folder: Path,
    *,
    throughput: Path | None = None,
    all_figures: bool = False,
    page: bool = False,
) -> Path:
    """Write the report of one experiment.

    Args:
        results_folder: ``results/<experiment>``.
        report_folder: Where ``README.md``, ``tables/`` and ``figures/`` go, and with very many datasets ``datasets/``,
            a page for each; older ones there are replaced, other files stay. Nothing is replaced unless the whole
            report could be written; where this process is killed while it replaces them, no ``README.md`` is there.
        throughput: Folder of what ``make throughput`` measured; its newest file joins the section on cost. None, or a
            folder that is not there, leaves it out.
        all_figures: Whether every dataset gets figures, where there are so many that otherwise only some do.
        page: Whether to write the page `PAGE` too. One that is there already is written anew in any case, so that it
            never tells of other records than ``README.md``.

    Returns:
        The path of ``README.md``. The same records (and benchmarks) give the same bytes.

    Raises:
        BenchError: The folder holds no records; or the report's folder, or a part of it, is a link, say.
    """
    # Imported late: `import bench.report` costs nothing until a report is written.
    from bench.report.document import dataset_page, report
    from bench.report.figures.canvas import drawing_style, save
    from bench.report.html.document import compose_page
    from bench.report.render.csv import write_tables, write_tuning
    from bench.report.render.latex import write_latex
    from bench.report.render.markdown import file_of, render
    from bench.report.sections.overview import page_of
    from bench.report.sections.tuning import not_served
    from bench.report.view.detail import on_own_page
    from bench.report.view.loading import read_results
    from bench.report.view.throughput import read_throughput
    from bench.report.view.tuning import read_tuning
    from bench.results.store import Store

    tuning = read_tuning(results_folder)
    with _replacing(report_folder) as work, drawing_style():
        (work / "figures").mkdir()

        def write(blocks: list[Block], path: Path, above: str = "") -> None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(render(blocks, above), encoding="utf-8", newline="\n")
            for figure in figures_in(blocks):
                save(figure.canvas, work / "figures" / file_of(figure))

        if tuning is not None:
            write_tuning(tuning, work / "tables")
        if tuning is not None and not Store(results_folder).run_ids():  # nothing was served yet
            write(not_served(tuning), work / TEXT)
            return report_folder / TEXT
        results = replace(read_results(results_folder), tuning=tuning, throughput=read_throughput(throughput))
        write_tables(results, work / "tables")
        write_latex(results, work / "tables" / "latex")
        write(list(report(results)), work / TEXT)
        for scenario in on_own_page(results):
            write(dataset_page(results, scenario, figures=all_figures), work / page_of(scenario), "../")
        if page or (report_folder / PAGE).is_file():
            (work / PAGE).write_text(compose_page(results), encoding="utf-8", newline="\n")
    return report_folder / TEXT


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder whose parts take the place of those in ``folder`` once the block ends well.

    Others may write the same report at the same time: each puts all of its parts in place before the next does.

    Raises:
        NotPlainError: ``folder``, or one of its parts, is a link, say.
    """
    within = folder.parent
    _require_plain(folder)
    make_folder(within, within)
    sweep(within, own=False)
    work = within / f".{unique_name()}"
    work.mkdir()
    try:
        yield work
        with file_lock(within / f".{folder.name}.lock", within):
            _require_plain(folder)
            make_folder(folder, within)
            if (folder / TEXT).exists():
                (folder / TEXT).rename(work / f"old-{TEXT}")
            for part in [*PARTS, *([PAGE] if (work / PAGE).exists() else []), TEXT]:
                _put(work / part, folder / part, work / f"old-{part}")
    finally:
        remove(work, within)


def _require_plain(folder: Path) -> None:
    for part in (*PARTS, TEXT, PAGE):
        require_plain(folder / part, folder.parent)


def _put(new: Path, place: Path, aside: Path) -> None:
    """Put a part of a report in its place, or nothing where there is no such part now."""
    if place.exists() and not (is_file(new) and is_file(place)):
        place.rename(aside)
    if new.exists():
        new.replace(place)
