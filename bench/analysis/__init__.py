"""What results mean: pure functions from frames to frames. No torch, no files, no drawing."""

from bench.analysis.breakdown import error_shares, mean_by
from bench.analysis.cost import cost_table, undominated
from bench.analysis.entries import latest, with_entries
from bench.analysis.forecasts import forecast_line
from bench.analysis.leaderboard import Contest, contest, leaderboard, overall, skill
from bench.analysis.streams import Span, around_events, mean_over_seeds, rolling_error, thin

__all__ = [
    "Contest",
    "Span",
    "around_events",
    "contest",
    "cost_table",
    "error_shares",
    "forecast_line",
    "latest",
    "leaderboard",
    "mean_by",
    "mean_over_seeds",
    "overall",
    "rolling_error",
    "skill",
    "thin",
    "undominated",
    "with_entries",
]
