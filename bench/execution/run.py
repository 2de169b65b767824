"""``bench.run``: an experiment from Python. The command line goes the same way."""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.contracts.config import build
from bench.contracts.discovery import LISTED, user_plugin_names, working_plugins
from bench.contracts.errors import BenchError
from bench.contracts.plugin_import import ROOT
from bench.execution.console import Screen, err, load_all
from bench.execution.experiment import Experiment, leave_out, load_experiment, with_plugins
from bench.execution.overrides import Override, filtered, override
from bench.execution.plan import Redo, SessionOptions
from bench.execution.resources import engine_of, with_address
from bench.execution.session import run_experiment
from bench.report.notebook import ExperimentResults
from bench.results.store import Store

GUARD = 'Put the call under `if __name__ == "__main__":`'


@dataclass(frozen=True)
class Prepared:
    """An experiment whose plug-ins are loaded.

    Attributes:
        experiment: What the user selected of it.
        whole: The same before the selection.
        plugins: What workers load.
        left_out: Names that ``experiment`` lacks, since the files that would have brought them cannot be loaded.
        is_filtered: Whether only a selection is run: other rows of the report then stay.
    """

    experiment: Experiment
    whole: Experiment
    plugins: tuple[Path, ...]
    left_out: tuple[str, ...]
    is_filtered: bool


def prepare(
    experiment: Experiment,
    plugins: Iterable[Path] = (),
    *,
    strategies: Iterable[str] = (),
    datasets: Iterable[str] = (),
    seeds: Iterable[int] = (),
    forecasters: Iterable[str] = (),
    address: str | None = None,
    overrides: Iterable[Override] = (),
    console: Screen = err,
    **changes: Any,
) -> Prepared:
    """Load plug-ins, and select.

    Args:
        plugins: They join the experiment, where those that it names itself are only what its lists choose from.
        strategies: As `filtered` takes them, like ``datasets``, ``seeds``, ``forecasters`` and ``changes``.
        console: Where it is said which plug-ins of the working folder were loaded, and which cannot be.

    Raises:
        BenchError: A plug-in, a name or an option is wrong.
    """
    script, joining = _script(), tuple(plugins)
    paths = tuple({path.resolve(): path for path in [*map(Path, experiment.plugins), *joining]}.values())
    broken = load_all([path for path in paths if path.resolve() != script], console)
    joined = with_plugins(experiment, *user_plugin_names(joining))
    joined = joined.model_copy(update={"plugins": list(map(str, paths))})
    chosen = with_address(filtered(joined, strategies, datasets, seeds, forecasters, **changes), address)
    chosen, left_out = leave_out(chosen, broken)
    for key, kind in (("strategies", "strategy"), ("datasets", "dataset")):
        if not getattr(chosen, key):
            raise BenchError(f"experiment {chosen.name!r}: no {kind} is left: {' '.join(map(str, broken))}")
    chosen = override(chosen, overrides)
    if script is not None and any(entry.file == script for registry in LISTED for entry in registry):
        paths = (*(path for path in paths if path.resolve() != script), script)
        if engine_of(chosen).has_workers and not _is_guarded(script):
            raise BenchError(f"{script}: each worker loads this file for the plug-ins in it, and would run it. {GUARD}")
    is_filtered = bool([*strategies, *datasets, *seeds, *forecasters, *left_out])
    paths = (*paths, *working_plugins(at_hand=True))
    return Prepared(chosen, leave_out(joined, broken)[0], paths, tuple(left_out), is_filtered)


def estimate_drifts(folder: Path, experiment: Experiment, *, again: bool = False, console: Screen = err) -> None:
    """Leave estimated change points of the experiment's datasets for the report."""
    from bench.analysis.estimated_drift import leave_drifts

    leave_drifts(Store(folder), console.say, experiment.datasets, again=again)


def run(
    experiment: Experiment | Mapping[str, Any] | Path | str,
    *,
    results: Path | str = "results",
    plugins: Iterable[Path | str] = (),
    progress: bool = True,
    redo: Redo = "only-missing",
    retrain: bool = False,
    retime: bool = False,
) -> ExperimentResults:
    """Run an experiment; what is on disk already is not run again.

    In a script that defines plug-ins itself, the call stands under ``if __name__ == "__main__":``, since workers load
    the script. A notebook keeps plug-ins in files (``%%writefile mine.py``) and names them in ``plugins``.

    Args:
        experiment: A `bench.Experiment`, its fields as a mapping, a TOML file, or the name of one in ``experiments/``.
        results: Folder that holds a folder for each experiment.
        plugins: Files, packages or folders of plug-ins, which join the experiment; forecasters only if it names none.
        progress: Whether progress, notes and failures are written to standard error.
        redo: ``only-missing`` runs what is missing or failed, ``keep-failed`` only what is missing, ``unmeasured`` what
            is missing, failed or lacks the value of a metric, ``always`` all.
        retrain: Whether forecasters are trained again, and what adapts them is run again.
        retime: Whether timing passes are repeated that other processes disturbed.

    Returns:
        The results, with frames ``runs``, ``leaderboard`` and ``pairs``. A run that failed raises nothing: it is a row
        of ``runs`` with its ``reason``.

    Raises:
        BenchError: The experiment cannot be run as given, or workers would run the calling script again.
        WorkerLostError: No worker process can be started.

    Example:
        >>> import bench
        >>> found = bench.run(
        ...     bench.Experiment(
        ...         name="quick", strategies=["persistence", "rls"], datasets=["realistic-drift"], engine="inline"
        ...     )
        ... )  # doctest: +SKIP
        >>> found.leaderboard[["entry", "mse"]]  # doctest: +SKIP
    """
    if loading := _plugin_being_loaded():
        raise BenchError(f"{loading}: this file is loaded as a plug-in, and calls bench.run. {GUARD}")
    console = _console(progress)
    prepared = prepare(_given(experiment), [Path(path) for path in plugins], console=console)
    outcome = run_experiment(
        prepared.experiment,
        Path(results),
        plugins=prepared.plugins,
        options=SessionOptions(redo, retrain, retime, prepared.is_filtered),
        command=shlex.join(["python", *sys.argv]) if _script() else "bench.run(...)",
        console=console,
    )
    console.say(outcome.summary())
    estimate_drifts(outcome.folder, prepared.experiment, again=redo == "always", console=console)
    return ExperimentResults(outcome.folder)


def _given(experiment: Experiment | Mapping[str, Any] | Path | str) -> Experiment:
    if isinstance(experiment, Experiment):
        return experiment
    if isinstance(experiment, Mapping):
        return build(Experiment, experiment, "experiment")
    return load_experiment(str(experiment))


def _console(progress: bool) -> Screen:
    # rich draws bars in a notebook by ipywidgets only; without it lines are printed
    widgets = {} if find_spec("ipywidgets") else {"force_jupyter": False}
    return Screen(stderr=True, quiet=not progress, **widgets)


def _script() -> Path | None:
    """The file that Python was started with; None in a notebook, a console, or for a module of this package."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return Path(file).resolve() if file else None


def _is_guarded(script: Path) -> bool:
    body = ast.parse(script.read_bytes()).body
    return any(isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) for node in body)


def _plugin_being_loaded() -> str:
    """The plug-in's file whose top level this call comes from; empty where there is none."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__", "").startswith(f"{ROOT}."):
            return frame.f_code.co_filename
    return ""
