"""``python -m tests.statistics_calibration [STREAMS]``: how often the report's test is wrong, and what it finds.

A stream holds the squared errors of nine entries that are equal in law: none is better than another in the long run. A
finding is false. Then the second entry's errors are lowered by a gain, and a finding against the first, the reference,
is right. Over datasets, entries that are equal on average are better on some datasets and worse on others. The tables
are in docs/statistics.md; the suite runs a short form.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal
from scipy.stats import t as student

from bench.analysis.statistics.skill_test import holm, mean_skill, skill_test

Floats = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Floats]

ENTRIES, ORIGINS, LEVEL = 9, 400, 0.05
GAINS = (0.05, 0.1, 0.2, 0.3, 0.5)
DATASETS, SPREADS = (5, 10, 20), (0.0, 0.1)
EPISODE, CHANNELS = 28, 4
EXAMPLE = Path(__file__).parents[1] / "reports/example/results/default"
KIN = ("frozen", "retrain", "titans-a", "titans-b", "titans-b-stale", "titans-c")


@dataclass(frozen=True)
class Process:
    """A law of squared errors.

    Attributes:
        draw: ``(entries, origins)`` from a number of origins and a generator; entries can be exchanged.
        stretch: Origins in a stretch.
        small: Whether entries share most of their error, as strategies on one forecaster do.
    """

    draw: Draw
    stretch: int = 7
    small: bool = False


def ar(memory: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """An autoregression along the last axis, of variance 1."""
    steps = rng.standard_normal((*shape[:-1], shape[-1] + 200))
    return np.asarray(signal.lfilter([1.0], [1.0, -memory], steps)[..., 200:] * np.sqrt(1 - memory**2))


@cache
def real() -> dict[str, Floats]:
    """Squared errors of the committed example on the pedestrians: mean over seeds, each of geometric mean 1."""
    found: dict[str, list[Floats]] = {}
    for path in sorted(EXAMPLE.glob("*/record.json")):
        record = pd.read_json(path, typ="series")
        if record["dataset"]["name"] == "akl-pedestrians":
            frame = pd.read_parquet(path.with_name("origins.parquet"))
            found.setdefault(record["strategy"]["name"], []).append(frame["mse"].to_numpy())
    means = {name: np.mean(rows, axis=0) for name, rows in found.items()}
    return {name: rows / np.exp(np.log(rows).mean()) for name, rows in means.items()}


def scale_path(origins: int) -> Floats:
    """How hard the pedestrians' days are, from day to day: in the lockdowns the scale falls tenfold."""
    mean = np.mean(list(real().values()), axis=0)
    smooth = signal.savgol_filter(np.log(mean), 29, 1)
    return np.asarray(np.interp(np.linspace(0, len(smooth) - 1, origins), np.arange(len(smooth)), smooth))


