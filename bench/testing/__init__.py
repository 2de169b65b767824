"""Checks that every plug-in must pass; its author can run them, as can a test.

The leak canary is the one that matters: whatever happens to rows from ``c`` on, forecasts with origin up to ``c`` must
not change by a bit.
"""

from bench.testing.as_run import AsRun
from bench.testing.canary import DISTURBANCES, Disturbance, leak_canary, probe
from bench.testing.checks import audit_strategy, check_dataset, check_strategy, trace_changes_nothing
from bench.testing.findings import (
    CheckError,
    InsensitiveError,
    LeakError,
    NondeterministicError,
    OrderError,
    OutOfTimeError,
    TamperingError,
)
from bench.testing.forecaster_checks import check_forecaster
from bench.testing.metric_checks import check_metric
from bench.testing.replay import MakeStrategy, forecasts_of
from bench.testing.schedules import LABEL_REGIMES, Schedule, draw_schedule
from bench.testing.tiny import Form, fitting_forecasters, small_series, tiny_maker

__all__ = [
    "DISTURBANCES", "LABEL_REGIMES", "AsRun", "CheckError", "Disturbance", "Form", "InsensitiveError", "LeakError",
    "MakeStrategy", "NondeterministicError", "OrderError", "OutOfTimeError", "Schedule", "TamperingError",
    "audit_strategy", "check_dataset", "check_forecaster", "check_metric", "check_strategy", "draw_schedule",
    "fitting_forecasters", "forecasts_of", "leak_canary", "probe", "small_series", "tiny_maker",
    "trace_changes_nothing",
]  # fmt: skip
