"""Memory that was freed is kept in service, and given back where it would hide what is in use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.evaluation.profiling.allocator import give_back_freed_memory, keep_freed_memory
from bench.evaluation.profiling.clocks import PeakMemory, _resident_kib

FAULTS = """
import resource, torch
from bench.evaluation.profiling.allocator import keep_freed_memory
torch.set_num_threads(1)
if {kept}:
    assert keep_freed_memory()
def step():
    return sum(torch.ones(400_000) for _ in range(20)).sum()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

linux = pytest.mark.skipif(not sys.platform.startswith("linux") or not keep_freed_memory(), reason="not glibc")


@linux
def test_steps_fault_no_pages_in_again() -> None:
    run = [sys.executable, "-c", FAULTS.format(kept=True)]
    assert int(subprocess.run(run, capture_output=True, text=True, check=True).stdout) < 1000


@linux
def test_a_peak_is_seen_though_earlier_memory_was_kept() -> None:
    megabytes = 100
    pieces = [torch.ones(250_000) for _ in range(megabytes)]  # from the heap: smaller than what is mapped
    del pieces
    peak = PeakMemory(torch.device("cpu"))
    pieces = [torch.ones(250_000) for _ in range(megabytes)]
    assert peak.megabytes() > 0.9 * megabytes
    del pieces


def test_a_sandbox_that_tells_nothing_of_a_process_is_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: "Name: python\n")
    assert _resident_kib("RssAnon") > 10_000


@linux
def test_giving_back_leaves_less_resident() -> None:
    pieces = [torch.ones(250_000) for _ in range(100)]
    kept = torch.ones(250_000)  # stands behind them, so that freeing alone gives nothing back
    del pieces
    before = _resident_kib("VmRSS")
    give_back_freed_memory()
    assert before - _resident_kib("VmRSS") > 50_000
    assert kept.sum() == 250_000
