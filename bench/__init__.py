"""adaptbench: which way of adapting a forecaster at test time is worth its cost?

What authors of plug-ins and users of notebooks import. Importing this package imports nothing else of it: each name is
loaded when it is first used, and only names that need torch import it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.contracts.config import Search, Seed
    from bench.contracts.dataset import Dataset, DatasetConfig, RemoteFile, register_dataset
    from bench.contracts.discovery import load_dataset, load_plugins
    from bench.contracts.engine import Engine, EngineConfig, FailedJob, Pool, register_engine
    from bench.contracts.errors import BenchError, WorkerLostError
    from bench.contracts.forecaster import Forecaster, ForecasterConfig, Pairs, Task, register_forecaster
    from bench.contracts.metric import ErrorMeans, Metric, MetricContext, Scored, UndefinedError, register_metric
    from bench.contracts.protocol import Protocol
    from bench.contracts.section import register_section
    from bench.contracts.series import DriftEvent, DriftSeries, Floats, Split
    from bench.contracts.strategy import (
        Feedback,
        History,
        PartialLabels,
        Planned,
        Strategy,
        StrategyConfig,
        Together,
        register_strategy,
    )
    from bench.contracts.tracker import FinishedRun, Tracker, TrackerConfig, register_tracker
    from bench.data.download import fetch
    from bench.execution.experiment import Experiment, load_experiment
    from bench.execution.run import run
    from bench.forecasters.wrapped import wrap
    from bench.report.notebook import ExperimentResults
    from bench.results.frame import load_errors, load_forecasts, load_results

__version__ = "0.1.0"

__all__ = [
    "BenchError",
    "Dataset",
    "DatasetConfig",
    "DriftEvent",
    "DriftSeries",
    "Engine",
    "EngineConfig",
    "ErrorMeans",
    "Experiment",
    "ExperimentResults",
    "FailedJob",
    "Feedback",
    "FinishedRun",
    "Floats",
    "Forecaster",
    "ForecasterConfig",
    "History",
    "Metric",
    "MetricContext",
    "Pairs",
    "PartialLabels",
    "Planned",
    "Pool",
    "Protocol",
    "RemoteFile",
    "Scored",
    "Search",
    "Seed",
    "Split",
    "Strategy",
    "StrategyConfig",
    "Task",
    "Together",
    "Tracker",
    "TrackerConfig",
    "UndefinedError",
    "WorkerLostError",
    "fetch",
    "load_dataset",
    "load_errors",
    "load_experiment",
    "load_forecasts",
    "load_plugins",
    "load_results",
    "register_dataset",
    "register_engine",
    "register_forecaster",
    "register_metric",
    "register_section",
    "register_strategy",
    "register_tracker",
    "run",
    "wrap",
]

_NAMES = {
    "bench.contracts.config": ("Search", "Seed"),
    "bench.contracts.dataset": ("Dataset", "DatasetConfig", "RemoteFile", "register_dataset"),
    "bench.contracts.discovery": ("load_dataset", "load_plugins"),
    "bench.contracts.engine": ("Engine", "EngineConfig", "FailedJob", "Pool", "register_engine"),
    "bench.contracts.errors": ("BenchError", "WorkerLostError"),
    "bench.contracts.forecaster": ("Forecaster", "ForecasterConfig", "Pairs", "Task", "register_forecaster"),
    "bench.contracts.metric": ("ErrorMeans", "Metric", "MetricContext", "Scored", "UndefinedError", "register_metric"),
    "bench.contracts.protocol": ("Protocol",),
    "bench.contracts.section": ("register_section",),
    "bench.contracts.tracker": ("FinishedRun", "Tracker", "TrackerConfig", "register_tracker"),
    "bench.contracts.series": ("DriftEvent", "DriftSeries", "Floats", "Split"),
    "bench.contracts.strategy": (
        "Feedback",
        "History",
        "PartialLabels",
        "Planned",
        "Strategy",
        "StrategyConfig",
        "Together",
        "register_strategy",
    ),
    "bench.data.download": ("fetch",),
    "bench.execution.experiment": ("Experiment", "load_experiment"),
    "bench.execution.run": ("run",),
    "bench.forecasters.wrapped": ("wrap",),
    "bench.report.notebook": ("ExperimentResults",),
    "bench.results.frame": ("load_errors", "load_forecasts", "load_results"),
}


def __getattr__(name: str) -> Any:
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
