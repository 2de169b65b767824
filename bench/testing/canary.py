"""The leak canary: disturb what is not known yet, and see whether anything hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftSeries
from bench.evaluation.hidden_rows import KeptRows
from bench.evaluation.pretraining import seeded
from bench.evaluation.stream import PreparedSeries, blocks
from bench.testing.findings import CheckError, InsensitiveError, LeakError, NondeterministicError, OrderError
from bench.testing.passes import (
    Digests,
    MakeStrategy,
    first_difference,
    lasting_state,
    marks_of,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Disturbance:
    """One way to change the rows from a cut on.

    Attributes:
        name: For the message.
        change: Rows ``(n, C)`` to rows of the same shape.
    """

    name: str
    change: Callable[[Floats], Floats]


DISTURBANCES = (
    Disturbance("other values", lambda rows: -2.0 * rows + 3.0),
    Disturbance("NaN", lambda rows: np.full_like(rows, np.nan)),
    Disturbance("another order", lambda rows: rows[::-1] + np.linspace(0, 1e-3, len(rows))[:, None]),
)


@contextmanager
def changed_from(series: DriftSeries, row: int, change: Callable[[Floats], Floats]) -> Iterator[DriftSeries]:
    """The series with its rows from ``row`` on changed: in place, and put back at the end.

    As they were they are nowhere to be found meanwhile, whichever frame or object of the harness a cheat looks into.
    """
    rows, kept = series.values[row:], KeptRows(series.values, row)
    rows[...] = change(rows.copy())
    try:
        yield series.with_values(series.values)
    finally:
        rows[...] = kept.read(row, len(series))
        kept.close()


def leak_canary(
    make: MakeStrategy,
    series: DriftSeries,
    protocol: Protocol,
    cuts: Iterable[int],
    disturbances: Sequence[Disturbance] = DISTURBANCES,
) -> Digests:
    """Prove, for some cuts, that no forecast uses a row that was not known when it was made.

    Args:
        make: Builds the strategy for a stage; called for each pass over the stream, and now and then besides.
        series: A small one; its values are changed in place meanwhile, and put back.
        protocol: The schedule.
        cuts: Rows ``c`` of the stream, also such as fall inside a block.
        disturbances: What is done to the rows from each cut on.

    Returns:
        Marks of the forecasts of the undisturbed series, by origin.

    Raises:
        NondeterministicError: Two passes over the same series differ.
        OrderError: They differ because of what passes before them left behind.
        LeakError: Changing rows from ``c`` on changed a forecast with origin up to ``c``.
        TamperingError: The harness's own rows were written to.
        InsensitiveError: Rows before ``c`` change nothing later, and the strategy does not say that it reads none.
    """
    undisturbed = _settled(make, series, protocol)
    for cut in cuts:
        for disturbance in disturbances:
            _blind(make, series, protocol, cut, disturbance, undisturbed)
        if not _hears(make, series, protocol, cut, undisturbed):
            raise InsensitiveError(
                f"reads nothing: no forecast moved when rows before {cut} changed. "
                "If that is meant, set reads = False on the class."
            )
    require_unmoved(make, series, protocol, undisturbed)
    return undisturbed


def probe(make: MakeStrategy, series: DriftSeries, protocol: Protocol, cut: int, disturbance: Disturbance) -> bool:
    """The canary for one cut and one disturbance, without asking that the strategy hear.

    Returns:
        Whether a later forecast moved: rows from the cut on were heard once they were known.

    Raises:
        CheckError: As `leak_canary`, but for `InsensitiveError`.
    """
    undisturbed = _settled(make, series, protocol)
    disturbed = _blind(make, series, protocol, cut, disturbance, undisturbed)
    return first_difference(undisturbed, disturbed, len(series)) is not None


def require_unmoved(make: MakeStrategy, series: DriftSeries, protocol: Protocol, before: Digests) -> None:
    """Refuse a strategy that forecasts otherwise than it did before other runs.

    Raises:
        OrderError: A forecast is not what it was.
    """
    made, changed = _run_and_changed_state(make, series, protocol)
    if (bad := first_difference(before, made, len(series))) is not None:
        raise OrderError(
            f"depends on the order of runs: after runs on other data, the forecast with origin {bad} is not what it "
            f"was before them. {_what_lasts(changed)}"
        )


def _settled(make: MakeStrategy, series: DriftSeries, protocol: Protocol) -> Digests:
    """Marks of the forecasts on which two passes agree."""
    first, second = (marks_of(make, series, protocol) for _ in range(2))
    if (bad := first_difference(first, second, len(series))) is not None:
        raise _why_unsettled(make, series, protocol, bad)
    return first


def _why_unsettled(make: MakeStrategy, series: DriftSeries, protocol: Protocol, bad: int) -> CheckError:
    """Tell a generator that is not seeded from what a run leaves behind, and both from the clock."""
    pinned = []
    for seed in (0, 0, 1):
        with seeded(seed):
            pinned.append(marks_of(make, series, protocol))
    alike = first_difference(pinned[0], pinned[1], len(series)) is None
    text = f"not deterministic: two runs on the same data differ at origin {bad}"
    if alike and first_difference(pinned[1], pinned[2], len(series)) is not None:
        return NondeterministicError(
            f"{text}. It draws from a generator that is not its own (numpy's, torch's or Python's). Draw from self.rng."
        )
    _, changed = _run_and_changed_state(make, series, protocol)
    if alike or changed:
        return OrderError(
            f"depends on the order of runs: a second run on the same data differs from the first at origin {bad}. "
            f"{_what_lasts(changed)}"
        )
    return NondeterministicError(
        f"{text}, though all shared generators were set alike. It goes by the clock, by the system's entropy, or by "
        "something that outlasts a run out of sight. Draw from self.rng."
    )


def _run_and_changed_state(make: MakeStrategy, series: DriftSeries, protocol: Protocol) -> tuple[Digests, list[str]]:
    """Marks of one run's forecasts, and names of what outlasts the run and is not the same after it."""
    cls = type(make(PreparedSeries.of(series, protocol)))
    before = lasting_state(cls)
    made = marks_of(make, series, protocol)
    after = lasting_state(cls)
    return made, sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _what_lasts(changed: Sequence[str]) -> str:
    if changed:
        return f"A run changes what outlasts it: {', '.join(changed)}. Keep it on self, where setup() begins afresh."
    return "Something outlasts a run: on a class, in a module or a cache. Keep it on self, where setup() begins afresh."


