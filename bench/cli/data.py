"""The command line's part on datasets: list, fetch, describe, card."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.contracts.errors import BenchError
from bench.execution.console import err, load_all, out, print_table

data = typer.Typer(no_args_is_help=True, help="Datasets: list, fetch, describe, card.")


@data.command("list")
def list_data() -> None:
    """Datasets, and whether their files are here."""
    from bench.contracts.dataset import DATASETS
    from bench.data.download import locate

    load_all()
    rows = []
    for entry in DATASETS:
        file = entry.cls.remote_file
        where = f"adaptbench[{entry.cls.extra}]" if entry.cls.extra else "no file needed"
        where = where if file is None else str(locate(file) or "not here: bench data fetch " + entry.name)
        rows.append((entry.name, where, entry.summary))
    print_table("Datasets", ("name", "file", "what it is"), rows)


@data.command()
def fetch(name: Annotated[str, typer.Argument(help="A dataset's name, or all.")]) -> None:
    """Download a dataset's file, and check it; what broke off before goes on from there."""
    from bench.contracts.dataset import DATASETS
    from bench.data.download import fetch as download

    load_all()
    entries = [e for e in DATASETS if e.cls.remote_file] if name == "all" else [DATASETS[name.partition(":")[0]]]
    failures: dict[str, BenchError] = {}
    for entry in entries:
        file = entry.cls.remote_file
        try:
            without = f"comes with adaptbench[{entry.cls.extra}]" if entry.cls.extra else "needs no file"
            found = without if file is None else str(download(file))
        except BenchError as error:
            if len(entries) == 1:
                raise
            failures[entry.name] = error
            continue
        except KeyboardInterrupt:
            err.say("Interrupted. What has arrived is kept; the same command goes on from there.")
            raise typer.Exit(130) from None
        out.say(f"{entry.name}: {found}")
    if failures:
        for failed, reason in failures.items():
            err.say(f"{failed}: {reason}")
        raise BenchError(f"{len(failures)} of {len(entries)} datasets are not here: {', '.join(failures)}.")


@data.command()
def describe(
    name: Annotated[str, typer.Argument(help="A dataset's name, or csv:PATH, or parquet:PATH.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="An option of it; may be repeated.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw it, too: a .png or .svg file.")] = None,
    plugins: Annotated[list[Path] | None, typer.Option("--plugins", help="A file or folder of plug-ins.")] = None,
) -> None:
    """Rows, columns, borders, drifts known and estimated, how far the stream is from training, source and licence."""
    from bench.contracts.dataset import resolve_dataset
    from bench.report.dataset_card import CHARACTERISTICS, EVIDENCE, Portrait

    load_all(plugins or ())
    series = resolve_dataset(name, options_of(set_ or ())).series()
    portrait = Portrait.of(series, _change_points())
    print_table(name, ("what", "value"), [*portrait.facts(), ("fingerprint", series.fingerprint)])
    print_table("\nCharacteristics of the targets", CHARACTERISTICS, [portrait.characteristics_row()])
    print_table("\nDrift", EVIDENCE, portrait.evidence_rows())
    out.say(portrait.evidence_note())
    if plot is not None:
        portrait.save_plot(plot)
        out.say(plot)


@data.command()
def card(
    name: Annotated[str, typer.Argument(help="A dataset's name, or all.")],
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where the pages go.")] = Path("docs/datasets"),
) -> None:
    """Write a dataset's page, NAME.md; all writes their index, too. Nothing is downloaded for it."""
    from bench.contracts.dataset import DATASETS
    from bench.report.dataset_card import index, is_brief, make_card

    load_all()
    entries = [e for e in DATASETS if "path" not in e.cls.Config.model_fields]
    chosen = entries if name == "all" else [DATASETS[name]]
    if not set(chosen) <= set(entries):
        raise BenchError(
            f"{name} has no page: it is a file of the user's own. bench data describe {name}:PATH shows it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for entry in chosen:
        path = folder / f"{entry.name}.md"
        text = make_card(entry, _change_points())
        if is_brief(text) and path.is_file() and not is_brief(path.read_text(encoding="utf-8")):
            out.say(f"{path}: kept, as the data are not here")
            continue
        path.write_text(text, encoding="utf-8")
        out.say(path)
    if name == "all":
        (folder / "README.md").write_text(index(entries, folder), encoding="utf-8")


def _change_points() -> Path:
    from bench.data.download import cache_folder
    from bench.results.disk import CHANGE_POINTS

    return cache_folder().parent / CHANGE_POINTS.removeprefix(".")


def options_of(pairs: Iterable[str]) -> dict[str, Any]:
    """Options of a dataset from ``FIELD=VALUE`` each."""
    from bench.execution.overrides import parse_value

    options = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals:
            raise BenchError(f"{pair!r} is not an option of a dataset: write FIELD=VALUE, such as missing=ffill")
        options[field.strip()] = parse_value(value)
    return options
