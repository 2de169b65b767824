"""Who carries a session out: engines give the same bits, and neither a kill nor a dying worker loses what was done."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from bench import load_results
from bench.results.owner import process_name
from bench.results.store import FORECASTS, ORIGINS, RECORD, Store

from ..conftest import Bench, Write
from ..sessions import ENVIRONMENT, change, clean, command, run_apart, stamps, store_of

pytestmark = pytest.mark.usefixtures("without_report")

DRAWS = """
    import torch
    from bench import Strategy, register_strategy

    @register_strategy("draws")
    class Draws(Strategy):
        "The last value and some noise, from both generators."

        def predict(self, windows):
            last = windows[:, -1:].expand(-1, self.protocol.horizon, -1)
            return last + 0.1 * torch.randn(last.shape) + 0.1 * float(self.rng.normal())
"""


@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_engines_give_the_same_bits(engine: str, tiny: Path, bench: Bench, write: Write) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra [ray] is not installed")
    path = write("draws.py", DRAWS)
    change(
        tiny,
        strategies='["rls", "frozen", "persistence"]',
        forecasters='["dlinear"]',
        seeds="[0, 1]",
        workers="2",  # of which each has a share of the runs that are served together
        timing_blocks="0",
    )
    bench("run", tiny, "--plugins", path, "--engine", "inline", "--results", "serial")
    words = ("--plugins", path, "--engine", engine, "--results", "apart")
    ran = run_apart(tiny, *words)
    assert ran.status == 0, ran.err
    assert "Now: 8 ok; 0 kept from before; 0 timed alone." in ran.err
    stores = [Store(tiny.parent / results / "tiny") for results in ("serial", "apart")]
    ids = stores[0].run_ids()
    assert len(ids) == 8
    assert stores[1].run_ids() == ids
    for run_id in ids:
        one, other = (store.read(run_id) for store in stores)
        assert one is not None
        assert other is not None
        assert one.status == "ok"
        assert one.errors == other.errors  # to the bit
        assert one.strategy == other.strategy
        for name in (ORIGINS, FORECASTS):
            frames = [store.read_frame(run_id, name) for store in stores]
            assert frames[0] is not None
            assert frames[1] is not None
            pd.testing.assert_frame_equal(frames[0], frames[1], check_exact=True)
    draws = load_results(tiny.parent / "serial").query("strategy == 'draws'")["mse"]
    assert draws.nunique() == 2  # seeds decide


SLOW = """
    import time
    from bench import Strategy, register_strategy

    @register_strategy("slow")
    class Slow(Strategy):
        "Persistence, after some thought."

        def predict(self, windows):
            time.sleep(0.05)
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1)
"""


def test_what_was_done_before_a_kill_is_kept(tiny: Path, write: Write) -> None:
    path = write("slow.py", SLOW)
    change(
        tiny, protocol="{ lookback = 12, horizon = 12 }", strategies='["persistence", "slow", "rls"]', timing_blocks="0"
    )
    words = command("run", tiny, "--plugins", path)
    results = tiny.parent / "results"
    folder = results / "tiny"

    def finished() -> set[str]:
        return {file.parent.name for file in folder.glob(f"[!.]*/{RECORD}")}

    with subprocess.Popen(words, cwd=tiny.parent, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        while not (finished() and list(folder.glob(".progress/*/[!.]*"))):  # one is done, the slow one is under way
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        half = folder / ".tmp" / f"{process_name(process.pid)}-0123456789ab"
        process.send_signal(signal.SIGKILL)
    # as if it had been writing just then
    half.mkdir(parents=True)
    (half / RECORD).write_text("{")
    assert len(finished()) == 1
    before = stamps(results)
    kept = {name: at for name, at in before.items() if not any(part.startswith(".") for part in Path(name).parts)}
    assert {Path(name).name for name in kept} >= {RECORD, ORIGINS}
    ran = run_apart(tiny, "--plugins", path, report=True)
    assert ran.status == 0, ran.err
    assert "Now: 2 ok; 1 kept from before; 0 timed alone." in ran.err
    assert stamps(results).items() >= kept.items()
    assert {record.status for record in store_of(tiny).records()} == {"ok"}
    assert len(finished()) == 3
    assert clean(tiny)
    assert "persistence" in (tiny.parent / "reports" / "tiny" / "README.md").read_text()