def episodes(names: tuple[str, ...]) -> Draw:
    """Real rows in episodes of four weeks, drawn with replacement; in each, who is who is drawn anew."""

    def draw(origins: int, rng: np.random.Generator) -> Floats:
        rows = np.stack([real()[name] for name in names])
        parts = []
        for _ in range(-(-origins // EPISODE)):
            start = int(rng.integers(rows.shape[1] - EPISODE + 1))
            who = rng.permutation(len(rows))
            parts.append(rows[who, start : start + EPISODE])
        return np.concatenate(parts, axis=1)[:, :origins]

    return draw


def apart(memory: float, *, scaled: bool = True) -> Draw:
    """Different models: errors of their own, on a common scale."""

    def draw(origins: int, rng: np.random.Generator) -> Floats:
        scale = scale_path(origins) if scaled else 0.0
        return np.asarray(np.exp(scale + 0.5 * ar(memory, (ENTRIES, origins), rng)))

    return draw


def kin(origins: int, rng: np.random.Generator) -> Floats:
    """Strategies on one forecaster: most of the error is common."""
    common = 0.5 * ar(0.3, (1, origins), rng)
    return np.asarray(np.exp(scale_path(origins) + common + 0.1 * ar(0.3, (ENTRIES, origins), rng)))


def moving(origins: int, rng: np.random.Generator) -> Floats:
    """Mean squared error over 24 leads and 4 channels at every row: neighbours share 23 of their 24 truths."""
    squares = np.square(rng.standard_normal((CHANNELS, ENTRIES, origins + 23))).mean(axis=0)
    sums = np.cumsum(np.pad(squares, ((0, 0), (1, 0))), axis=1)
    return np.asarray((sums[:, 24:] - sums[:, :-24]) / 24)


def garch(origins: int, rng: np.random.Generator) -> Floats:
    """Mean squared error of 4 channels one step ahead, in a volatility that clusters and that all entries share."""
    shocks = np.square(rng.standard_normal((origins + 200, CHANNELS)))
    variance = np.ones((origins + 200, CHANNELS))
    for t in range(1, origins + 200):
        variance[t] = 0.05 + (0.1 * shocks[t - 1] + 0.85) * variance[t - 1]
    own = np.square(rng.standard_normal((ENTRIES, origins, CHANNELS)))
    return np.asarray((variance[200:] * own).mean(axis=-1))


PROCESSES = {
    "white noise": Process(apart(0.0, scaled=False)),
    "scale path + AR(1) 0.5": Process(apart(0.5)),
    "scale path + AR(1) 0.9": Process(apart(0.9)),
    "one forecaster, AR(1) 0.3, scale path": Process(kin, small=True),
    "MA(23): horizon 24, stride 1": Process(moving, stretch=24),
    "GARCH-like, horizon 1": Process(garch, stretch=24),
    "real rows, episodes of 28": Process(episodes(tuple(sorted(real()))) if EXAMPLE.is_dir() else moving),
    "real rows, one forecaster": Process(episodes(KIN) if EXAMPLE.is_dir() else kin, small=True),
}


def sums(errors: Floats, stretch: int) -> Floats:
    """``(..., origins)`` as sums over stretches, ``(..., stretches)``."""
    n = errors.shape[-1]
    starts = np.linspace(0, n, max(1, n // stretch), endpoint=False).round().astype(int)
    return np.asarray(np.add.reduceat(errors, starts, axis=-1))


def p_values(stream: Floats, pairs: list[tuple[int, int]]) -> tuple[Floats, Floats]:
    """P-values after Holm, and skills, of pairs of entries of ``(entries, stretches, seeds)``."""
    found = [skill_test(stream[i], stream[j]) for i, j in pairs]
    return holm(np.array([one.p for one in found])), np.array([one.skill for one in found])


def false_findings(process: Process, streams: int, seed: int = 0) -> tuple[float, float]:
    """Share of streams with any false finding: among the entries against the first, and among all pairs."""
    rng = np.random.default_rng([seed, 1])
    found = np.zeros(2)
    for _ in range(streams):
        stream = sums(process.draw(ORIGINS, rng), process.stretch)[..., None]
        entries = len(stream)
        for k, pairs in enumerate(([(i, 0) for i in range(1, entries)], list(combinations(range(entries), 2)))):
            found[k] += (p_values(stream, pairs)[0] < LEVEL).any()
    return float(found[0] / streams), float(found[1] / streams)


def power(process: Process, gain: float, streams: int, seed: int = 0) -> float:
    """How often the second entry, whose errors are lower by a gain, is found better than the first."""
    rng = np.random.default_rng([seed, 2])
    found = 0
    for _ in range(streams):
        errors = process.draw(ORIGINS, rng)
        errors[1] *= 1 - gain
        stream = sums(errors, process.stretch)[..., None]
        p, skill = p_values(stream, [(i, 0) for i in range(1, len(stream))])
        found += bool(p[0] < LEVEL and skill[0] > 0)
    return found / streams


def with_seeds(noise: float, seeds: int, gain: float, streams: int, seed: int = 0) -> tuple[float, float]:
    """Shares of streams with a false finding against the first, and in which the second's gain is found.

    Args:
        noise: Standard deviation over seeds of an entry's MSE, as a share of it.
        seeds: That each entry has.
        gain: Of the second entry, in the second share.
        streams: How many are drawn.
        seed: Of the drawing.
    """
    rng = np.random.default_rng([seed, 3])
    wrong = right = 0
    for _ in range(streams):
        stream = sums(kin(ORIGINS, rng)[:8], 7)
        levels = np.exp(noise * rng.standard_normal((8, 1, seeds)))
        stream = stream[..., None] * levels
        pairs = [(i, 0) for i in range(1, 8)]
        wrong += bool((p_values(stream, pairs)[0] < LEVEL).any())
        stream[1] *= 1 - gain
        p, skill = p_values(stream, pairs)
        right += bool(p[0] < LEVEL and skill[0] > 0)
    return wrong / streams, right / streams


def on_datasets(*, mixed: bool, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Log ratios of eight entries to the first on twenty datasets, and their standard errors: ``(20, 8)`` each.

    Args:
        mixed: Whether each dataset has a law and a length of its own; otherwise all are of strategies on one
            forecaster, and of 400 origins.
        rng: Draws.
    """
    found = []
    for _ in range(max(DATASETS)):
        process, origins = Process(kin), ORIGINS
        if mixed:
            process, origins = list(PROCESSES.values())[rng.integers(5)], int(rng.integers(300, 1200))
        stream = sums(process.draw(origins, rng), process.stretch)[..., None]
        tests = [skill_test(stream[i], stream[0]) for i in range(1, ENTRIES)]
        found.append([(test.log_ratio, test.error) for test in tests])
    ratios, errors = np.moveaxis(np.array(found), -1, 0)
    return ratios, errors


def student_p(ratios: Floats, errors: Floats) -> float:
    """The report's test of the mean over datasets."""
    return mean_skill(ratios).p


def weighted_p(ratios: Floats, errors: Floats) -> float:
    """Weights after Paule and Mandel, variance after Hartung, Knapp, Sidik and Jonkman."""
    from statsmodels.stats.meta_analysis import combine_effects

    found = combine_effects(ratios, np.square(errors), method_re="iterated")
    return 2 * float(student.sf(abs(found.mean_effect_re) / np.sqrt(found.var_hksj_re), len(ratios) - 1))


def over_datasets(
    test: Callable[[Floats, Floats], float], reports: int, *, mixed: bool, seed: int = 0
) -> dict[tuple[float, int], tuple[float, float]]:
    """Shares of reports with a false finding over datasets, and in which a gain of 10 % of one entry is found.

    Args:
        test: From ``(datasets,)`` log ratios and standard errors to a p-value.
        reports: How many are drawn.
        mixed: See `on_datasets`.
        seed: Of the drawing.

    Returns:
        For each standard deviation of an entry's log ratio between datasets, and each number of datasets.
    """
    rng = np.random.default_rng([seed, 4])
    found = {(spread, datasets): np.zeros(2) for spread in SPREADS for datasets in DATASETS}
    for _ in range(reports):
        ratios, errors = on_datasets(mixed=mixed, rng=rng)
        between = rng.standard_normal(ratios.shape)
        for (spread, datasets), counts in found.items():
            here, sure = (ratios + spread * between)[:datasets], errors[:datasets]
            p = np.array([test(here[:, i], sure[:, i]) for i in range(ENTRIES - 1)])
            better = here[:, 0] + np.log(0.9)
            with_gain = np.array([test(better, sure[:, 0]), *p[1:]])
            counts += (holm(p) < LEVEL).any(), holm(with_gain)[0] < LEVEL and better.mean() < 0
    return {key: (float(wrong) / reports, float(right) / reports) for key, (wrong, right) in found.items()}


def main(streams: int) -> None:
    """Print the tables of docs/statistics.md."""
    print(f"n = {ORIGINS}, {ENTRIES} entries, {streams:,} streams a cell, percent\n")
    heads = " | ".join(f"found at {gain:.0%}" for gain in GAINS)
    print(f"| squared errors | false, against one | false, all pairs | {heads} |\n|---|---|---|{'---|' * len(GAINS)}")
    for name, process in PROCESSES.items():
        wrong = false_findings(process, streams)
        right = [power(process, gain, streams) for gain in GAINS]
        print(f"| {name} | " + " | ".join(f"{100 * share:.1f}" for share in (*wrong, *right)) + " |", flush=True)
    print("\n| seed noise | seeds | false | found at 10 % |\n|---|---|---|---|")
    for noise in (0.03, 0.1):
        for seeds in (3, 5, 10):
            wrong_share, found = with_seeds(noise, seeds, 0.1, streams)
            print(f"| {noise:.0%} | {seeds} | {100 * wrong_share:.1f} | {100 * found:.1f} |", flush=True)
    print("\n| datasets | sd between them | number | false | found at 10 % | weighted: false | found |")
    print("|---|---|---|---|---|---|---|")
    for name, mixed in (("alike", False), ("mixed", True)):
        known = [over_datasets(test, streams, mixed=mixed) for test in (student_p, weighted_p)]
        for spread, datasets in known[0]:
            cells = [f"{100 * share:.1f}" for table in known for share in table[spread, datasets]]
            print(f"| {name} | {spread:.0%} | {datasets} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
