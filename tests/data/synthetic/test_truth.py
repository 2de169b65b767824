"""The truth reaches the records, and with it whoever writes a report."""

from __future__ import annotations

from typing import Any

from bench.data.synthetic import Drift
from bench.results.store import Store


def test_a_record_holds_the_truth_and_knows_its_twin(write: Any, bench: Any, without_report: None) -> None:
    write(
        "drift.toml",
        """
        protocol = { lookback = 12, horizon = 3 }
        strategies = ["persistence"]
        datasets = [
          { name = "recurring-aba", rows = 1200 }, { name = "recurring-aba", rows = 1200, twin = true },
          { name = "no-drift", rows = 1200 }, "realistic-drift",
        ]
        engine = "inline"
        timing_blocks = 0
        """,
    )
    ran = bench("run", "drift.toml", "--results", "results")
    assert ran.status == 0, ran.err
    drifting, twin, still, other = (r.dataset for r in Store((write("x", "").parent) / "results" / "drift").records())
    assert drifting.truth is not None
    assert drifting.truth.drifts == [
        Drift(kind="frequency", onset=600, transition="recurring", width=300, rest=600, block=24)
    ]
    assert [(event.row, event.name) for event in drifting.events] == [(600, "frequency"), (900, "frequency as before")]
    assert drifting.truth.twin == twin.fingerprint == still.fingerprint != drifting.fingerprint
    assert twin.truth == still.truth
    assert twin.truth is not None
    assert twin.truth.drifts == []
    assert other.truth is None
