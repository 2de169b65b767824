"""``bench check``: a plug-in is taken through its checks by a worker, which it may end, or keep for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import AsJson, Forecasters, Plugins, Results
from bench.contracts.errors import ENDS_SESSION, BenchError, traceback_of, words_of
from bench.execution.console import err, load_all, out

if TYPE_CHECKING:
    from bench.contracts.engine import Pool
    from bench.results.audit import Audit

QUICK = "dlinear"
"""What a quick check of a strategy prefers to adapt: it is trained in no time, and offers gradients."""


def check(
    name: Annotated[str, typer.Argument(help="A strategy, forecaster, dataset or metric.")],
    forecaster: Forecasters = None,
    plugins: Plugins = None,
    results: Results = Path("results"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A strategy on one forecaster, and each preset once: seconds. Not kept.")
    ] = False,
    engine: Annotated[str, typer.Option(help="serial: in a process beside this one; inline: in this one.")] = "serial",
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which a check is given up, on each forecaster.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a plug-in keeps its contract: no leak, deterministic, right shapes. A strategy's audit is kept."""
    from bench.contracts.engine import ENGINES

    paths = tuple(path.resolve() for path in plugins or ())
    load_all(plugins or ())
    told = list[dict[str, Any]]()
    with ENGINES[engine].cls().pool(1, 1) as pool:
        for kind in kinds_of(name):
            asked = Asked(paths, results, pool, timeout, tuple(forecaster or ()), quick and kind == "strategy", as_json)
            verdict = check_plugin(name, kind, asked)
            if verdict.mistake is not None:
                raise verdict.mistake
            if as_json:
                told.append(_in_words(name, kind, verdict, quick=asked.quick))
            else:
                _say(name, kind, verdict, quick=asked.quick)
            if verdict.found:
                break
            if asked.quick and not as_json:
                _say_what_is_left(name, plugins or ())
    if as_json:
        out.print(json.dumps(told, indent=2))
    if verdict.found:
        raise typer.Exit(1)


def _say(name: str, kind: str, verdict: Verdict, *, quick: bool) -> None:
    if verdict.found:
        err.say(f"{kind} {name!r} FAILED: {verdict.found}")
        for title, said in _explained(name, verdict.found).items():
            err.say(f"{title}: {said}")
        return
    for line in verdict.lines:
        out.say(f"  ok  {line}")
    out.say(f"{kind} {name!r} passes{' the quick check' if quick else ''}")


def _in_words(name: str, kind: str, verdict: Verdict, *, quick: bool) -> dict[str, Any]:
    why = _explained(name, verdict.found) if verdict.found else {}
    found = {"found": verdict.found, **{title.lower().replace(" ", "_"): said for title, said in why.items()}}
    passed = {
        "name": name,
        "kind": kind,
        "passes": not verdict.found,
        "quick": quick,
        "passed": [*verdict.said, *verdict.lines],
    }
    return passed | (found if verdict.found else {})


def _explained(name: str, found: str) -> dict[str, str]:
    from bench.testing.explanations import Explanation, explanation

    said = explanation(found) or Explanation(
        "It did not come to its end, so nothing more is known of it, and a run with it may fail alike.",
        f"Mend what the line above names. bench check {name} --engine inline runs in this process, for a debugger.",
    )
    return {"Why it matters": said.why, "What to do": said.what_to_do}


def _say_what_is_left(name: str, plugins: Sequence[Path]) -> None:
    paths = "".join(f" --plugins {path}" for path in plugins)
    out.say(
        "Left out: other forecasters; all but one regime of labels and one disturbance for each preset; longer series. "
        f"All of it, and kept for reports: bench check {name}{paths}"
    )


