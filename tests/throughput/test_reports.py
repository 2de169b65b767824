"""What a report on ten thousand records costs: seconds and memory, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from .many_results import ENTRIES, write_many

DATASETS, SEEDS, ORIGINS = 50, 10, 400
FEW = (2, 1, 30)
"""Where benchmarks are disabled."""

SECONDS, GIBIBYTES = 60, 2
CODE = """
import json, resource, sys
from pathlib import Path
from bench.report import write_report
write_report(Path(sys.argv[1]), Path(sys.argv[2]))
used = resource.getrusage(resource.RUSAGE_SELF)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({
    "cpu": used.ru_utime + used.ru_stime, "gib": used.ru_maxrss * unit / 2**30, "torch": "torch" in sys.modules
}))
"""


def test_a_report_on_ten_thousand_records(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """One thread writes it: where nothing else runs, seconds are those of CPU, which other work does not change."""
    datasets, seeds, origins = FEW if benchmark.disabled else (DATASETS, SEEDS, ORIGINS)
    store = write_many(tmp_path / "results" / "many", datasets, seeds, origins)
    took = [0.0]

    def report() -> dict[str, float]:
        begun = time.perf_counter()
        command = [sys.executable, "-c", CODE, str(store.folder), str(tmp_path / "report")]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        took[0] = time.perf_counter() - begun
        return dict(json.loads(said))

    used = benchmark.pedantic(report, rounds=1)
    records = datasets * seeds * ENTRIES
    figures = len(list((tmp_path / "report" / "figures").glob("*.svg")))
    benchmark.extra_info.update(kind="report", records=records, s=round(took[0], 1), gib=round(used["gib"], 2))
    print(
        f"\na report on {records:,} records: {took[0]:.1f} s ({used['cpu']:.1f} s of CPU), "
        f"{used['gib']:.2f} GiB at most, {figures} figures"
    )
    assert not used["torch"]
    if not benchmark.disabled:
        assert used["gib"] <= GIBIBYTES
        assert used["cpu"] <= SECONDS
