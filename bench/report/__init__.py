"""Reports: Markdown that reads on GitHub as it is, tables as CSV, figures as SVG and PNG; and a page if wanted.

Everything is drawn from records, so no dataset, no plug-in and no torch is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.results.disk import sweep
from bench.results.file_lock import file_lock
from bench.results.owner import unique_name
from bench.results.plain import is_file, make_folder, remove, require_plain

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
    from bench.report.document import compose
    from bench.report.gallery import Gallery, draw_figures
    from bench.report.html.document import compose_page
    from bench.report.pages import write_pages
    from bench.report.render.csv import write_tables
    from bench.report.render.latex import write_latex
    from bench.report.sections.sweep_results import draw_sweeps, read_sweeps, write_sweeps
    from bench.report.sections.sweeps import compose_sweeps
    from bench.report.sections.throughput import read_throughput
    from bench.report.view.loading import read_results
    from bench.results.store import Store

    sweeps = read_sweeps(results_folder)
    # what was swept and not served has no results yet
    results = read_results(results_folder) if sweeps is None or Store(results_folder).run_ids() else None
    with _replacing(report_folder) as work:
        figures: Gallery = {}
        if results is not None:
            write_tables(results, work / "tables")
            write_latex(results, work / "tables" / "latex")
            figures |= draw_figures(results, work / "figures", everything=all_figures)
        if sweeps is not None:
            write_sweeps(sweeps, work / "tables")
            figures |= draw_sweeps(sweeps, work / "figures")
        if results is not None:
            text = compose(results, figures, read_throughput(throughput), sweeps)
            write_pages(results, figures, work)
        else:
            assert sweeps is not None
            text = compose_sweeps(sweeps, figures)
        (work / TEXT).write_text(text, encoding="utf-8", newline="\n")
        if results is not None and (page or (report_folder / PAGE).is_file()):
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
