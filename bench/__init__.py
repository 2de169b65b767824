"""adaptbench: which way of adapting a forecaster at test time is worth its cost?

What a plug-in author imports. Importing this package imports neither torch nor any plug-in.
"""

from bench.dataset import Dataset, DatasetConfig, load_dataset, register_dataset
from bench.errors import BenchError
from bench.forecaster import ForecasterConfig, Pairs, Task, register_forecaster
from bench.protocol import Protocol
from bench.series import DriftEvent, DriftSeries, Split
from bench.strategy import Feedback, History, Planned, Prefixes, Strategy, StrategyConfig, register_strategy
from bench.tidy import load_results

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
    "Planned",
    "Prefixes",
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
