"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Plugins = Annotated[
    list[Path] | None, typer.Option("--plugins", help="A file or folder of plug-ins that joins; may be repeated.")
]
Results = Annotated[Path, typer.Option("--results", file_okay=False, help="Folder of results.")]
Always = Annotated[
    bool,
    typer.Option("--always/--only-missing", help="Train and run everything again, or only what is missing or failed."),
]
Timeout = Annotated[
    float | None, typer.Option(help="Seconds after which a run is given up, and its worker ended and replaced.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Runs at a time; by default as many as cores, or a ray cluster, allow.")
]
Engine = Annotated[
    str | None, typer.Option(help="Who carries runs out: serial, processes, ray, inline, or one of a plug-in.")
]
Address = Annotated[
    str | None, typer.Option(help="Of a ray cluster: HOST:PORT, ray://HOST:PORT, auto, or local to start one here.")
]
Retry = Annotated[
    bool, typer.Option("--retry-failed/--keep-failed", help="Whether runs that failed before are done again.")
]
Trackers = Annotated[
    list[str] | None,
    typer.Option("--tracker", help="Told of each run: mlflow, tensorboard, wandb, or a plug-in's; may be repeated."),
]
Reports = Annotated[Path, typer.Option("--reports", file_okay=False, help="Folder of reports.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads for each run.")]
ExperimentName = Annotated[str, typer.Argument(help="A TOML file, or the name of one in experiments/.")]
Datasets = Annotated[list[str] | None, typer.Option(help="On these only; may be repeated.")]
Forecasters = Annotated[list[str] | None, typer.Option("--forecaster", help="On these only; may be repeated.")]
Seeds = Annotated[list[int] | None, typer.Option(help="With these seeds only; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="As one JSON object.")]
Trials = Annotated[
    int | None, typer.Option(min=1, help="Trials of each strategy, spread over what its options declare.")
]
Grid = Annotated[
    list[str] | None,
    typer.Option(metavar="PLUGIN.OPTION=V,V,...", help="Values to try instead, all of them; may be repeated."),
]
