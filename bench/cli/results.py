"""The commands under ``bench results``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.execution.console import err, out, say_left_alone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.results.maintenance import Finding

app = typer.Typer(no_args_is_help=True, help="Results on disk: check, merge, prune, export, publish.")

Results = Annotated[Path, typer.Argument(file_okay=False, help="A folder of results, or of one experiment in it.")]


@app.command()
def check(results: Results = Path("results")) -> None:
    """Name everything that is damaged or stray, checksums recomputed; exit status 1 if anything is."""
    from bench.results.maintenance import check as look
    from bench.results.maintenance import stores_in

    findings = look(results)
    _print(findings)
    runs = sum(len(store.found()) for store in stores_in(results, needed=False))
    out.say(f"{runs} runs, {len(findings)} findings")
    if findings:
        raise typer.Exit(1)


@app.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(file_okay=False, exists=True, help="Folders of results.")],
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="The folder that they become.")],
) -> None:
    """Copy results of several folders into one; exit status 1 if two runs of one id differ, or one is damaged."""
    from bench.results.merging import merge as merge_all

    say_left_alone(*sources, to)
    merged = merge_all(sources, to)
    _print(merged.conflicts, "conflict: ")
    _print(merged.damaged, "damaged: ")
    said = f"{merged.taken} taken, {merged.same} the same, {len(merged.conflicts)} conflicts, {len(merged.damaged)}"
    out.say(f"{said} damaged")
    if merged.conflicts or merged.damaged:
        raise typer.Exit(1)


@app.command()
def prune(
    results: Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say only what would go.")] = False,
) -> None:
    """Remove runs of superseded versions, runs that are listed no longer, and damaged ones."""
    from bench.results.maintenance import prune as remove_superfluous

    say_left_alone(results)
    gone = remove_superfluous(results, dry_run=dry_run)
    _print(gone)
    out.say(f"{len(gone)} {'would be removed' if dry_run else 'removed'}")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="A .parquet or .csv file.")],
    results: Annotated[Path, typer.Option("--results", file_okay=False, help="Folder of results.")] = Path("results"),
) -> None:
    """Write one tidy frame, a row for each run."""
    from bench.results.maintenance import export as write_frame

    say_left_alone(results)
    found, lost = write_frame(results, file)
    if lost:
        err.say(f"{lost} listed runs are missing or damaged, and left out: see bench results check")
    out.say(f"{found} runs in {file}")


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where the archives go.")],
    results: Results = Path("results"),
) -> None:
    """Write each experiment as one small file to commit: records, errors at each origin, timings, audits, trials."""
    from bench.results.archive import publish as write_archive
    from bench.results.store import experiments_in

    say_left_alone(results)
    for experiment in experiments_in(results):
        made = write_archive(experiment, folder)
        out.say(f"{made.path}: {made.runs} runs, {made.path.stat().st_size / 1e6:.1f} MB")
        if made.lost:
            err.say(f"{made.lost} listed runs are missing or damaged, and left out: see bench results check")


def _print(findings: Iterable[Finding], before: str = "") -> None:
    for finding in findings:
        out.say(f"{before}{finding.path}: {finding.reason}")
