"""Statistics of results: pure functions from frames to frames. No torch, no drawing.

Arguments of one name mean the same everywhere:

- ``runs``: a row for each run, as `bench.load_results` gives it; with ``scenario`` and ``entry`` of `with_entries`.
- ``board``: from `leaderboard`.
- ``errors``: scaled MSE by entry, each ``(origins, seeds)``, index origin, a column for each seed.
- ``stretch``: origins in a stretch at least, see `stretch_length`.
"""

from bench.analysis.ablations import Question, ablations, planned_pairs, questions, tuned_pairs
from bench.analysis.cost import cost_table, pareto_front
from bench.analysis.divergence import divergence_counts, has_diverged
from bench.analysis.entries import is_barred, latest, leaky_scenarios, with_entries
from bench.analysis.label_curves import fullest, label_curves, label_gains, label_worth, labels_released
from bench.analysis.leaderboard import Contest, contest, leaderboard, metrics_of, overall, skill
from bench.analysis.ratios import paired_sums, skill_along, skill_within, stretch_length, stretch_sums
from bench.analysis.recovery import (
    RECOVERED,
    excess_area,
    forgetting,
    mean_interval,
    peak_excess,
    recovery_time,
    reference_curve,
    regret_against_fixed,
    regret_against_regimes,
    return_time,
    settled_level,
)
from bench.analysis.statistics.ranks import RankTest, dataset_scores, rank_test
from bench.analysis.statistics.skill_test import SkillTest, false_discovery_rate, holm, mean_skill, skill_test
from bench.analysis.streams import (
    BEFORE,
    Around,
    Span,
    around_events,
    error_shares,
    forecast_line,
    mean_by,
    mean_over_seeds,
    median_trace,
    thin,
)
from bench.analysis.verdicts import Pair, references, seen_from, turned, unbeaten, verdicts, verdicts_of, verdicts_over
from bench.analysis.win_tie_loss import totals, win_tie_loss

__all__ = [
    "BEFORE", "RECOVERED", "Around", "Contest", "Pair", "Question", "RankTest", "SkillTest", "Span", "ablations",
    "around_events", "contest", "cost_table", "dataset_scores", "divergence_counts", "error_shares", "excess_area",
    "false_discovery_rate", "forecast_line", "forgetting", "fullest", "has_diverged", "holm", "is_barred",
    "label_curves", "label_gains", "label_worth", "labels_released", "latest", "leaderboard", "leaky_scenarios",
    "mean_by", "mean_interval", "mean_over_seeds", "mean_skill", "median_trace", "metrics_of", "overall",
    "paired_sums", "pareto_front", "peak_excess", "planned_pairs", "questions", "rank_test", "recovery_time",
    "reference_curve", "references", "regret_against_fixed", "regret_against_regimes", "return_time", "seen_from",
    "settled_level", "skill", "skill_along", "skill_test", "skill_within", "stretch_length", "stretch_sums", "thin",
    "totals", "tuned_pairs", "turned", "unbeaten", "verdicts", "verdicts_of", "verdicts_over", "win_tie_loss",
    "with_entries",
]  # fmt: skip
