"""A made drift set: five patterns of 1,000 rows, switched abruptly, with known noise."""

from __future__ import annotations

import numpy as np

from bench import Dataset, DriftEvent, DriftSeries, Floats, Split, register_dataset

SEED = 42
ROWS = 1000  # of one pattern
NOISE = 0.1
COLUMNS = ("feature1", "feature2", "feature3", "target")


@register_dataset("realistic-drift")
class RealisticDrift(Dataset):
    """Five noisy patterns of 1,000 rows switched abruptly; the target is not among the inputs."""

    def load(self) -> DriftSeries:
        """The series: 5,000 rows x 4 columns, unitless; the noise puts a floor of 0.01 under the mean squared error."""
        return DriftSeries(
            name=self.name,
            values=generate(),
            columns=COLUMNS,
            time=np.arange(5 * ROWS, dtype=np.int64),
            split=Split(3500, 4000, 5000),
            inputs=COLUMNS[:3],
            targets=COLUMNS[3:],
            events=tuple(DriftEvent(ROWS * k, f"pattern {k} to {k + 1}") for k in range(1, 5)),
            lookback=64,
            horizon=1,
            season=None,
            source="generated from numpy.random.RandomState(42) by the recipe in this file",
            licence="MIT (generated, nothing is copied)",
        )


def generate() -> Floats:
    """The values, ``(5000, 4)``: clean signals with noise added pattern by pattern, column by column."""
    draw = np.random.RandomState(SEED)  # the old generator: the recipe is its sequence of numbers
    blocks = []
    for first, second, third in clean_patterns():
        signals = (first, second, third, first)  # the clean target is the clean feature1
        blocks.append(np.column_stack([signal + NOISE * draw.randn(ROWS) for signal in signals]))
    return np.concatenate(blocks)


def clean_patterns() -> list[tuple[Floats, Floats, Floats]]:
    """Feature 1, 2 and 3 of each pattern without noise, each ``(1000,)``."""
    u = np.linspace(0.0, 1.0, ROWS)
    sigmoid = 1 / (1 + np.exp(-8 * (u - 0.5)))
    chirp = 2 * np.pi * np.cumsum(5 + 10 * u) / ROWS
    growth = 1 + 0.5 * u

    def sin(cycles: float) -> Floats:
        return np.sin(2 * np.pi * cycles * u)

    def cos(cycles: float) -> Floats:
        return np.cos(2 * np.pi * cycles * u)

    return [
        (sin(5) + 0.5 * u, cos(5) + 0.3 * u, 0.5 * sin(5) + 0.2 * u),
        (growth * sin(5) + 0.8 * u, growth * cos(5) + 0.5 * u, 0.7 * growth * sin(5) + 0.4 * u),
        (1.5 * np.sin(chirp) + u, 1.3 * np.cos(chirp) + 0.8 * u, 0.8 * np.sin(chirp) + 0.6 * u),
        (1.2 * sin(8) + 2 * sigmoid, cos(8) + 1.6 * sigmoid, 0.72 * sin(8) + sigmoid),
        (
            sin(5) + 0.3 * u * sin(10) + 0.2 * u * sin(15) + 1.2 * u,
            1.2 * sin(5) + 0.24 * u * sin(10) + u,
            0.7 * sin(5) + 0.14 * u * sin(15) + 0.8 * u,
        ),
    ]
