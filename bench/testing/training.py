"""The leak canary of training: whatever lies in the place of the stream's rows, the same weights come of it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from bench.evaluation.pretraining import Recipe, train_blind
from bench.evaluation.stream import PreparedSeries, plain_array
from bench.testing.canary import DISTURBANCES, changed_from
from bench.testing.findings import LeakError, NondeterministicError, becoming_ready
from bench.testing.passes import CPU


def training_is_blind(recipe: Recipe, stage: PreparedSeries) -> None:
    """Prove that no row of the stream reaches what is trained.

    Args:
        recipe: What is trained, three times: twice alike, and once where other rows of the stream lie.
        stage: A small one; its series is changed in place meanwhile, and put back.

    Raises:
        NondeterministicError: Two trainings alike give other weights, or other forecasts.
        LeakError: The rows of the stream decide some of them.
    """
    with becoming_ready():
        first, second = (_mark(train_blind(recipe, stage, CPU), stage) for _ in range(2))
    if first != second:
        raise NondeterministicError(
            "not deterministic: two trainings from the same seed and rows differ. Draw from the seed that is passed to "
            "the class or to fit, or from torch's generator, which is seeded."
        )
    series = stage.series
    with changed_from(series, series.split.validation, DISTURBANCES[0].change) as other:
        elsewhere = _mark(train_blind(recipe, PreparedSeries.of(other, stage.protocol), CPU, seed=1), stage)
    if first != elsewhere:
        raise LeakError(
            "leaks: trained where other rows of the stream lay, its weights are others. It was handed none of them: it "
            "reached past its pairs (frames of its callers, the garbage collector, memory behind a view)."
        )


def _mark(forecaster: Any, stage: PreparedSeries) -> bytes:
    """Stands for the bits of a forecaster's weights, and of what it forecasts before the stream."""
    digest = hashlib.sha256()
    for name, tensor in sorted(getattr(forecaster, "state_dict", dict)().items()):
        digest.update(name.encode() + plain_array(tensor).tobytes())
    first = stage.protocol.lookback
    windows = stage.windows_at(np.arange(first, first + 6))
    with torch.no_grad():
        digest.update(plain_array(forecaster(windows)).tobytes())
    return digest.digest()
