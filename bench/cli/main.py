"""The command line. Each command imports what it needs, so that help and reports stay light."""

from __future__ import annotations

import errno
import shlex
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bench.cli.check import check
from bench.cli.data import data
from bench.cli.doctor import doctor, start
from bench.cli.init import init
from bench.cli.listing import list_all
from bench.cli.new import new
from bench.cli.options import (
    Address,
    Always,
    AsJson,
    Datasets,
    Device,
    Engine,
    ExperimentName,
    Forecasters,
    Grid,
    Plugins,
    Reports,
    Results,
    Retry,
    Seeds,
    Threads,
    Timeout,
    Trackers,
    Trials,
    Workers,
)
from bench.cli.reports import compare, leaderboard, report
from bench.cli.results import app as results_app
from bench.contracts.errors import BenchError, TerminatedError
from bench.execution.console import err, out
from bench.execution.shutdown import ENDED, FULL, kept_when_stopped, terminable
from bench.results.benchmark_files import THROUGHPUT

if TYPE_CHECKING:
    from bench.execution.plan import Redo

UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, *FULL}
"""What a place is, by number of error, that can be neither read nor written; anything else may be a fault of ours."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(init, name="init")
app.add_typer(data, name="data")
app.add_typer(results_app, name="results")


@app.command()
def run(
    experiment: ExperimentName = "default",
    strategy: Annotated[list[str] | None, typer.Option(help="Run these only; may be repeated.")] = None,
    forecaster: Forecasters = None,
    dataset: Datasets = None,
    seed: Seeds = None,
    plugins: Plugins = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME.FIELD=VALUE", help="An option of a strategy, forecaster or dataset; may be repeated."
        ),
    ] = None,
    engine: Engine = None,
    workers: Workers = None,
    address: Address = None,
    device: Device = None,
    threads: Threads = None,
    timeout: Timeout = None,
    tracker: Trackers = None,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
    always: Always = False,
    retry_failed: Retry = True,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Run again what lacks the value of a metric, or has it by other code.")
    ] = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train forecasters again, and run again what adapts them.")
    ] = False,
    retime: Annotated[
        bool, typer.Option("--retime", help="Time again what other processes disturbed, or an earlier version timed.")
    ] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only this share of the runs, told by their ids; no report.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the matrix and what is there; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run an experiment and write its report; what was done before is not done again."""
    from bench.execution.dry_run import preview
    from bench.execution.experiment import load_experiment
    from bench.execution.overrides import Override
    from bench.execution.plan import SessionOptions
    from bench.execution.run import estimate_drifts, prepare
    from bench.execution.session import run_experiment
    from bench.execution.shard import WHOLE, Shard
    from bench.report import write_report

    if as_json and not dry_run:
        raise BenchError("--json is for --dry-run. What a run left is read by bench leaderboard --json.")
    share = Shard.parse(shard) if shard else WHOLE
    ready = prepare(
        load_experiment(experiment),
        plugins or (),
        strategies=strategy or (),
        forecasters=forecaster or (),
        datasets=dataset or (),
        seeds=seed or (),
        address=address,
        overrides=[Override.parse(text) for text in set_ or ()],
        engine=engine,
        workers=workers,
        device=device,
        threads=threads,
        timeout=timeout,
        trackers=tracker,
    )
    chosen = ready.experiment
    redo: Redo = "unmeasured" if rescore and not always else _redo(always, retry_failed)
    options = SessionOptions(redo, retrain, retime, ready.is_filtered, share)
    if dry_run:
        preview(chosen, results, options, as_json=as_json)
        return
    with kept_when_stopped(err):
        command = shlex.join(["bench", *sys.argv[1:]])
        outcome = run_experiment(chosen, results, plugins=ready.plugins, options=options, command=command)
    err.say(outcome.summary())
    if share == WHOLE:
        estimate_drifts(outcome.folder, chosen, again=always)
        out.say(write_report(outcome.folder, reports / chosen.name, throughput=results / THROUGHPUT))
    else:
        err.say(f"This was share {shard}. Once all are done: bench report {chosen.name}")
    if outcome.failed or outcome.unfinished or ready.left_out:
        raise typer.Exit(1)


def _redo(always: bool, retry_failed: bool) -> Redo:
    return "always" if always else "only-missing" if retry_failed else "keep-failed"


@app.command()
def tune(
    experiment: ExperimentName = "default",
    trials: Trials = None,
    grid: Grid = None,
    strategy: Annotated[list[str] | None, typer.Option(help="Tune these only; may be repeated.")] = None,
    forecaster: Forecasters = None,
    dataset: Datasets = None,
    seed: Seeds = None,
    plugins: Plugins = None,
    engine: Engine = None,
    workers: Workers = None,
    address: Address = None,
    device: Device = None,
    threads: Threads = None,
    timeout: Timeout = None,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the stream with what was chosen.")] = True,
    always: Always = False,
    retry_failed: Retry = True,
) -> None:
    """Try options on the validation rows, as many for each strategy; serve the stream with the best and as it was."""
    from bench.execution.experiment import load_experiment
    from bench.execution.plan import SessionOptions
    from bench.execution.run import estimate_drifts, prepare
    from bench.execution.tune.grid import parse_grid
    from bench.execution.tune.tuning import as_told, run_tune
    from bench.report import write_report

    ready = prepare(
        load_experiment(experiment),
        plugins or (),
        strategies=strategy or (),
        forecasters=forecaster or (),
        datasets=dataset or (),
        seeds=seed or (),
        address=address,
        engine=engine,
        workers=workers,
        device=device,
        threads=threads,
        timeout=timeout,
    )
    chosen = as_told(ready.whole, ready.experiment, parse_grid(grid or ()), trials)
    with kept_when_stopped(err):
        outcome = run_tune(
            chosen,
            results,
            plugins=ready.plugins,
            options=SessionOptions(_redo(always, retry_failed), is_filtered=ready.is_filtered),
            serve=serve,
            command=shlex.join(["bench", *sys.argv[1:]]),
        )
    estimate_drifts(outcome.folder, chosen, again=always)
    report = write_report(outcome.folder, reports / chosen.name, throughput=results / THROUGHPUT)
    for line in outcome.summary():
        err.say(line)
    for snippet in outcome.snippets:
        out.say(f"# {snippet}")
        out.print(snippet.read_text(encoding="utf-8"))
    out.say(report)
    if outcome.failed or ready.left_out:
        raise typer.Exit(1)


@app.command()
def verify(
    published: Annotated[
        bool, typer.Option("--published", help="The cheap published figures of docs/reproductions.md too: minutes.")
    ] = False,
) -> None:
    """Recompute the calibration tables and print ours beside them."""
    from bench.testing.calibration import verify as recompute

    if not recompute(out, published=published):
        raise typer.Exit(1)


app.callback(invoke_without_command=True)(start)
app.command("list")(list_all)
for command in (report, compare, leaderboard, new, check, doctor):
    app.command()(command)


def main() -> None:
    """The command ``bench``: a user's mistake, or a place that cannot be used, is one line and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a character that the terminal's encoding lacks is spelled out
            stream.reconfigure(errors="backslashreplace")
    try:
        with terminable():
            app()
    except TerminatedError:
        sys.exit(ENDED)
    except BenchError as error:
        _end(str(error))
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        _end("torch is not installed. Without it there are bench report, compare, leaderboard and doctor.")
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        place = f"{error.filename} cannot be used: " if error.filename is not None else ""
        _end(f"{place}{error.strerror}. Mend that, or name another place.")


def _end(mistake: str) -> NoReturn:
    err.say(f"Error: {mistake}", style="red")
    sys.exit(2)
