"""Every entry of a scenario against every other: who is ahead, and whether the difference is significant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from bench.analysis.statistics.equal_accuracy import diebold_mariano_columns, holm
from bench.analysis.statistics.paired import paired_difference

LEVEL = 0.05
TESTED = ["one", "other", "difference", "percent", "statistic", "cosines", "p", "obstacle", "origins", "seeds"]
COLUMNS = [*TESTED[:7], "p_holm", *TESTED[7:]]
INTERVAL = ["low", "high", "percent_low", "percent_high", "verdict", "block"]


def all_pairs(errors: Mapping[str, pd.DataFrame], entries: Sequence[str], overlap: int) -> pd.DataFrame:
    """Test each pair of entries for equal accuracy, over the origins and seeds that both have.

    Args:
        entries: Which of them to compare, best first.

    Returns:
        A row for each pair: columns ``one, other`` (the earlier in ``entries`` first), ``difference`` (MSE of one less
        MSE of the other, scaled; below 0 ``one`` is better), ``percent`` (of the other's MSE), ``statistic``,
        ``cosines``, ``p``, ``obstacle`` (of `diebold_mariano` on the mean over seeds), ``p_holm`` (`holm` over all
        tested rows), ``origins`` and ``seeds``. Pairs with no origin or no seed in common are left out.
    """
    known = [entry for entry in entries if entry in errors]
    rows: dict[tuple[int, int], tuple[object, ...]] = {}
    groups = _alike(known, errors)
    for first, second in combinations_with_replacement(groups, 2):
        places = [(i, j) for i in first for j in second if i < j]
        places += [(j, i) for i in first for j in second if j < i and first is not second]
        rows |= _tests(places, known, errors, overlap)
    frame = pd.DataFrame([rows[place] for place in sorted(rows)], columns=TESTED)
    return frame.assign(p_holm=holm(frame["p"].tolist()))[COLUMNS]


def over_scenarios(pairs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`all_pairs` of several scenarios in one frame, with ``scenario`` in front and ``p_holm`` over all tested rows.

    So the chance that a report calls any difference of equal entries significant is at most `LEVEL`.
    """
    frames = [frame.assign(scenario=scenario) for scenario, frame in pairs.items()]
    together = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    together["p_holm"] = holm(together["p"].tolist())
    return together[["scenario", *COLUMNS]]


def _alike(entries: Sequence[str], errors: Mapping[str, pd.DataFrame]) -> list[list[int]]:
    """Places of the entries, grouped by common origins and seeds."""
    groups: list[list[int]] = []
    for i, entry in enumerate(entries):
        axes = errors[entry].axes
        same = (group for group in groups if all(map(pd.Index.equals, axes, errors[entries[group[0]]].axes)))
        if (group := next(same, None)) is None:
            groups.append([i])
        else:
            group.append(i)
    return groups


def _tests(
    places: Sequence[tuple[int, int]], entries: Sequence[str], errors: Mapping[str, pd.DataFrame], overlap: int
) -> dict[tuple[int, int], tuple[object, ...]]:
    """Rows for pairs of places, by place; all of them have the same origins and seeds in common, or none."""
    if not places:
        return {}
    first, second = (errors[entries[place]] for place in places[0])
    seeds = sorted(set(first.columns) & set(second.columns))
    origins = first.index.intersection(second.index).sort_values()
    if not seeds or origins.empty:
        return {}
    used = sorted({place for pair in places for place in pair})
    means = np.stack([errors[entries[place]].loc[origins, seeds].to_numpy(dtype=float).mean(axis=1) for place in used])
    one, other = (np.searchsorted(used, [pair[side] for pair in places]) for side in (0, 1))
    with np.errstate(invalid="ignore"):  # errors without bound
        differences = (means[one] - means[other]).T
        difference, reference = differences.mean(axis=0), means.mean(axis=1)[other]
        percent = 100 * difference / np.where(reference > 0, reference, np.nan)
    found = diebold_mariano_columns(differences, overlap)
    return {
        (i, j): (
            *(entries[i], entries[j], float(difference[k]), float(percent[k])),
            *(found[k].statistic, found[k].cosines, found[k].p, found[k].obstacle, len(origins), len(seeds)),
        )
        for k, (i, j) in enumerate(places)
    }


def with_intervals(pairs: pd.DataFrame, errors: Mapping[str, pd.DataFrame], overlap: int) -> pd.DataFrame:
    """Add block-bootstrap intervals to rows of `all_pairs`, and whether the difference is significant.

    Returns:
        The same rows with ``low, high, percent_low, percent_high, verdict, block`` of `paired_difference` and
        ``significant``: the adjusted p-value is below `LEVEL` and the interval does not contain 0. The test generalises
        to other stretches of the stream with these seeds, the interval to other seeds too: a finding needs both.
    """
    rows = []
    for _, pair in pairs.iterrows():
        found = paired_difference(errors[pair["one"]], errors[pair["other"]], overlap)
        values = found.row if found is not None else dict.fromkeys(INTERVAL, float("nan")) | {"verdict": "unknown"}
        rows.append({name: values[name] for name in INTERVAL})
    frame = pd.concat([pairs, pd.DataFrame(rows, columns=INTERVAL, index=pairs.index)], axis=1)
    frame["significant"] = (frame["p_holm"] < LEVEL) & frame["verdict"].isin(["lower", "higher"])
    return frame
