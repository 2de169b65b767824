"""A drift set: what the generator made, with its truth, ready to be served."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.contracts.drift.truth import Drift, Truth
from bench.contracts.errors import BenchError
from bench.contracts.series import DriftEvent, DriftSeries, Split
from bench.data.synthetic.generator import Base, generate

LOOKBACK, HORIZON = 96, 24


def drifting_series(
    name: str, base: Base, drifts: Sequence[Drift], rows: int, seed: int, *, twin: bool = False
) -> DriftSeries:
    """A series with its truth; its stream begins before anything drifts.

    Args:
        name: The dataset's.
        base: The series before.
        drifts: What happens to it.
        rows: ``T``; a fifth are training rows, a twentieth validation rows, the others the stream.
        seed: Of the noise.
        twin: Whether nothing drifts: the series with which this one is to be compared.

    Raises:
        BenchError: A drift begins before the stream does or after it ends, or cannot be.
    """
    split = Split.by_fraction(rows)
    for drift in drifts:
        if not split.validation <= drift.start < rows:
            raise BenchError(
                f"dataset {name!r}: {drift.kind!r} would begin at row {drift.start:,}, outside the stream "
                f"(rows {split.validation:,} to {rows:,}). Give another onset or width, or more rows."
            )
    undrifted = generate(base, drifts, rows, seed, twin=True)
    channels = tuple(f"x{c}" for c in range(1, base.channels + 1))
    happened = () if twin else tuple(drifts)
    return DriftSeries(
        name=name,
        values=undrifted if twin else generate(base, drifts, rows, seed),
        columns=(*channels, "target") if base.concept else channels,
        time=np.arange(rows, dtype=np.int64),
        split=split,
        inputs=channels,
        targets=("target",) if base.concept else channels,
        events=events_of(happened, rows),
        lookback=LOOKBACK,
        horizon=HORIZON,
        season=base.season,
        source=f"generated (bench.data.synthetic), seed {seed}",
        licence="MIT (generated, nothing is copied)",
        truth=Truth(happened, undrifted),
    )


def events_of(drifts: Sequence[Drift], rows: int) -> tuple[DriftEvent, ...]:
    """What reports mark: the first row of each drift, and of each change of one that comes and goes; in order."""
    events = []
    for drift in drifts:
        kind = "abrupt" if drift.transition in ("abrupt", "recurring") else "gradual"
        for row, new in drift.switches(rows):
            events.append(DriftEvent(row, drift.kind if new else f"{drift.kind} as before", kind))
    return tuple(sorted(events, key=lambda event: event.row))
