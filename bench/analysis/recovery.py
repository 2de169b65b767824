"""What a known drift costs: duration and size of the excess error, regret, forgetting.

Curves are ``(n,)`` errors by origin, here from the first origin after a drift to the end of its regime. ``reference``
is the error that can be had in this regime, a level or ``(n,)``, see `reference_curve`. ``window`` is the number of
steps in a mean: means keep the noise around the reference from adding up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RECOVERED = 1.1
"""An error within this factor of the reference has recovered."""


def forward_means(errors: Floats, window: int) -> Floats:
    """``(n - window + 1,)``: mean of each error and the ``window - 1`` that follow it; empty if there are fewer."""
    if len(errors) < window:
        return np.empty(0)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(errors, window).mean(axis=1))


def settled_level(errors: Floats) -> float:
    """Mean of errors ``(n,)`` over a regime's second half, once its drift has been learnt. NaN without an error."""
    return float(errors[len(errors) // 2 :].mean()) if len(errors) else float("nan")


def reference_curve(best: Floats, twin: Floats | None = None) -> Floats:
    """The error that can be had after a drift: the settled level of the strategy that is best in the end.

    With that strategy's errors on the twin at the same origins, ``twin(t) * level(best) / level(twin)``: rows that are
    hard by chance are as hard for the twin, so that noise is no excess. Without, the level itself at every step.

    Args:
        best: ``(n,)``, errors over the regime of the strategy that is best in the end.
        twin: ``(n,)``, its errors on the twin.
    """
    level = settled_level(best)
    if twin is None or not settled_level(twin) > 0:
        return np.full(len(best), level)
    return twin * (level / settled_level(twin))


def _excess(errors: Floats, reference: float | Floats, window: int, factor: float = 1.0) -> Floats:
    """Means of the errors less a multiple of those of the reference."""
    return forward_means(errors, window) - factor * forward_means(np.broadcast_to(reference, errors.shape), window)


def recovery_time(
    errors: Floats, reference: float | Floats, window: int, hold: int, factor: float = RECOVERED
) -> float:
    """Steps until the error is low again, and stays so; 0 if it never rose, infinite if it does not recover.

    The first ``k`` with ``mean(e[j : j + window]) <= factor * mean(reference[j : j + window])`` for each of the
    ``hold`` windows that begin at ``j = k, k + 1, ...``. No window reaches back before the drift.

    Source: after Gama et al. (2014), "A survey on concept drift adaptation".
    """
    low = _excess(errors, reference, window, factor) <= 0
    held = forward_means(low.astype(float), hold) >= 1
    return float(np.argmax(held)) if held.any() else float("inf")


def peak_excess(errors: Floats, reference: float | Floats, window: int) -> float:
    """Largest excess of errors ``(n,)``: ``max(0, max_k mean((e - reference)[k : k + window]))``; NaN if too short."""
    excess = _excess(errors, reference, window)
    return max(0.0, float(excess.max())) if len(excess) else float("nan")


def excess_area(errors: Floats, reference: float | Floats, window: int) -> float:
    """Excess of errors ``(n,)`` times steps: ``sum_k max(0, mean((e - reference)[k : k + window]))``."""
    return float(np.maximum(_excess(errors, reference, window), 0).sum())


def regret_against_fixed(errors: pd.DataFrame) -> pd.Series:
    """Mean error above that of the one strategy that was best over all, known only afterwards.

    ``mean_t e_i(t) - min_j mean_t e_j(t)``; 0 for the best. ``errors`` are ``(origins, entries)``.

    Source: regret of online learning, Cesa-Bianchi and Lugosi (2006), "Prediction, Learning, and Games".
    """
    means: pd.Series = errors.mean()
    return means - float(means.min())


def regret_against_regimes(errors: pd.DataFrame, starts: Sequence[int]) -> pd.Series:
    """Mean error above that of an oracle which serves each regime with the strategy that is best in it.

    ``mean_t e_i(t) - sum_r n_r min_j mean_{t in r} e_j(t) / n``: never less than `regret_against_fixed`.

    Args:
        errors: ``(origins, entries)``, index the origins.
        starts: First row of each regime but the first.

    Source: tracking regret, Herbster and Warmuth (1998), "Tracking the best expert".
    """
    regime = np.searchsorted(np.sort(np.asarray(starts)), errors.index.to_numpy(), side="right")
    best = errors.groupby(regime).transform("mean").min(axis=1)
    return errors.mean() - best.mean()


def forgetting(before: Floats, returned: Floats, span: int) -> float:
    """Loss of the first law in A-B-A, ``mean(returned[:span]) - mean(before[-span:])``.

    Args:
        before: Errors while the first law held, in order.
        returned: Errors from its return on.

    Source: Chaudhry et al. (2018), "Riemannian walk for incremental learning".
    """
    if not len(before) or not len(returned):
        return float("nan")
    return float(returned[:span].mean() - before[-span:].mean())


def return_time(
    before: Floats, returned: Floats, window: int, hold: int, twin: Floats | None = None, factor: float = RECOVERED
) -> float:
    """The `recovery_time` after the first law's return in A-B-A, to the strategy's own error under that law.

    Args:
        before: ``(n,)``, errors while the first law held; their mean is the reference if there is no twin.
        returned: Errors from its return on.
        twin: The strategy's own errors at the same origins, had the second law never come: the reference.
    """
    if twin is None and not len(before):
        return float("nan")
    return recovery_time(returned, float(before.mean()) if twin is None else twin, window, hold, factor)


def mean_interval(values: pd.DataFrame) -> pd.DataFrame:
    """``mean, low, high`` of each row: mean over columns with its 95 % interval, by Student's distribution.

    The ends are NaN with a single column.
    """
    n = values.shape[1]
    mean, half = values.mean(axis=1), np.full(len(values), np.nan)
    if n > 1:
        from scipy.special import stdtrit

        half = values.std(axis=1, ddof=1).to_numpy() / np.sqrt(n) * float(stdtrit(n - 1, 0.975))
    return pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half})
