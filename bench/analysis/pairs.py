"""Every entry of a scenario against every other: who is ahead, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from bench.analysis.equal_accuracy import diebold_mariano, holm
from bench.analysis.paired import paired_difference

LEVEL = 0.05
COLUMNS = [
    "one",
    "other",
    "difference",
    "percent",
    "statistic",
    "cosines",
    "p",
    "p_holm",
    "obstacle",
    "origins",
    "seeds",
]
INTERVAL = ["low", "high", "percent_low", "percent_high", "verdict", "block"]


def all_pairs(errors: Mapping[str, pd.DataFrame], entries: Sequence[str], overlap: int) -> pd.DataFrame:
    """Test each pair of entries for equal accuracy, over the origins and seeds that both have.

    Args:
        errors: For each entry, ``(origins, seeds)`` MSE, index origin, a column for each seed.
        entries: Which of them to compare, best first.
        overlap: Origins whose truths overlap, ``ceil(H / S)``.

    Returns:
        A row for each pair: columns ``one, other`` (the earlier in ``entries`` first), ``difference`` (MSE of one less
        MSE of the other, scaled; below 0 ``one`` is better), ``percent`` (of the other's MSE), ``statistic``,
        ``cosines``, ``p``, ``obstacle`` (of `diebold_mariano` on the mean over seeds), ``p_holm`` (`holm` over all rows
        that were tested), ``origins`` and ``seeds``. Pairs with no origin or no seed in common are left out.
    """
    known = {entry: errors[entry] for entry in entries if entry in errors}
    rows = [row for one, other in combinations(known, 2) if (row := _pair(one, other, known, overlap))]
    frame = pd.DataFrame(rows, columns=[column for column in COLUMNS if column != "p_holm"])
    frame.insert(COLUMNS.index("p_holm"), "p_holm", holm(frame["p"].tolist()))
    return frame


def over_scenarios(pairs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the pairs of several scenarios below each other and adjust their p-values for all of them together.

    Args:
        pairs: From `all_pairs`, by scenario.

    Returns:
        All rows, with a column ``scenario`` in front and ``p_holm`` over all rows that were tested: of everything that
        a report calls significant, any at all is false in no more than `LEVEL` of reports on equal entries.
    """
    frames = [frame.assign(scenario=scenario) for scenario, frame in pairs.items()]
    together = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    together["p_holm"] = holm(together["p"].tolist())
    return together[["scenario", *COLUMNS]]


def _pair(one: str, other: str, errors: Mapping[str, pd.DataFrame], overlap: int) -> dict[str, object] | None:
    first, second = errors[one], errors[other]
    if not (first.index.equals(second.index) and first.columns.equals(second.columns)):
        seeds = sorted(set(first.columns) & set(second.columns))
        origins = first.index.intersection(second.index)
        first, second = first.loc[origins, seeds], second.loc[origins, seeds]
    if first.empty:
        return None
    order = np.argsort(first.index.to_numpy(), kind="stable")
    mine, theirs = (frame.to_numpy(dtype=float)[order] for frame in (first, second))
    with np.errstate(invalid="ignore"):  # errors without bound
        differences = (mine - theirs).mean(axis=1)
        mean, reference = float(differences.mean()), float(theirs.mean())
    found = diebold_mariano(differences, overlap)
    return {
        "one": one,
        "other": other,
        "difference": mean,
        "percent": 100 * mean / reference if reference > 0 else float("nan"),
        "statistic": found.statistic,
        "cosines": found.cosines,
        "p": found.p,
        "obstacle": found.obstacle,
        "origins": len(mine),
        "seeds": mine.shape[1],
    }


def with_intervals(pairs: pd.DataFrame, errors: Mapping[str, pd.DataFrame], overlap: int) -> pd.DataFrame:
    """Add block-bootstrap intervals to pairs, and whether the difference is significant.

    Args:
        pairs: From `all_pairs`, all rows or some of them.
        errors: As there.
        overlap: As there.

    Returns:
        The same rows with ``low, high, percent_low, percent_high, verdict, block`` of `paired_difference` and
        ``significant``: the adjusted p-value is below `LEVEL` and the interval does not hold 0. The test speaks of
        other stretches of the stream with these seeds, the interval of other seeds too: a finding needs both.
    """
    rows = []
    for _, pair in pairs.iterrows():
        found = paired_difference(errors[pair["one"]], errors[pair["other"]], overlap)
        values = found.row if found is not None else dict.fromkeys(INTERVAL, float("nan")) | {"verdict": "unknown"}
        rows.append({name: values[name] for name in INTERVAL})
    frame = pd.concat([pairs, pd.DataFrame(rows, columns=INTERVAL, index=pairs.index)], axis=1)
    frame["significant"] = (frame["p_holm"] < LEVEL) & frame["verdict"].isin(["lower", "higher"])
    return frame
