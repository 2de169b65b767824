"""adaptbench: which way of adapting a forecaster at test time is worth its cost?

What authors of plug-ins and users of notebooks import. Importing this package imports neither torch nor any plug-in;
names that need either are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.contracts.config import Search, Seed
from bench.contracts.dataset import Dataset, DatasetConfig, RemoteFile, register_dataset
from bench.contracts.discovery import load_dataset, load_plugins
from bench.contracts.errors import BenchError, WorkerLostError
from bench.contracts.forecaster import Forecaster, ForecasterConfig, Pairs, Task, register_forecaster
from bench.contracts.metric import ErrorMeans, Metric, MetricContext, Scored, UndefinedError, register_metric
from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftEvent, DriftSeries, Floats, Split
from bench.contracts.strategy import (
    Feedback,
    History,
    PartialLabels,
    Planned,
    Strategy,
    StrategyConfig,
    register_strategy,
)
from bench.results.frame import load_results

if TYPE_CHECKING:
    from bench.contracts.engine import Engine, EngineConfig, FailedJob, Pool, register_engine
    from bench.contracts.section import register_section
    from bench.data.download import fetch
    from bench.execution.experiment import Experiment, load_experiment
    from bench.execution.run import run
    from bench.forecasters.wrapped import wrap
    from bench.report.notebook import ExperimentResults

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
    "UndefinedError",
    "WorkerLostError",
    "fetch",
    "load_dataset",
    "load_experiment",
    "load_plugins",
    "load_results",
    "register_dataset",
    "register_engine",
    "register_forecaster",
    "register_metric",
    "register_section",
    "register_strategy",
    "run",
    "wrap",
]

_LATE = {  # modules that cost time to import, or that decide no number
    "bench.contracts.engine": ("Engine", "EngineConfig", "FailedJob", "Pool", "register_engine"),
    "bench.data.download": ("fetch",),
    "bench.execution.experiment": ("Experiment", "load_experiment"),
    "bench.execution.run": ("run",),
    "bench.forecasters.wrapped": ("wrap",),
    "bench.report.notebook": ("ExperimentResults",),
    "bench.contracts.section": ("register_section",),
}


def __getattr__(name: str) -> Any:
    for module, names in _LATE.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