@dataclass(frozen=True)
class Asked:
    """What is asked of the checks of a plug-in.

    Attributes:
        plugins: Files that the worker loads.
        results: Folder of the audits.
        timeout: Seconds after which a check is given up.
        forecasters: Chosen ones, for a strategy; empty for all that will do.
        quick: Whether a strategy is checked on one forecaster, in part, and its audit is not kept.
        quiet: Whether nothing is said of what is passed.
    """

    plugins: tuple[Path, ...]
    results: Path
    pool: Pool
    timeout: float | None = None
    forecasters: tuple[str, ...] = ()
    quick: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a plug-in's checks say.

    Attributes:
        found: Where it breaks its contract; empty where it passes.
        mistake: What keeps it from being checked.
        said: What was passed and is said already, where ``lines`` are not.
    """

    lines: tuple[str, ...] = ()
    found: str = ""
    mistake: BenchError | OSError | None = None
    said: tuple[str, ...] = ()


def kinds_of(name: str) -> list[str]:
    """What a name stands for: strategy, forecaster, dataset, metric.

    Raises:
        BenchError: Nothing is called so.
    """
    from bench.contracts.dataset import DATASETS
    from bench.contracts.forecaster import FORECASTERS
    from bench.contracts.metric import METRICS
    from bench.contracts.registry import Registry, unknown
    from bench.contracts.strategy import STRATEGIES

    registries: tuple[Registry[Any], ...] = (STRATEGIES, FORECASTERS, DATASETS, METRICS)
    names = {DATASETS.kind: name.partition(":")[0]}
    if found := [registry.kind for registry in registries if names.get(registry.kind, name) in registry]:
        return found
    raise unknown("plug-in", name, [entry.name for registry in registries for entry in registry])


def check_plugin(name: str, kind: str, asked: Asked) -> Verdict:
    """Take a plug-in through its checks. A strategy's audits are kept: one on each forecaster that will do, or on some.

    Raises:
        BenchError: The strategy cannot be checked on a forecaster that is named.
    """
    from bench.contracts.engine import FailedJob

    if kind == "strategy":
        return _verdict_on(_audits(name, asked), quiet=asked.quiet)
    with err.status(f"checking {name}"):
        (made,) = asked.pool(partial(_checked, kind=kind, plugins=asked.plugins), [name], asked.timeout)
    return Verdict(found=made.reason) if isinstance(made, FailedJob) else made


def _forecasters_for(name: str, asked: Asked) -> Sequence[str]:
    """What a strategy is checked on: all that will do, or those chosen; nothing, by name, for one that adapts none."""
    from bench.contracts.forecaster import FORECASTERS
    from bench.contracts.strategy import STRATEGIES
    from bench.testing import fitting_forecasters

    fitting = fitting_forecasters(STRATEGIES[name].cls)
    for one in asked.forecasters:
        if FORECASTERS[one].name not in fitting:
            raise BenchError(f"strategy {name!r} cannot be checked on {one}. On: {', '.join(fitting) or 'none'}")
    if asked.quick and fitting and not asked.forecasters:
        return [QUICK if QUICK in fitting else fitting[0]]
    return asked.forecasters or fitting or [""]


def _audits(name: str, asked: Asked) -> Iterator[Audit]:
    from bench.execution.audits import Asked as AuditsAsked
    from bench.execution.audits import Subject, audits_of
    from bench.results.audit import AUDITS, write_audit

    subjects = [Subject(name, forecaster) for forecaster in _forecasters_for(name, asked)]
    wanted = AuditsAsked(asked.plugins, 1, float("inf"), quick=asked.quick)
    audits = audits_of(subjects, wanted, asked.pool, asked.timeout)
    for place, subject in enumerate(subjects, 1):
        with err.status(f"checking {subject.name} ({place} of {len(subjects)})"):  # on a terminal
            audit = next(audits)
        if not asked.quick:
            write_audit(asked.results / AUDITS, audit)
        yield audit


def _verdict_on(audits: Iterator[Audit], *, quiet: bool) -> Verdict:
    """What the audits of a strategy say, up to the first that it does not pass; what is passed is said at once."""
    said = list[str]()
    for audit in audits:
        if audit.status != "passed":
            on = f" (On forecaster {audit.forecaster!r}.)" if audit.forecaster else ""
            return Verdict(found=f"{audit.reason}{on}", said=tuple(said))
        for line in audit.checks:
            said.append(f"{audit.forecaster}: {line}" if audit.forecaster else line)
            if not quiet:
                out.say(f"  ok  {said[-1]}")
    return Verdict(said=tuple(said))


def _checked(name: str, kind: str, plugins: tuple[Path, ...]) -> Verdict:
    """The checks of a forecaster, a dataset or a metric, in whatever process."""
    from bench import testing
    from bench.contracts.discovery import load_plugins, raised_at
    from bench.evaluation.isolation import isolated

    load_plugins(plugins)
    check = {
        "forecaster": testing.check_forecaster,
        "dataset": testing.check_dataset,
        "metric": testing.check_metric,
    }[kind]
    try:
        with isolated(0, 1):
            return Verdict(tuple(check(name)))
    except (BenchError, OSError) as error:
        return Verdict(mistake=BenchError(str(error)) if isinstance(error, BenchError) else error)
    except ENDS_SESSION:
        raise
    except BaseException as error:  # a plug-in may raise anything
        found = str(error) if isinstance(error, testing.CheckError) else words_of(error)
        return Verdict(found=found + raised_at(traceback_of(error)))
