"""``bench check``: a plug-in is taken through its checks by a worker, which it may end, or keep for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import ENDS_SESSION, BenchError, traceback_of, words_of

if TYPE_CHECKING:
    from bench.contracts.engine import Pool
    from bench.results.audit import Audit


@dataclass(frozen=True)
class Verdict:
    """What a plug-in's checks say.

    Attributes:
        found: Where it breaks its contract; empty where it passes.
        mistake: What keeps it from being checked.
    """

    lines: tuple[str, ...] = ()
    found: str = ""
    mistake: BenchError | OSError | None = None


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


def check_plugin(
    name: str,
    kind: str,
    plugins: tuple[Path, ...],
    results: Path,
    pool: Pool,
    timeout: float | None,
    forecasters: Sequence[str] = (),
) -> Verdict:
    """Take a plug-in through its checks. A strategy's audits are kept: one on each forecaster that will do, or on some.

    Raises:
        BenchError: The strategy cannot be checked on a forecaster that is named.
    """
    from bench.contracts.engine import FailedJob

    if kind == "strategy":
        audited = _forecasters_for(name, forecasters)
        return _verdict_on(_audits(name, plugins, results, pool, timeout, audited))
    (made,) = pool(partial(_checked, kind=kind, plugins=plugins), [name], timeout)
    return Verdict(found=made.reason) if isinstance(made, FailedJob) else made


def _forecasters_for(name: str, chosen: Sequence[str]) -> Sequence[str]:
    """What a strategy is checked on: all that will do, or those chosen; nothing, by name, for one that adapts none."""
    from bench.contracts.forecaster import FORECASTERS
    from bench.contracts.strategy import STRATEGIES
    from bench.testing import fitting_forecasters

    fitting = fitting_forecasters(STRATEGIES[name].cls)
    for one in chosen:
        if FORECASTERS[one].name not in fitting:
            raise BenchError(f"strategy {name!r} cannot be checked on {one}. On: {', '.join(fitting) or 'none'}")
    return chosen or fitting or [""]


def _audits(
    name: str,
    plugins: tuple[Path, ...],
    results: Path,
    pool: Pool,
    timeout: float | None,
    forecasters: Sequence[str],
) -> Iterator[Audit]:
    from bench.execution.audits import Asked, Subject, audits_of
    from bench.results.audit import AUDITS, write_audit

    subjects = [Subject(name, forecaster) for forecaster in forecasters]
    for audit in audits_of(subjects, Asked(plugins, 1, float("inf")), pool, timeout):
        write_audit(results / AUDITS, audit)
        yield audit


def _verdict_on(audits: Iterator[Audit]) -> Verdict:
    """What the audits of a strategy say, up to the first that it does not pass."""
    lines = list[str]()
    for audit in audits:
        if audit.status != "passed":
            on = f" (On forecaster {audit.forecaster!r}.)" if audit.forecaster else ""
            return Verdict(found=f"{audit.reason}{on}")
        lines += [f"{audit.forecaster}: {line}" if audit.forecaster else line for line in audit.checks]
    return Verdict(tuple(lines))


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
