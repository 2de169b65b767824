"""adaptbench: which way of adapting a forecaster at test time is worth its cost?

What a plug-in author imports. Importing this package imports neither torch nor any plug-in.
"""

from bench.contracts.dataset import Dataset, DatasetConfig, register_dataset
from bench.contracts.discovery import load_dataset
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import ForecasterConfig, Pairs, Task, register_forecaster
from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftEvent, DriftSeries, Split
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

__version__ = "0.1.0"

__all__ = [
    "BenchError",
    "Dataset",
    "DatasetConfig",
    "DriftEvent",
    "DriftSeries",
    "Feedback",
    "ForecasterConfig",
    "History",
    "Pairs",
    "PartialLabels",
    "Planned",
    "Protocol",
    "Split",
    "Strategy",
    "StrategyConfig",
    "Task",
    "load_dataset",
    "load_results",
    "register_dataset",
    "register_forecaster",
    "register_strategy",
]
