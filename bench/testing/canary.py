"""The leak canary: disturb rows that are not known yet, and see whether any forecast depends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import Strategy
from bench.evaluation.hidden_rows import KeptRows
from bench.evaluation.isolation import seeded
from bench.evaluation.stream import PreparedSeries, blocks
from bench.testing.findings import CheckError, InsensitiveError, LeakError, NondeterministicError, OrderError
from bench.testing.replay import Digests, MakeStrategy, digests_of, first_difference, lasting_state

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Disturbance:
    """One way to change the rows ``(n, C)`` from a cut on."""

    name: str
    change: Callable[[Floats], Floats]


DISTURBANCES = (
    Disturbance("other values", lambda rows: -2.0 * rows + 3.0),
    Disturbance("NaN", lambda rows: np.full_like(rows, np.nan)),
    Disturbance("another order", lambda rows: rows[::-1] + np.linspace(0, 1e-3, len(rows))[:, None]),
)


@contextmanager
def changed_from(series: DriftSeries, row: int, change: Callable[[Floats], Floats]) -> Iterator[DriftSeries]:
    """The series with its rows from ``row`` on changed, in place, until the end of the block.

    The true rows are meanwhile nowhere in memory, whichever frame or object of the harness a cheat looks into.
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
        make: Builds the strategy; called at least once for each pass over the stream.
        series: A small one; its values are changed in place meanwhile, and restored.
        protocol: The schedule.
        cuts: Rows ``c`` of the stream, also inside a block.
        disturbances: What is done to the rows from each cut on.

    Returns:
        Digests of the forecasts of the undisturbed series, by origin.

    Raises:
        NondeterministicError: Two passes over the same series differ.
        OrderError: They differ because of what earlier passes left behind.
        LeakError: Changing rows from ``c`` on changed a forecast with origin up to ``c``.
        TamperingError: The harness's own rows were written to.
        InsensitiveError: Rows before ``c`` change nothing later, and the strategy does not declare ``reads = False``.
    """
    canary = Canary(make, series, protocol)
    undisturbed = canary.undisturbed()
    for cut in cuts:
        for disturbance in disturbances:
            canary.disturbed(cut, disturbance, undisturbed)
        if not canary.depends_on_known_rows(cut, undisturbed):
            raise InsensitiveError(
                f"reads nothing: no forecast moved when rows before {cut} changed. "
                "If that is meant, set reads = False on the class."
            )
    canary.require_unmoved(undisturbed)
    return undisturbed


def probe(make: MakeStrategy, series: DriftSeries, protocol: Protocol, cut: int, disturbance: Disturbance) -> bool:
    """`leak_canary` for one cut and one disturbance, without `InsensitiveError`.

    Returns:
        Whether a later forecast depends on rows from the cut on.
    """
    canary = Canary(make, series, protocol)
    undisturbed = canary.undisturbed()
    return first_difference(undisturbed, canary.disturbed(cut, disturbance, undisturbed), len(series)) is not None


@dataclass(frozen=True)
class Canary:
    """A strategy on one small series and schedule; digests are of its forecasts, by origin."""

    make: MakeStrategy
    series: DriftSeries
    protocol: Protocol

    def digests(self, series: DriftSeries | None = None) -> Digests:
        """Of one pass."""
        return digests_of(self.make, series or self.series, self.protocol)

    def undisturbed(self) -> Digests:
        """Those on which two passes agree; `CheckError` if they do not."""
        first, second = (self.digests() for _ in range(2))
        if (bad := first_difference(first, second, len(self.series))) is not None:
            raise self._why_unequal(bad)
        return first

    def disturbed(self, cut: int, disturbance: Disturbance, undisturbed: Digests) -> Digests:
        """Those of the disturbed series; `LeakError` if one up to the cut differs from the undisturbed one."""
        with changed_from(self.series, cut, disturbance.change) as other:
            disturbed = self.digests(other)
        # A strategy may refuse a whole block, even if only its last windows hold NaN.
        whole = cut - (self.protocol.block - 1) * self.protocol.stride
        expected = {origin: f for origin, f in undisturbed.items() if origin in disturbed or origin <= whole}
        if (bad := first_difference(expected, disturbed, cut)) is None:
            return disturbed
        self.require_unmoved(undisturbed)
        raise LeakError(
            f"leaks: with {disturbance.name} from row {cut} on, the forecast with origin {bad} changed, "
            f"though it may only use rows before {bad}. {self._leak_source(cut, disturbance, bad, undisturbed)}"
        )

    def require_unmoved(self, before: Digests) -> None:
        """`OrderError` if a forecast differs from the one made before other runs."""
        made, changed = self._run_and_changed_state()
        if (bad := first_difference(before, made, len(self.series))) is not None:
            raise OrderError(
                f"depends on the order of runs: after runs on other data, the forecast with origin {bad} is not what "
                f"it was before them. {_what_lasts(changed)}"
            )

    def depends_on_known_rows(self, cut: int, undisturbed: Digests) -> bool:
        """Whether row ``cut - 1`` changes some forecast, or else the stream's rows before it together do.

        One row alone may have no effect in good faith: because of a stride, or of labels that come rarely.
        """
        if not self._made_class().reads:
            return True

        def moved(rows: Floats, known: int) -> Floats:
            rows[:known] += self.series.scaler.std
            return rows

        for first in (cut - 1, self.series.split.validation):
            with changed_from(self.series, first, partial(moved, known=cut - first)) as other:
                if first_difference(undisturbed, self.digests(other), len(self.series)) is not None:
                    return True
        return False

    def _why_unequal(self, bad: int) -> CheckError:
        """Tell a generator that is not seeded from state that outlasts a run, and both from the clock."""
        pinned = []
        for seed in (0, 0, 1):
            with seeded(seed):
                pinned.append(self.digests())
        alike = first_difference(pinned[0], pinned[1], len(self.series)) is None
        text = f"not deterministic: two runs on the same data differ at origin {bad}"
        if alike and first_difference(pinned[1], pinned[2], len(self.series)) is not None:
            return NondeterministicError(
                f"{text}. It draws from a generator that is not its own (numpy's or Python's). Draw from self.rng."
            )
        _, changed = self._run_and_changed_state()
        if alike or changed:
            return OrderError(
                f"depends on the order of runs: a second run on the same data differs from the first at origin {bad}. "
                f"{_what_lasts(changed)}"
            )
        return NondeterministicError(
            f"{text}, though all shared generators were set alike. It uses the clock, the system's entropy, or "
            "hidden state that outlasts a run. Draw from self.rng."
        )

    def _made_class(self) -> type[Strategy]:
        with torch.random.fork_rng(devices=[]):  # to make a strategy seeds torch
            return type(self.make(PreparedSeries.of(self.series, self.protocol)))

    def _run_and_changed_state(self) -> tuple[Digests, list[str]]:
        """Digests of one pass, and names of what outlasts it and was changed by it."""
        cls = self._made_class()
        before, made, after = lasting_state(cls), self.digests(), lasting_state(cls)
        return made, sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))

    def _leak_source(self, cut: int, disturbance: Disturbance, bad: int, undisturbed: Digests) -> str:
        """How far ahead a forecast sees, and whether those rows had been handed over at all."""

        def moves(row: int) -> bool:
            with changed_from(self.series, row, disturbance.change) as other:
                return self.digests(other).get(bad) != undisturbed[bad]

        low, high = cut, len(self.series)  # changing rows from `low` on moves it, from `high` on does not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if moves(middle) else (low, middle)
        split = self.series.split
        start, end = (split.validation, split.end) if bad >= split.validation else (split.train, split.validation)
        last = next(int(block[-1]) for block in blocks(self.protocol, start, end) if block[-1] >= bad)
        if low < last:
            return f"It sees row {low}, of a later window of its block: forecast k may use window k only."
        if self.protocol.is_leaky:
            return f'It sees row {low}: labels = "instant" hands out truths before their time, on purpose.'
        return (
            f"It sees row {low}, {low - bad} after its origin, which had not been handed to it: it reached past what "
            "it is given (frames of its callers, the garbage collector, memory behind a view)."
        )


def _what_lasts(changed: Sequence[str]) -> str:
    if changed:
        return f"A run changes what outlasts it: {', '.join(changed)}. Keep it on self, and reset it in setup()."
    return "Something outlasts a run: on a class, in a module or a cache. Keep it on self, and reset it in setup()."
