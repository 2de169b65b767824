"""The command line's part on datasets: list, fetch, describe."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.console import err, out, print_table
from bench.errors import BenchError

data = typer.Typer(no_args_is_help=True, help="Datasets: list, fetch, describe.")


@data.command("list")
def list_data() -> None:
    """Datasets, and whether their files are here."""
    from bench.dataset import DATASETS
    from bench.download import locate
    from bench.plugins import load_plugins

    load_plugins()
    rows = []
    for entry in DATASETS:
        file = entry.cls.remote_file
        where = "no file needed" if file is None else str(locate(file) or "not here: bench data fetch " + entry.name)
        rows.append((entry.name, where, entry.summary))
    print_table("Datasets", ("name", "file", "what it is"), rows)


@data.command()
def fetch(name: Annotated[str, typer.Argument(help="A dataset's name, or all.")]) -> None:
    """Download a dataset's file, and check it; what broke off before goes on from there."""
    from bench.dataset import DATASETS
    from bench.download import fetch as download
    from bench.plugins import load_plugins

    load_plugins()
    entries = [e for e in DATASETS if e.cls.remote_file] if name == "all" else [DATASETS[name.partition(":")[0]]]
    failures: dict[str, BenchError] = {}
    for entry in entries:
        file = entry.cls.remote_file
        try:
            found = "needs no file" if file is None else str(download(file))
        except BenchError as error:
            if len(entries) == 1:
                raise
            failures[entry.name] = error
            continue
        except KeyboardInterrupt:
            err.print("Interrupted. What has arrived is kept; the same command goes on from there.", highlight=False)
            raise typer.Exit(130) from None
        out.print(f"{entry.name}: {found}", markup=False, highlight=False)
    if failures:
        for failed, reason in failures.items():
            err.print(f"{failed}: {reason}", markup=False, highlight=False)
        raise BenchError(f"{len(failures)} of {len(entries)} datasets are not here: {', '.join(failures)}.")


@data.command()
def describe(
    name: Annotated[str, typer.Argument(help="A dataset's name, or csv:PATH, or parquet:PATH.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="An option of it; may be repeated.")
    ] = None,
    plugins: Annotated[list[Path] | None, typer.Option("--plugins", help="A file or folder of plug-ins.")] = None,
) -> None:
    """Rows, columns, borders, drifts, source and licence of a dataset."""
    import numpy as np

    from bench.dataset import resolve_dataset
    from bench.plugins import load_plugins

    load_plugins(plugins or ())
    series = resolve_dataset(name, _options(set_ or ())).series()
    split = series.split
    steps, counts = np.unique(np.diff(series.time), return_counts=True)
    gaps = int(counts.sum() - counts.max())
    rows = [
        ("rows", f"{len(series):,}"),
        ("time", f"{series.time[0]} to {series.time[-1]}"),
        ("step", f"{steps[counts.argmax()]}" + (f", {gaps} irregular" if gaps else ", no gaps")),
        ("training", f"rows 0 to {split.train:,}"),
        ("validation", f"rows {split.train:,} to {split.validation:,}, from {series.time[split.train]}"),
        ("stream", f"rows {split.validation:,} to {split.end:,}, from {series.time[split.validation]}"),
        ("inputs", ", ".join(series.inputs)),
        ("targets", ", ".join(series.targets)),
        ("lookback, horizon, season", f"{series.lookback}, {series.horizon}, {series.season or 'none'}"),
        *[("drift", f"row {e.row:,}, {series.time[e.row]}: {e.name} ({e.kind})") for e in series.events],
        ("source", series.source or "not stated"),
        ("licence", series.licence or "not stated"),
        *[("note", note) for note in series.notes],
        ("fingerprint", series.fingerprint),
    ]
    print_table(name, ("what", "value"), rows)


def _options(pairs: Iterable[str]) -> dict[str, Any]:
    from bench.override import parse_value

    options = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals:
            raise BenchError(f"{pair!r} is not an option of a dataset: write FIELD=VALUE, such as missing=ffill")
        options[field.strip()] = parse_value(value)
    return options
