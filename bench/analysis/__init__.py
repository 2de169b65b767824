"""Statistics of results: pure functions from frames to frames. No torch, no drawing.

Arguments of one name mean the same everywhere:

- ``runs``: a row for each run, as `bench.load_results` gives it; with ``scenario`` and ``entry`` of `with_entries`.
- ``board``: from `leaderboard`.
- ``errors``: scaled MSE by entry, each ``(origins, seeds)``, index origin, a column for each seed.
- ``overlap``: origins whose truths overlap, ``ceil(horizon / stride)``: neighbours so near depend on each other.
"""

from bench.analysis.ablations import Question, ablations, questions
from bench.analysis.cost import cost_table, pareto_front
from bench.analysis.divergence import divergence_counts, has_diverged
from bench.analysis.entries import is_barred, latest, leaky_scenarios, with_entries
from bench.analysis.label_curves import fullest, label_curves, label_gains, label_worth, labels_released
from bench.analysis.leaderboard import Contest, contest, leaderboard, metrics_of, overall, skill
from bench.analysis.ratios import exact_stretches, geometric_ratio, median_ratio, stretch_length
from bench.analysis.recovery import (
    RECOVERED,
    aligned,
    excess_area,
    forgetting,
    harm,
    mean_interval,
    peak_excess,
    recovery_time,
    reference_curve,
    regret_against_fixed,
    regret_against_regimes,
    return_time,
    settled_level,
    twin_cost,
)
from bench.analysis.skill_intervals import skill_intervals
from bench.analysis.statistics.bootstrap import block_length
from bench.analysis.statistics.equal_accuracy import EqualAccuracy, diebold_mariano, holm
from bench.analysis.statistics.paired import Difference, Ratio, paired_difference, paired_ratio
from bench.analysis.statistics.pairs import all_pairs, over_scenarios, with_intervals
from bench.analysis.statistics.ranks import (
    RankTest,
    alike,
    block_ranks,
    critical_difference,
    dataset_scores,
    friedman,
    rank_pairs,
    signed_ranks,
    smallest_signed_rank_p,
)
from bench.analysis.streams import (
    Span,
    around_events,
    error_shares,
    forecast_line,
    mean_by,
    mean_over_seeds,
    median_trace,
    rolling_error,
    thin,
)
from bench.analysis.win_tie_loss import totals, win_tie_loss

__all__ = [
    "RECOVERED", "Contest", "Difference", "EqualAccuracy", "Question", "RankTest", "Ratio", "Span",
    "ablations", "aligned", "alike", "all_pairs", "around_events", "block_length", "block_ranks", "contest",
    "cost_table", "critical_difference", "dataset_scores", "diebold_mariano", "divergence_counts", "error_shares",
    "exact_stretches", "excess_area", "forecast_line", "forgetting", "friedman", "fullest", "geometric_ratio", "harm",
    "has_diverged", "holm", "is_barred", "label_curves", "label_gains", "label_worth", "labels_released", "latest",
    "leaderboard", "leaky_scenarios", "mean_by", "mean_interval", "mean_over_seeds", "median_ratio", "median_trace",
    "metrics_of", "over_scenarios", "overall", "paired_difference", "paired_ratio", "pareto_front", "peak_excess",
    "questions", "rank_pairs", "recovery_time", "reference_curve", "regret_against_fixed", "regret_against_regimes",
    "return_time", "rolling_error", "settled_level", "signed_ranks", "skill", "skill_intervals",
    "smallest_signed_rank_p", "stretch_length", "thin", "totals", "twin_cost", "win_tie_loss", "with_entries",
    "with_intervals",
]  # fmt: skip
