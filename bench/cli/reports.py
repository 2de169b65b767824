"""``bench report``, ``compare`` and ``leaderboard``: they read results, and need neither torch nor plug-ins."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import AsJson, Plugins, Reports, Results
from bench.execution.console import err, out, say_left_alone
from bench.results.benchmark_files import THROUGHPUT


def report(
    experiment: Annotated[str | None, typer.Argument(help="An experiment's name; all of them by default.")] = None,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
    all_figures: Annotated[
        bool, typer.Option("--all-figures", help="Figures of every dataset, however many there are.")
    ] = False,
    plugins: Plugins = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write report.html too: one page to sort, filter and zoom, no network.")
    ] = False,
) -> None:
    """Write reports again from the results on disk."""
    from bench.contracts.discovery import load_sections
    from bench.results.archive import unpacked

    for broken in load_sections(plugins or ()):
        err.say(broken, style="red")

    say_left_alone(results)
    with unpacked(results) as place:
        _write_reports(place, experiment, reports, all_figures=all_figures, html=html)


def _write_reports(results: Path, experiment: str | None, reports: Path, *, all_figures: bool, html: bool) -> None:
    from bench.contracts.registry import unknown
    from bench.report import PAGE, write_report
    from bench.results.store import experiments_in

    folders = {folder.name: folder for folder in experiments_in(results)}
    if experiment and experiment not in folders:
        raise unknown("experiment with results", experiment, folders)
    for name, folder in folders.items():
        if experiment in (None, name):
            report = write_report(
                folder, reports / name, throughput=folder.parent / THROUGHPUT, all_figures=all_figures, page=html
            )
            out.say(report)
            if html and (made := report.with_name(PAGE)).is_file():
                out.say(made)
            elif html:
                err.say(f"No {report.with_name(PAGE)}: nothing has been served yet, so there is no leaderboard.")


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Results or benchmarks as they were; COMMIT:PATH reads git.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Results or benchmarks as they are, likewise.")],
    worse: Annotated[float, typer.Option(min=0, help="More error counts beyond this share.")] = 0.01,
    slower: Annotated[float, typer.Option(min=0, help="More time counts beyond this share.")] = 0.25,
    all_: Annotated[bool, typer.Option("--all", help="Show what did not change, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what got worse or slower from A to B; exit status 1 if anything did, or newly failed."""
    from bench.analysis.compare import Bounds, is_worse
    from bench.report.compare.loading import compare as compare_places
    from bench.report.compare.text import comparison
    from bench.report.render.markdown import render

    say_left_alone(*(Path(place) for place in (a, b)))
    found = compare_places(a, b, Bounds(worse, slower))
    if as_json:
        out.print(_json(changes=found.changes, unreadable=found.unreadable))
    else:
        out.print(render(comparison(found, everything=all_)).rstrip())
    if is_worse(found.changes):
        raise typer.Exit(1)


def leaderboard(
    results: Annotated[
        list[str] | None,
        typer.Argument(metavar="RESULTS...", help="Folders of results, of one experiment or several each."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(dir_okay=False, help="Also write every number to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Several experiments' or machines' results in one table, as Markdown."""
    from bench.report.pooled.loading import read_pooled
    from bench.report.pooled.text import pooled_leaderboard
    from bench.report.render.markdown import render
    from bench.results.csv_text import write_frame

    say_left_alone(*map(Path, results or ["results"]))
    found = read_pooled(results or ["results"])
    if as_json:
        out.print(_json(entries=found.board, overall=found.overall, sources=list(map(asdict, found.sources))))
    else:
        out.print(render(pooled_leaderboard(found)).rstrip())
    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        write_frame(found.board, csv)


def _json(**parts: Any) -> str:
    """Frames as lists of rows, in which what is not a number is null."""
    import pandas as pd

    def plain(part: Any) -> Any:
        if not isinstance(part, pd.DataFrame):
            return part
        return json.loads(part.to_json(orient="records", double_precision=15, date_format="iso"))

    return json.dumps({name: plain(part) for name, part in parts.items()}, indent=2)