def _blind(
    make: MakeStrategy,
    series: DriftSeries,
    protocol: Protocol,
    cut: int,
    disturbance: Disturbance,
    undisturbed: Digests,
) -> Digests:
    """Marks of the forecasts of the disturbed series; up to the cut they are the same bits, or it is an error."""
    with changed_from(series, cut, disturbance.change) as other:
        disturbed = marks_of(make, other, protocol)
    # A block is refused as a whole, even where only its last windows hold NaN.
    whole = cut - (protocol.block - 1) * protocol.stride
    expected = {origin: f for origin, f in undisturbed.items() if origin in disturbed or origin <= whole}
    if (bad := first_difference(expected, disturbed, cut)) is None:
        return disturbed
    require_unmoved(make, series, protocol, undisturbed)
    raise LeakError(
        f"leaks: with {disturbance.name} from row {cut} on, the forecast with origin {bad} changed, "
        f"though it may only use rows before {bad}. "
        f"{_by_which_way(make, series, protocol, cut, disturbance, bad, undisturbed)}"
    )


def _by_which_way(
    make: MakeStrategy,
    series: DriftSeries,
    protocol: Protocol,
    cut: int,
    disturbance: Disturbance,
    bad: int,
    undisturbed: Digests,
) -> str:
    """How far ahead a forecast sees, and whether those rows had been handed over at all."""

    def moves(row: int) -> bool:
        with changed_from(series, row, disturbance.change) as other:
            return marks_of(make, other, protocol).get(bad) != undisturbed[bad]

    low, high = cut, len(series)  # changing rows from `low` on moves it, from `high` on does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if moves(middle) else (low, middle)
    split = series.split
    start, end = (split.validation, split.end) if bad >= split.validation else (split.train, split.validation)
    last = next(int(block[-1]) for block in blocks(protocol, start, end) if block[-1] >= bad)
    if low < last:
        return f"It sees row {low}, of a later window of its block: forecast k may use window k only."
    if protocol.is_leaky:
        return f'It sees row {low}: labels = "instant" hands out truths before their time, on purpose.'
    return (
        f"It sees row {low}, {low - bad} after its origin, which had not been handed to it: it reached past what it "
        "is given (frames of its callers, the garbage collector, memory behind a view)."
    )


def _hears(make: MakeStrategy, series: DriftSeries, protocol: Protocol, cut: int, undisturbed: Digests) -> bool:
    """Whether row ``cut - 1`` moves some forecast, or else the stream's rows before it together do.

    One row alone may be passed over in good faith: by a stride, or by labels that come rarely.
    """
    if not type(make(PreparedSeries.of(series, protocol))).reads:
        return True

    def moved(rows: Floats, known: int) -> Floats:
        rows[:known] += series.scaler.std
        return rows

    for first in (cut - 1, series.split.validation):
        with changed_from(series, first, partial(moved, known=cut - first)) as other:
            if first_difference(undisturbed, marks_of(make, other, protocol), len(series)) is not None:
                return True
    return False
